"""Which queues a message reaches, for each exchange type."""

import pytest
from helpers import a_queue, bind, bodies, refused, unique
from wire import Typed

QUEUE_BIND, QUEUE_UNBIND = (50, 20), (50, 50)


@pytest.fixture
def exchange(channel):
    made = []

    def exchange(kind):
        made.append(unique(kind))
        channel.call("exchange.declare", exchange=made[-1], type=kind)
        return made[-1]

    yield exchange
    for name in made:
        if channel.number in channel.connection.channels:
            channel.call("exchange.delete", exchange=name)


def test_default_exchange_routes_by_queue_name(channel):
    queue = a_queue(channel)
    channel.publish("", queue, b"direct")
    assert bodies(channel, queue) == ["direct"]


def test_direct(channel, exchange):
    name, one, two = exchange("direct"), a_queue(channel), a_queue(channel)
    bind(channel, one, name, "a")
    bind(channel, one, name, "b")
    bind(channel, two, name, "b")
    for key in ("a", "b", "c", "", "A"):
        channel.publish(name, key, key)
    assert bodies(channel, one) == ["a", "b"]
    assert bodies(channel, two) == ["b"]


def test_one_queue_bound_twice_gets_one(channel, exchange):
    name, queue = exchange("topic"), a_queue(channel)
    bind(channel, queue, name, "a.*")
    bind(channel, queue, name, "*.b")
    channel.publish(name, "a.b", b"once")
    assert bodies(channel, queue) == ["once"]


def test_fanout_ignores_the_key(channel, exchange):
    name, queues = exchange("fanout"), [a_queue(channel) for _ in range(3)]
    for queue in queues:
        bind(channel, queue, name, "ignored")
    for key in ("", "x", "ignored"):
        channel.publish(name, key, key)
    for queue in queues:
        assert bodies(channel, queue) == ["", "x", "ignored"]


@pytest.mark.parametrize(
    "pattern, matching, others",
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "a.", ".a.b", "b.a", "a.B"]),
        # An empty key has no words; a lone dot has two empty ones.
        ("*", ["a", "b"], ["", "a.b", "."]),
        ("#", ["", "a", "a.b", "a.b.c", "."], []),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
        ("*.b", ["a.b", ".b"], ["b", "a.b.c", "a.a.b"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["b", "ab", "b.a"]),
        ("#.a", ["a", "b.a", "c.b.a", ".a"], ["a.b", "ba"]),
        ("a.#.b", ["a.b", "a.x.b", "a.x.y.b", "a.b.b"], ["a", "b", "a.x", "x.a.b"]),
        ("#.#", ["", "a", "a.b"], []),
        ("*.#", ["a", "a.b", "a.b.c", "."], [""]),
        ("#.*", ["a", "a.b", "a.b.c"], []),
        ("*.*", ["a.b", "."], ["a", "a.b.c", ""]),
        ("#.*.b.#", ["a.b", "a.b.c", "x.a.b", "b.b"], ["b", "a", "b.c"]),
        ("", [""], ["a", "."]),
        ("a..b", ["a..b"], ["a.b", "a.x.b"]),
        ("a*", ["a*"], ["ab", "a"]),
        ("a.b#", ["a.b#"], ["a.b", "a.bc"]),
    ],
)
def test_topic(channel, exchange, pattern, matching, others):
    name, queue = exchange("topic"), a_queue(channel)
    bind(channel, queue, name, pattern)
    for key in matching + others:
        channel.publish(name, key, key)
    assert bodies(channel, queue) == matching


def test_topic_with_many_patterns(channel, exchange):
    name = exchange("topic")
    patterns = ["a.b.c", "a.*.c", "a.#", "#.c", "*.b.*", "#", "x.y"]
    queues = {}
    for pattern in patterns:
        queues[pattern] = a_queue(channel)
        bind(channel, queues[pattern], name, pattern)
    channel.publish(name, "a.b.c", b"m")
    reached = {pattern for pattern in patterns if bodies(channel, queues[pattern])}
    assert reached == set(patterns) - {"x.y"}
    channel.call("queue.unbind", queue=queues["a.#"], exchange=name, routing_key="a.#")
    channel.publish(name, "a.b.c", b"m")
    reached = {pattern for pattern in patterns if bodies(channel, queues[pattern])}
    assert reached == set(patterns) - {"x.y", "a.#"}


