"""Words the tests share."""

import contextlib
import os
import re
import time
import uuid

import pytest
from wire import Closed, plain

JUDGE = os.environ.get("BONGSU_JUDGE", "bongsu")


def only_bongsu(reason):
    """A case RabbitMQ 3.10 has no answer to, or an older one; pytest prints the reason."""
    return pytest.mark.skipif(JUDGE != "bongsu", reason=f"only Bongsu: {reason}")


def only_rabbitmq(reason):
    """A case where Bongsu owes what newer RabbitMQ does; pytest prints the reason."""
    return pytest.mark.skipif(JUDGE != "rabbitmq", reason=f"only RabbitMQ: {reason}")


def unique(name="q"):
    return f"{name}-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def refused(code, text, method=None, connection=False):
    """The block is answered by a close with this code and text (a string, or a pattern)."""
    with pytest.raises(Closed) as caught:
        yield caught
    closed = caught.value
    assert closed.code == code, closed
    if isinstance(text, re.Pattern):
        assert text.fullmatch(closed.text), closed
    else:
        assert closed.text == text
    if method is not None:
        assert (closed.class_id, closed.method_id) == method, closed.__dict__
    assert (closed.channel == 0) == connection, closed


def a_queue(channel, name=None, **options):
    """A queue for this test; exclusive, so that it goes with the connection."""
    options.setdefault("exclusive", True)
    return channel.call("queue.declare", queue=unique() if name is None else name, **options).queue


def an_exchange(channel, kind="fanout", name=None, **options):
    """Auto-delete is of no use to one without bindings: the caller names what must go."""
    name = name or unique("e")
    channel.call("exchange.declare", exchange=name, type=kind, **options)
    return name


def bind(channel, queue, exchange, key="", arguments=None):
    channel.call("queue.bind", queue=queue, exchange=exchange, routing_key=key, arguments=arguments or {})


def ready(channel, queue):
    return channel.call("queue.declare", queue=queue, passive=True).message_count


def consumers(channel, queue):
    return channel.call("queue.declare", queue=queue, passive=True).consumer_count


def fill(channel, queue, *bodies):
    """Publishes and makes sure the queue has them."""
    before = ready(channel, queue)
    for body in bodies:
        channel.publish("", queue, str(body))
    eventually(lambda: ready(channel, queue) == before + len(bodies), f"{len(bodies)} in {queue}")


def eventually(holds, what, attempts=400):
    """For what the broker does in its own time; each attempt is a round trip."""
    for _ in range(attempts):
        if holds():
            return
    raise AssertionError(f"never came true: {what}")


def bodies(channel, queue):
    """Everything ready in the queue, taken with auto-ack."""
    found = []
    while (got := channel.call("basic.get", queue=queue, no_ack=True)).name == "basic.get-ok":
        found.append(got.body.decode())
    return found


def consume(channel, queue, tag="", **options):
    return channel.call("basic.consume", queue=queue, consumer_tag=tag, **options).consumer_tag


def taken(channel, count):
    """The next `count` deliveries."""
    return [channel.delivery() for _ in range(count)]


def texts(messages):
    return [message.body.decode() for message in messages]


def put(channel, queue, *messages, exchange=""):
    """Publishes bodies, or (body, properties), and returns when the queues have seen them all.

    On a channel of its own with confirms: where messages expire or are dropped, `fill` would
    look for what is no longer there. The answers come back in order, True for an ack."""
    connection = channel.connection
    if getattr(connection, "publisher", None) is None:
        connection.publisher = connection.channel()
        connection.publisher.call("confirm.select")
        connection.publisher.confirmed = 0
    publisher = connection.publisher
    first = publisher.confirmed + 1
    for message in messages:
        body, properties = message if isinstance(message, tuple) else (message, None)
        publisher.publish(exchange, queue, str(body), properties)
    publisher.confirmed += len(messages)
    return answers(publisher, first, publisher.confirmed)


def answers(channel, first, last):
    """What was said of the publishes `first` to `last`, in their order: True for an ack."""
    said = {}
    while len(said) <= last - first:
        event = channel.wait("basic.ack", "basic.nack")
        lowest = first if event.multiple else event.delivery_tag
        for tag in range(lowest, event.delivery_tag + 1):
            if not event.multiple or tag not in said:
                assert tag not in said and first <= tag <= last, event
                said[tag] = event.name == "basic.ack"
    return [said[tag] for tag in range(first, last + 1)]


def until(holds, what, seconds=25):
    """For what takes time: asks again every 20 ms, and gives up only when the test must."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return answer


def arrived(channel, queue, count):
    """The first `count` messages of a queue, taken with auto-ack as they arrive, in order."""
    found = []

    def enough():
        while len(found) < count:
            got = channel.call("basic.get", queue=queue, no_ack=True)
            if got.name == "basic.get-empty":
                return False
            found.append(got)
        return True

    until(enough, f"{count} messages in {queue}")
    return found


def get(channel, queue, no_ack=False):
    """One message that must be there."""
    got = channel.call("basic.get", queue=queue, no_ack=no_ack)
    assert got.name == "basic.get-ok", f"{queue} is empty"
    return got


def a_queue_and_its_dead(channel, arguments=None, **options):
    """A queue, and the queue that its dead letters go to by the default exchange."""
    dead = a_queue(channel, unique("dead"))
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, **(arguments or {})}
    return a_queue(channel, arguments=arguments, **options), dead


def headers(message):
    return plain(message.properties.get("headers", {}))


def deaths(message):
    """The entries of x-death, newest first."""
    return headers(message).get("x-death", [])
