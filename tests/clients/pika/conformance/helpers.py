"""Words the tests share."""

import contextlib
import os
import re
import uuid

import pytest
from wire import Closed

JUDGE = os.environ.get("BONGSU_JUDGE", "bongsu")


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


def not_yet(closed, name):
    """Bongsu refuses what it does not have yet with 540 and its name; RabbitMQ has it."""
    assert JUDGE == "bongsu", closed
    assert closed.code == 540 and name in closed.text, closed
    pytest.skip(f"Bongsu does not have {name} yet: {closed.text}")


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
