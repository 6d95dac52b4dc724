"""Alternate exchanges: where a message goes that an exchange has no route for."""

import pytest
from helpers import a_queue, an_exchange, bind, bodies, get, put, refused, unique
from wire import Typed

DECLARE = (40, 10)


@pytest.fixture
def exchange(connect, channel):
    made = []

    def exchange(kind="direct", alternate=None, **options):
        arguments = {} if alternate is None else {"alternate-exchange": alternate}
        made.append(an_exchange(channel, kind, arguments=arguments, **options))
        return made[-1]

    yield exchange
    sweeper = connect().channel()
    for name in made:
        sweeper.call("exchange.delete", exchange=name)


def a_bound_queue(channel, exchange, key=""):
    queue = a_queue(channel)
    bind(channel, queue, exchange, key)
    return queue


@pytest.mark.parametrize("kind, key", [("direct", "yes"), ("topic", "yes.#"), ("fanout", ""), ("headers", "")])
def test_only_what_has_no_route(channel, exchange, kind, key):
    spare = exchange("fanout")
    name = exchange(kind, spare)
    left = a_bound_queue(channel, spare)
    put(channel, "no", "unbound", exchange=name)
    queue = a_queue(channel)
    bind(channel, queue, name, key, {"x-match": "all", "n": 1} if kind == "headers" else None)
    put(channel, "yes", ("yes", {"headers": {"n": 1}}), exchange=name)
    put(channel, "no", ("no", {"headers": {"n": 2}}), exchange=name)
    assert bodies(channel, queue) == (["yes", "no"] if kind == "fanout" else ["yes"])
    assert bodies(channel, left) == (["unbound"] if kind == "fanout" else ["unbound", "no"])


def test_key_and_first_exchange_are_kept(channel, exchange):
    spare = exchange("topic")
    name = exchange("direct", spare)
    queue = a_bound_queue(channel, spare, "a.#")
    put(channel, "a.b", "m", exchange=name)
    message = get(channel, queue)
    assert (message.exchange, message.routing_key) == (name, "a.b")


def test_chain(channel, exchange):
    third = exchange("fanout")
    second = exchange("direct", third)
    first = exchange("direct", second)
    in_second, in_third = a_bound_queue(channel, second, "two"), a_bound_queue(channel, third)
    put(channel, "two", "2", exchange=first)
    put(channel, "three", "3", exchange=first)
    assert (bodies(channel, in_second), bodies(channel, in_third)) == (["2"], ["3"])


def test_circle_ends(channel, exchange):
    one, two = unique("e"), unique("e")
    exchange("direct", two, name=one)
    exchange("direct", one, name=two)
    channel.publish(one, "nobody", b"m", mandatory=True)
    assert channel.event().reply_text == "NO_ROUTE"
    queue = a_bound_queue(channel, two, "somebody")
    put(channel, "somebody", "m", exchange=one)
    assert bodies(channel, queue) == ["m"]


def test_its_own_alternate(channel, exchange):
    name = unique("e")
    exchange("direct", name, name=name)
    channel.publish(name, "nobody", b"m", mandatory=True)
    assert channel.event().reply_text == "NO_ROUTE"


def test_what_the_alternate_routes_does_not_come_back(channel, exchange):
    spare = exchange("fanout")
    name = exchange("direct", spare)
    queue = a_bound_queue(channel, spare)
    channel.publish(name, "nobody", b"m", mandatory=True)
    assert bodies(channel, queue) == ["m"]
    channel.nothing()


def test_what_it_cannot_route_either_comes_back(channel, exchange):
    name = exchange("direct", exchange("direct"))
    channel.publish(name, "nobody", b"m", mandatory=True)
    back = channel.event()
    assert (back.reply_code, back.exchange, back.routing_key) == (312, name, "nobody")


def test_alternate_need_not_be_there(channel, exchange):
    name = exchange("direct", unique("nowhere"))
    assert put(channel, "nobody", "m", exchange=name) == [True]
    channel.publish(name, "nobody", b"m", mandatory=True)
    assert channel.event().reply_text == "NO_ROUTE"