ONE_TWO = {"one": 1, "two": "zwei"}


@pytest.mark.parametrize(
    "binding, headers, matches",
    [
        ({"x-match": "all", **ONE_TWO}, ONE_TWO, True),
        ({"x-match": "all", **ONE_TWO}, {**ONE_TWO, "three": 3}, True),
        ({"x-match": "all", **ONE_TWO}, {"one": 1}, False),
        ({"x-match": "all", **ONE_TWO}, {"one": 1, "two": "two"}, False),
        ({"x-match": "all", **ONE_TWO}, {}, False),
        ({"x-match": "all", **ONE_TWO}, None, False),
        (ONE_TWO, ONE_TWO, True),
        (ONE_TWO, {"one": 1}, False),
        ({"x-match": "all"}, {"anything": 1}, True),
        ({"x-match": "all"}, None, True),
        ({}, None, True),
        ({"x-match": "any", **ONE_TWO}, {"one": 1}, True),
        ({"x-match": "any", **ONE_TWO}, {"two": "zwei", "one": 2}, True),
        ({"x-match": "any", **ONE_TWO}, {"one": 2}, False),
        ({"x-match": "any", **ONE_TWO}, None, False),
        ({"x-match": "any"}, {"anything": 1}, False),
        # No value in the binding asks for presence alone.
        ({"x-match": "all", "one": None}, {"one": "whatever"}, True),
        ({"x-match": "all", "one": None}, {"two": 1}, False),
        ({"x-match": "any", "one": None}, {"one": 7}, True),
        # Headers that begin with x- count only where the mode says so.
        ({"x-match": "all", "x-a": 1, "b": 2}, {"b": 2}, True),
        ({"x-match": "all-with-x", "x-a": 1, "b": 2}, {"b": 2}, False),
        ({"x-match": "all-with-x", "x-a": 1, "b": 2}, {"b": 2, "x-a": 1}, True),
        ({"x-match": "any", "x-a": 1, "b": 2}, {"x-a": 1}, False),
        ({"x-match": "any-with-x", "x-a": 1, "b": 2}, {"x-a": 1}, True),
        ({"x-match": "any-with-x", "x-a": 1, "b": 2}, {"c": 1}, False),
        # Types: what is equal as a number in another width, and what is not equal at all.
        ({"x-match": "all", "n": Typed("I", 1)}, {"n": Typed("l", 1)}, True),
        ({"x-match": "all", "n": Typed("I", 1)}, {"n": Typed("S", b"1")}, False),
        ({"x-match": "all", "n": Typed("t", True)}, {"n": Typed("t", True)}, True),
        ({"x-match": "all", "n": Typed("t", True)}, {"n": Typed("I", 1)}, False),
    ],
)
def test_headers(channel, exchange, binding, headers, matches):
    name, queue = exchange("headers"), a_queue(channel)
    bind(channel, queue, name, "ignored", binding)
    channel.publish(name, "key", b"m", None if headers is None else {"headers": headers})
    assert bodies(channel, queue) == (["m"] if matches else [])


def test_headers_refuses_an_unknown_x_match(channel, exchange):
    name, queue = exchange("headers"), a_queue(channel)
    text = (
        'PRECONDITION_FAILED - Invalid x-match field value <<"some">>; '
        "expected all, any, all-with-x, or any-with-x"
    )
    with refused(406, text, method=QUEUE_BIND):
        bind(channel, queue, name, "", {"x-match": "some"})


def test_standard_headers_exchanges_route(channel):
    for name in ("amq.headers", "amq.match"):
        queue = a_queue(channel)
        bind(channel, queue, name, "", {"test": queue})
        channel.publish(name, "", b"m", {"headers": {"test": queue}})
        assert bodies(channel, queue) == ["m"]


