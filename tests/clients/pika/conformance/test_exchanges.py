"""Declaring, deleting and binding exchanges."""

import pytest
from helpers import (
    a_queue,
    an_exchange,
    bind,
    bodies,
    refused,
    unique,
)
from wire import Closed

EXCHANGE_DECLARE, EXCHANGE_DELETE, EXCHANGE_BIND, EXCHANGE_UNBIND = (40, 10), (40, 20), (40, 30), (40, 40)


@pytest.fixture
def exchange(connect, channel):
    """Makes exchanges that are deleted after the test, whatever became of the channel."""
    made = []

    def exchange(kind="fanout", **options):
        made.append(an_exchange(channel, kind, **options))
        return made[-1]

    yield exchange
    sweeper = connect().channel()
    for name in made:
        sweeper.call("exchange.delete", exchange=name)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ],
)
def test_standard_exchange_is_there(channel, name, kind):
    channel.call("exchange.declare", exchange=name, type=kind, passive=True)


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic", "headers"])
def test_same_declaration_twice_is_fine(channel, exchange, kind):
    name = exchange(kind, durable=True)
    channel.call("exchange.declare", exchange=name, type=kind, durable=True)


@pytest.mark.parametrize("name, kind", [("amq.direct", "direct"), ("amq.fanout", "fanout")])
def test_standard_exchange_may_be_declared_as_it_is(channel, name, kind):
    channel.call("exchange.declare", exchange=name, type=kind, durable=True)


@pytest.mark.parametrize(
    "first, second, argument, received, current",
    [
        ({}, {"durable": True}, "durable", "true", "false"),
        ({"durable": True}, {}, "durable", "false", "true"),
        ({"auto_delete": True}, {}, "auto_delete", "false", "true"),
        ({}, {"auto_delete": True}, "auto_delete", "true", "false"),
        ({"internal": True}, {}, "internal", "false", "true"),
        ({"kind": "fanout"}, {"kind": "direct"}, "type", "direct", "fanout"),
        ({"kind": "topic", "durable": True}, {"kind": "headers"}, "type", "headers", "topic"),
    ],
)
def test_inequivalent_declaration(channel, exchange, first, second, argument, received, current):
    name = exchange(**first)
    kind = second.pop("kind", first.get("kind", "fanout"))
    text = (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange '{name}' in vhost '/': "
        f"received '{received}' but current is '{current}'"
    )
    with refused(406, text, method=EXCHANGE_DECLARE):
        channel.call("exchange.declare", exchange=name, type=kind, **second)


def test_passive_declaration_asks_for_nothing_but_the_name(channel, exchange):
    name = exchange("topic", durable=True)
    channel.call("exchange.declare", exchange=name, type="fanout", passive=True)


def test_passive_declaration_of_what_is_not_there(channel):
    name = unique("e")
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'", method=EXCHANGE_DECLARE):
        channel.call("exchange.declare", exchange=name, type="fanout", passive=True)


def test_unknown_type(channel):
    with refused(503, "COMMAND_INVALID - unknown exchange type 'pigeon'", method=EXCHANGE_DECLARE, connection=True):
        channel.call("exchange.declare", exchange=unique("e"), type="pigeon")


def test_names_beginning_with_amq_are_reserved(channel):
    text = "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"
    with refused(403, text, method=EXCHANGE_DECLARE):
        channel.call("exchange.declare", exchange="amq.mine", type="fanout")


@pytest.mark.parametrize("passive", [False, True])
def test_default_exchange_cannot_be_declared(channel, passive):
    with refused(403, DEFAULT, method=EXCHANGE_DECLARE):
        channel.call("exchange.declare", exchange="", type="direct", durable=True, passive=passive)


def test_default_exchange_cannot_be_deleted(channel):
    with refused(403, DEFAULT, method=EXCHANGE_DELETE):
        channel.call("exchange.delete", exchange="")


@pytest.mark.parametrize("name", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"])
def test_standard_exchange_cannot_be_deleted(channel, name):
    text = f"ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed"
    with refused(403, text, method=EXCHANGE_DELETE) as caught:
        channel.call("exchange.delete", exchange=name)
    assert caught.value.channel == channel.number


def test_delete_of_what_is_not_there_is_fine(channel):
    channel.call("exchange.delete", exchange=unique("e"))


def test_delete_takes_bindings_with_it(channel, exchange):
    name, queue = exchange("fanout"), a_queue(channel)
    bind(channel, queue, name)
    channel.call("exchange.delete", exchange=name)
    exchange("fanout", name=name)
    channel.publish(name, "", b"x")
    channel.sync()
    assert bodies(channel, queue) == []


def test_delete_if_unused(channel, exchange):
    name, queue = exchange("fanout"), a_queue(channel)
    bind(channel, queue, name)
    text = f"PRECONDITION_FAILED - exchange '{name}' in vhost '/' in use"
    with refused(406, text, method=EXCHANGE_DELETE):
        channel.call("exchange.delete", exchange=name, if_unused=True)


def test_delete_if_unused_when_it_is(channel, exchange):
    name = exchange("fanout")
    channel.call("exchange.delete", exchange=name, if_unused=True)
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'"):
        channel.call("exchange.declare", exchange=name, passive=True)


def test_auto_delete_goes_with_its_last_binding(channel, exchange):
    name, queue = exchange("direct", auto_delete=True), a_queue(channel)
    bind(channel, queue, name, "a")
    bind(channel, queue, name, "b")
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="a")
    channel.call("exchange.declare", exchange=name, passive=True)
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="b")
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'"):
        channel.call("exchange.declare", exchange=name, passive=True)