def test_alternate_may_come_later(channel, exchange):
    later = unique("later")
    name = exchange("direct", later)
    exchange("fanout", name=later)
    queue = a_bound_queue(channel, later)
    put(channel, "nobody", "m", exchange=name)
    assert bodies(channel, queue) == ["m"]


def test_alternate_may_go(channel, exchange):
    spare = exchange("fanout")
    name = exchange("direct", spare)
    queue = a_bound_queue(channel, spare)
    channel.call("exchange.delete", exchange=spare)
    channel.publish(name, "nobody", b"m", mandatory=True)
    assert channel.event().reply_text == "NO_ROUTE"
    assert bodies(channel, queue) == []


def test_an_internal_one_will_do(channel, exchange):
    spare = exchange("fanout", internal=True)
    name = exchange("direct", spare)
    queue = a_bound_queue(channel, spare)
    put(channel, "nobody", "m", exchange=name)
    assert bodies(channel, queue) == ["m"]


def test_standard_exchange_as_alternate(channel, exchange):
    queue = a_queue(channel)
    name = exchange("fanout", "amq.direct")
    bind(channel, queue, "amq.direct", queue)
    put(channel, queue, "m", exchange=name)
    assert bodies(channel, queue) == ["m"]


def test_bound_exchange_counts_as_a_route(channel, exchange):
    """What goes on to another exchange had a route, even if it ends there."""
    spare = exchange("fanout")
    name, onward = exchange("direct", spare), exchange("direct")
    channel.call("exchange.bind", source=name, destination=onward, routing_key="k")
    left = a_bound_queue(channel, spare)
    put(channel, "k", "m", exchange=name)
    assert bodies(channel, left) == []


def test_bound_exchange_has_an_alternate_of_its_own(channel, exchange):
    spare = exchange("fanout")
    onward = exchange("direct", spare)
    name = exchange("fanout")
    channel.call("exchange.bind", source=name, destination=onward)
    left = a_bound_queue(channel, spare)
    put(channel, "nobody", "m", exchange=name)
    assert bodies(channel, left) == ["m"]


def test_cc_that_has_a_route_is_enough(channel, exchange):
    spare = exchange("fanout")
    name = exchange("direct", spare)
    queue, left = a_bound_queue(channel, name, "copy"), a_bound_queue(channel, spare)
    put(channel, "nobody", ("m", {"headers": {"CC": ["copy"]}}), exchange=name)
    assert (bodies(channel, queue), bodies(channel, left)) == (["m"], [])


def test_same_declaration_twice(channel, exchange):
    name = exchange("direct", "spare")
    channel.call("exchange.declare", exchange=name, type="direct", arguments={"alternate-exchange": "spare"})


@pytest.mark.parametrize(
    "first, second, difference",
    [
        ("a", "b", "received 'b' but current is 'a'"),
        ("a", None, "received none but current is the value 'a' of type 'longstr'"),
        (None, "b", "received the value 'b' of type 'longstr' but current is none"),
    ],
)
def test_declared_otherwise(channel, exchange, first, second, difference):
    name = exchange("direct", first)
    arguments = {} if second is None else {"alternate-exchange": second}
    text = f"PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{name}' in vhost '/': {difference}"
    with refused(406, text, method=DECLARE):
        channel.call("exchange.declare", exchange=name, type="direct", arguments=arguments)


def test_other_arguments_are_not_compared(channel, exchange):
    name = exchange("direct")
    channel.call("exchange.declare", exchange=name, type="direct", arguments={"note": 1})


@pytest.mark.parametrize(
    "value, kind",
    [
        (1, "signedint"),
        (None, "void"),
        (True, "bool"),
        (["a"], "array"),
        ({"a": 1}, "table"),
        (Typed("x", b"a"), "binary"),
        (Typed("d", 1.0), "double"),
    ],
)
def test_alternate_that_is_no_name(channel, value, kind):
    name = unique("e")
    text = f"PRECONDITION_FAILED - invalid type '{kind}' for arg 'alternate-exchange' in exchange '{name}' in vhost '/'"
    with refused(406, text, method=DECLARE):
        channel.call("exchange.declare", exchange=name, type="direct", arguments={"alternate-exchange": value})
