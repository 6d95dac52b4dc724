"""x-expires: a queue that nobody uses goes. Consumers, basic.get and declaring it are use; publishing is not.

A passive declaration is use as well, so nothing here looks with one: `is_there` publishes.
"""

import time

import pytest
from helpers import a_queue, arrived, consume, get, put, refused, unique, until
from wire import Closed

SHORT = 300


def expiring(channel, milliseconds=SHORT, name=None, **options):
    options.setdefault("exclusive", False)
    arguments = {"x-expires": milliseconds, **options.pop("arguments", {})}
    return a_queue(channel, name or unique("expiring"), arguments=arguments, **options)


def is_there(channel, queue):
    """A mandatory publish comes back if it is not; it is no use of the queue."""
    channel.publish("", queue, b"is it there", mandatory=True)
    channel.sync()
    return not returned(channel)


def returned(channel):
    backs = [event for event in channel.inbox if event.name == "basic.return"]
    for back in backs:
        channel.inbox.remove(back)
    return backs


def is_gone(channel, queue, what="it expires"):
    until(lambda: not is_there(channel, queue), what)


def has_passed(channel, milliseconds=SHORT):
    """Returns when a queue declared now, with the same life, is gone."""
    is_gone(channel, expiring(channel, milliseconds), "the witness expires")


@pytest.mark.parametrize("durable", [False, True])
def test_unused_it_goes(channel, durable):
    queue = expiring(channel, durable=durable)
    is_gone(channel, queue)
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.call("queue.declare", queue=queue, passive=True)


def test_exclusive_one_goes_as_well(channel):
    is_gone(channel, expiring(channel, exclusive=True))


def test_it_goes_with_messages_in_it_and_they_do_not_die(channel):
    dead = a_queue(channel)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    queue = expiring(channel, arguments=arguments)
    put(channel, queue, 1, 2, 3)
    is_gone(channel, queue)
    # What dies later is the first to come: nothing came before it.
    other = a_queue(channel, arguments={"x-message-ttl": 0, **arguments})
    put(channel, other, "last")
    assert arrived(channel, dead, 1)[0].body == b"last"


def test_consumer_keeps_it(connection, channel):
    queue, other = expiring(channel), connection.channel()
    consume(other, queue, no_ack=True)
    has_passed(channel)
    assert is_there(channel, queue)
    # Its life begins when the last consumer goes.
    other.close()
    is_gone(channel, queue)


def test_cancelled_consumer_keeps_it_no_longer(channel):
    queue = expiring(channel)
    tag = consume(channel, queue)
    channel.call("basic.cancel", consumer_tag=tag)
    is_gone(channel, queue)


def test_what_is_out_does_not_keep_it(channel):
    queue = expiring(channel)
    put(channel, queue, "m")
    message = get(channel, queue)
    is_gone(channel, queue)
    channel.send("basic.ack", delivery_tag=message.delivery_tag)
    channel.sync()


@pytest.mark.patient(120)
def test_use_renews_it(channel):
    """Used again and again, they outlive one declared with them and not used."""
    life = 2000
    uses = {
        "get": lambda queue: channel.call("basic.get", queue=queue, no_ack=True),
        "declare": lambda queue: expiring(channel, life, queue),
        "passive": lambda queue: channel.call("queue.declare", queue=queue, passive=True),
    }
    for _ in range(5):
        queues = {use: expiring(channel, life) for use in uses}
        witness = expiring(channel, life)
        last, longest = time.monotonic(), 0.0
        while is_there(channel, witness):
            for use, queue in queues.items():
                uses[use](queue)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
            time.sleep(0.02)
        # Where this program itself was kept from running, nothing was shown.
        if longest < life / 2000:
            break
    assert {use: is_there(channel, queue) for use, queue in queues.items()} == dict.fromkeys(uses, True)
    for queue in queues.values():
        channel.call("queue.delete", queue=queue)


def test_publishing_does_not(channel):
    queue = expiring(channel)
    until(lambda: put(channel, queue, "m") and not is_there(channel, queue), "it expires under publishing")


def test_bindings_go_with_it(channel):
    queue = expiring(channel)
    channel.call("queue.bind", queue=queue, exchange="amq.direct", routing_key=queue)
    is_gone(channel, queue)
    channel.publish("amq.direct", queue, b"m", mandatory=True)
    assert channel.wait("basic.return").reply_text == "NO_ROUTE"


def test_auto_delete_exchange_goes_with_its_last_binding(connection, channel):
    exchange, queue = unique("e"), expiring(channel)
    channel.call("exchange.declare", exchange=exchange, type="fanout", auto_delete=True)
    channel.call("queue.bind", queue=queue, exchange=exchange)
    is_gone(channel, queue)

    def exchange_is_gone():
        probe = connection.channel()
        try:
            probe.call("exchange.declare", exchange=exchange, type="fanout", passive=True)
        except Closed as closed:
            return closed.code == 404
        probe.close()
        return False

    until(exchange_is_gone, "the exchange is gone")


def test_name_is_free_again(channel):
    queue = expiring(channel)
    put(channel, queue, "old")
    is_gone(channel, queue)
    a_queue(channel, queue)
    assert channel.call("basic.get", queue=queue).name == "basic.get-empty"


def test_many_go(channel):
    queues = [expiring(channel) for _ in range(50)]
    for queue in queues:
        is_gone(channel, queue)
