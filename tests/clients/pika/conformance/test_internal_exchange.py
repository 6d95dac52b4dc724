"""Internal exchanges: nobody publishes to them but other exchanges and dying messages."""

import pytest
from helpers import a_queue, an_exchange, arrived, bind, bodies, put, refused, unique

PUBLISH = (60, 40)


@pytest.fixture
def exchange(connect, channel):
    made = []

    def exchange(kind="fanout", **options):
        made.append(an_exchange(channel, kind, **options))
        return made[-1]

    yield exchange
    sweeper = connect().channel()
    for name in made:
        sweeper.call("exchange.delete", exchange=name)


def refused_publish(name):
    return refused(403, f"ACCESS_REFUSED - cannot publish to internal exchange '{name}' in vhost '/'", method=PUBLISH)


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers"])
def test_publish_is_refused(channel, exchange, kind):
    name = exchange(kind, internal=True)
    with refused_publish(name):
        channel.publish(name, "", b"m")
        channel.sync()


def test_publish_with_confirms_is_refused(channel, exchange):
    name = exchange(internal=True)
    channel.call("confirm.select")
    with refused_publish(name):
        channel.publish(name, "", b"m", mandatory=True)
        channel.sync()


def test_chain_of_internal_ones(channel, exchange):
    first, queue = exchange("topic"), a_queue(channel)
    previous = first
    for _ in range(3):
        following = exchange("topic", internal=True)
        channel.call("exchange.bind", source=previous, destination=following, routing_key="a.#")
        previous = following
    bind(channel, queue, previous, "#.z")
    for key in ("a.z", "a.y", "b.z"):
        put(channel, key, key, exchange=first)
    assert bodies(channel, queue) == ["a.z"]


def test_dead_letters_go_there(channel, exchange):
    name, dead = exchange(internal=True), a_queue(channel)
    bind(channel, dead, name)
    queue = a_queue(channel, arguments={"x-message-ttl": 0, "x-dead-letter-exchange": name})
    put(channel, queue, "m")
    assert arrived(channel, dead, 1)[0].exchange == name


def test_auto_delete_and_internal(channel, exchange):
    outer, inner = exchange(), exchange(internal=True, auto_delete=True)
    channel.call("exchange.bind", source=outer, destination=inner)
    queue = a_queue(channel)
    bind(channel, queue, inner)
    put(channel, "", "m", exchange=outer)
    assert bodies(channel, queue) == ["m"]
    channel.call("queue.delete", queue=queue)
    with refused(404, f"NOT_FOUND - no exchange '{inner}' in vhost '/'"):
        channel.call("exchange.declare", exchange=inner, type="fanout", passive=True)


def test_same_name_not_internal_is_another(channel, exchange):
    name = exchange(internal=True)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'internal' for exchange '{name}' in vhost '/': "
        "received 'false' but current is 'true'"
    )
    with refused(406, text, method=(40, 10)):
        channel.call("exchange.declare", exchange=name, type="fanout")


def test_publish_where_there_is_no_exchange_says_so(channel):
    name = unique("e")
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'", method=PUBLISH):
        channel.publish(name, "", b"m")
        channel.sync()