def test_binding_twice_is_one_binding(channel, exchange):
    name, queue = exchange("direct"), a_queue(channel)
    bind(channel, queue, name, "a")
    bind(channel, queue, name, "a")
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="a")
    channel.publish(name, "a", b"m")
    channel.sync()
    assert bodies(channel, queue) == []


def test_arguments_tell_bindings_apart(channel, exchange):
    name, queue = exchange("headers"), a_queue(channel)
    one, two = {"x-match": "all", "n": 1}, {"x-match": "all", "n": 2}
    bind(channel, queue, name, "", one)
    bind(channel, queue, name, "", two)
    channel.call("queue.unbind", queue=queue, exchange=name, arguments=one)
    for n in (1, 2):
        channel.publish(name, "", str(n), {"headers": {"n": n}})
    assert bodies(channel, queue) == ["2"]


def test_binding_arguments_do_not_matter_to_other_types(channel, exchange):
    name, queue = exchange("direct"), a_queue(channel)
    bind(channel, queue, name, "a", {"note": "mine"})
    channel.publish(name, "a", b"m")
    assert bodies(channel, queue) == ["m"]


def test_unbind_of_what_is_not_bound_is_fine(channel, exchange):
    name, queue = exchange("direct"), a_queue(channel)
    channel.call("queue.unbind", queue=queue, exchange=name, routing_key="never")


def test_bindings_go_with_the_queue(channel, exchange):
    name = exchange("fanout")
    queue = a_queue(channel)
    bind(channel, queue, name)
    channel.call("queue.delete", queue=queue)
    a_queue(channel, queue)
    channel.publish(name, "", b"m")
    channel.sync()
    assert bodies(channel, queue) == []


def test_binding_to_an_exchange_that_is_not_there(channel):
    name = unique("e")
    with refused(404, f"NOT_FOUND - no exchange '{name}' in vhost '/'", method=QUEUE_BIND):
        bind(channel, a_queue(channel), name)


def test_binding_a_queue_that_is_not_there(channel):
    name = unique()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'", method=QUEUE_BIND):
        bind(channel, name, "amq.direct")


@pytest.mark.parametrize("method, number", [("queue.bind", QUEUE_BIND), ("queue.unbind", QUEUE_UNBIND)])
def test_default_exchange_takes_no_bindings(channel, method, number):
    queue = a_queue(channel)
    text = "ACCESS_REFUSED - operation not permitted on the default exchange"
    with refused(403, text, method=number):
        channel.call(method, queue=queue, exchange="", routing_key="x")


def test_empty_queue_name_means_the_last_one_declared(channel):
    queue = a_queue(channel)
    channel.call("queue.bind", queue="", exchange="amq.direct", routing_key=queue)
    channel.publish("amq.direct", queue, b"m")
    assert bodies(channel, "") == ["m"]
    channel.call("queue.unbind", queue="", exchange="amq.direct", routing_key=queue)


def test_empty_queue_and_key_both_mean_the_last_queue(channel):
    """The specification's oldest shorthand: an empty key too is the queue's name."""
    queue = a_queue(channel)
    channel.call("queue.bind", queue="", exchange="amq.direct", routing_key="")
    channel.publish("amq.direct", queue, b"by name")
    channel.publish("amq.direct", "", b"by nothing")
    channel.sync()
    assert bodies(channel, queue) == ["by name"]


def test_empty_queue_name_without_a_last_one(channel):
    with refused(404, "NOT_FOUND - no previously declared queue", method=QUEUE_BIND):
        channel.call("queue.bind", queue="", exchange="amq.direct", routing_key="x")


def test_nowait_binding(channel, exchange):
    name, queue = exchange("fanout"), a_queue(channel)
    channel.send("queue.bind", queue=queue, exchange=name, nowait=True)
    channel.publish(name, "", b"m")
    assert bodies(channel, queue) == ["m"]