def test_auto_delete_goes_with_the_queue_that_was_bound(channel, exchange):
    name, queue = exchange("fanout", auto_delete=True), a_queue(channel)
    bind(channel, queue, name)
    channel.call("queue.delete", queue=queue)
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'"):
        channel.call("exchange.declare", exchange=name, passive=True)


def test_auto_delete_waits_for_a_first_binding(channel, exchange):
    name = exchange("fanout", auto_delete=True)
    channel.call("exchange.declare", exchange=name, passive=True)


def test_publish_to_no_exchange_closes_the_channel(connection, channel):
    name = unique("e")
    channel.publish(name, "key", b"x")
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'", method=(60, 40)):
        channel.event()
    connection.channel().sync()


def test_publish_to_an_internal_exchange(channel, exchange):
    name = exchange("fanout", internal=True)
    channel.publish(name, "", b"x")
    text = f"ACCESS_REFUSED - cannot publish to internal exchange '{name}' in vhost '/'"
    with refused(403, text, method=(60, 40)):
        channel.event()


def test_internal_exchange_passes_on_what_other_exchanges_send(channel, exchange):
    outer, inner, queue = exchange("fanout"), exchange("fanout", internal=True), a_queue(channel)
    channel.call("exchange.bind", source=outer, destination=inner)
    bind(channel, queue, inner)
    channel.publish(outer, "", b"through")
    assert bodies(channel, queue) == ["through"]


def test_exchange_to_exchange_keeps_key_and_first_exchange(channel, exchange):
    source, destination, queue = exchange("topic"), exchange("direct"), a_queue(channel)
    channel.call("exchange.bind", source=source, destination=destination, routing_key="a.#")
    bind(channel, queue, destination, "a.b")
    for key in ("a.b", "a.c", "b.b"):
        channel.publish(source, key, key)
    got = channel.call("basic.get", queue=queue, no_ack=True)
    assert (got.body, got.exchange, got.routing_key) == (b"a.b", source, "a.b")
    assert bodies(channel, queue) == []


def test_exchange_unbind(channel, exchange):
    source, destination, queue = exchange(), exchange(), a_queue(channel)
    bind(channel, queue, destination)
    channel.call("exchange.bind", source=source, destination=destination)
    channel.publish(source, "", b"bound")
    channel.call("exchange.unbind", source=source, destination=destination)
    channel.publish(source, "", b"unbound")
    channel.sync()
    assert bodies(channel, queue) == ["bound"]


def test_circle_of_exchanges_delivers_once(channel, exchange):
    one, two, queue = exchange(), exchange(), a_queue(channel)
    channel.call("exchange.bind", source=one, destination=two)
    channel.call("exchange.bind", source=two, destination=one)
    bind(channel, queue, one)
    bind(channel, queue, two)
    channel.publish(one, "", b"round")
    assert bodies(channel, queue) == ["round"]


@pytest.mark.parametrize("missing", ["source", "destination"])
@pytest.mark.parametrize("method", ["exchange.bind", "exchange.unbind"])
def test_binding_an_exchange_that_is_not_there(channel, exchange, missing, method):
    names = {"source": exchange(), "destination": exchange()}
    names[missing] = unique("e")
    if method == "exchange.unbind":
        # In 3.10 nothing to undo is no error.
        try:
            channel.call(method, **names)
        except Closed as closed:
            assert (closed.code, closed.text) == (404, f"NOT_FOUND - no exchange '{names[missing]}' in vhost '/'")
        return
    with refused(404, f"NOT_FOUND - no exchange '{names[missing]}' in vhost '/'", method=EXCHANGE_BIND):
        channel.call(method, **names)


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("method, number", [("exchange.bind", EXCHANGE_BIND), ("exchange.unbind", EXCHANGE_UNBIND)])
def test_default_exchange_cannot_be_bound(channel, exchange, side, method, number):
    names = {"source": exchange(), "destination": exchange(), side: ""}
    with refused(403, DEFAULT, method=number):
        channel.call(method, **names)


def test_auto_delete_source_goes_with_its_destination(channel, exchange):
    source, destination = exchange(auto_delete=True), exchange()
    channel.call("exchange.bind", source=source, destination=destination)
    channel.call("exchange.delete", exchange=destination)
    with refused(404, f"NOT_FOUND - no exchange '{source}' in vhost '/'"):
        channel.call("exchange.declare", exchange=source, passive=True)


def test_nowait_is_not_answered(channel):
    name = unique("e")
    channel.send("exchange.declare", exchange=name, type="fanout", nowait=True)
    channel.call("exchange.declare", exchange=name, passive=True)
    channel.send("exchange.delete", exchange=name, nowait=True)
    channel.nothing()


DEFAULT = "ACCESS_REFUSED - operation not permitted on the default exchange"
