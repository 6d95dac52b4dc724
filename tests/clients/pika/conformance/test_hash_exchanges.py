"""x-consistent-hash, x-modulus-hash and x-random: one of many. Which one is the broker's own affair."""

import re

import pytest
from helpers import a_queue, an_exchange, bind, bodies, consume, put, ready, refused, unique, until

DECLARE, BIND = (40, 10), (50, 20)
HASH = "x-consistent-hash"


@pytest.fixture
def exchange(connect, channel):
    made = []

    def exchange(kind=HASH, **arguments):
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        made.append(an_exchange(channel, kind, arguments=arguments))
        return made[-1]

    yield exchange
    sweeper = connect().channel()
    for name in made:
        sweeper.call("exchange.delete", exchange=name)


def some_queues(channel, exchange, *weights):
    queues = [a_queue(channel) for _ in weights]
    for queue, weight in zip(queues, weights):
        bind(channel, queue, exchange, weight)
    return queues


def where(channel, queues):
    """What each queue got, and that nothing came twice."""
    found = [bodies(channel, queue) for queue in queues]
    everything = sum(found, [])
    assert len(everything) == len(set(everything))
    return found


def hashes(properties_of, channel, name, queues, count=40):
    """Publishes each of `count` values twice; both must be in one queue. Answers who got what."""
    for turn in range(2):
        put(channel, "the same", *[(f"{n} {turn}", properties_of(n)) for n in range(count)], exchange=name)
    found = where(channel, queues)
    for got in found:
        values = [text.split()[0] for text in got]
        assert all(values.count(value) == 2 for value in values), values
    assert sum(map(len, found)) == 2 * count
    return found


@pytest.mark.parametrize("kind", [HASH, "x-modulus-hash"])
def test_one_key_always_the_same_queue(channel, exchange, kind):
    name = exchange(kind)
    queues = some_queues(channel, name, "1", "1", "1", "1")
    for number in range(200):
        put(channel, f"key {number % 40}", number, exchange=name)
    found = where(channel, queues)
    assert sum(map(len, found)) == 200
    for got in found:
        keys = {int(text) % 40 for text in got}
        assert len(got) == 5 * len(keys)


@pytest.mark.parametrize("kind", [HASH, "x-modulus-hash", "x-random"])
def test_all_have_a_part(channel, exchange, kind):
    name = exchange(kind)
    queues = some_queues(channel, name, "1", "1", "1", "1")
    for number in range(400):
        channel.publish(name, f"key {number}", str(number))
    all_there(channel, queues, 400)
    found = where(channel, queues)
    # A quarter is 100; fewer than 20 of 400 does not happen by chance.
    assert min(map(len, found)) >= 20, [len(got) for got in found]


def all_there(channel, queues, count):
    until(lambda: sum(ready(channel, queue) for queue in queues) == count, f"{count} in all")


def test_weight_is_the_share(channel, exchange):
    name = exchange()
    light, heavy = some_queues(channel, name, "1", "20")
    for number in range(420):
        channel.publish(name, f"key {number}", str(number))
    all_there(channel, [light, heavy], 420)
    assert ready(channel, heavy) > 3 * ready(channel, light)


def test_by_header(channel, exchange):
    name = exchange(hash_header="account")
    queues = some_queues(channel, name, "1", "1", "1")
    found = hashes(lambda n: {"headers": {"account": f"account {n}"}}, channel, name, queues)
    assert sum(1 for got in found if got) > 1


@pytest.mark.parametrize("name", ["message_id", "correlation_id", "timestamp"])
def test_by_property(channel, exchange, name):
    exchange_name = exchange(hash_property=name)
    queues = some_queues(channel, exchange_name, "1", "1", "1")
    found = hashes(
        lambda n: {name: 1000000 + n if name == "timestamp" else f"value {n}"}, channel, exchange_name, queues
    )
    assert sum(1 for got in found if got) > 1


@pytest.mark.parametrize("arguments", [{"hash_header": "account"}, {"hash_property": "message_id"}])
def test_what_has_no_value_goes_to_one_queue(channel, exchange, arguments):
    name = exchange(**arguments)
    queues = some_queues(channel, name, "1", "1", "1")
    put(channel, "a", *range(10), exchange=name)
    put(channel, "b", *range(10, 20), exchange=name)
    assert sorted(map(len, where(channel, queues))) == [0, 0, 20]


def test_by_header_of_any_type(channel, exchange):
    name = exchange(hash_header="n")
    queues = some_queues(channel, name, "1", "1")
    hashes(lambda n: {"headers": {"n": n}}, channel, name, queues)


@pytest.mark.parametrize("kind", [HASH, "x-modulus-hash", "x-random"])
def test_without_bindings_it_is_unroutable(channel, exchange, kind):
    name = exchange(kind)
    channel.publish(name, "k", b"m", mandatory=True)
    assert channel.event().reply_text == "NO_ROUTE"


@pytest.mark.parametrize("kind", [HASH, "x-modulus-hash", "x-random"])
def test_unbound_queue_gets_no_more(channel, exchange, kind):
    name = exchange(kind)
    queues = some_queues(channel, name, "1", "1")
    channel.call("queue.unbind", queue=queues[0], exchange=name, routing_key="1")
    put(channel, "k", *range(20), exchange=name)
    assert [len(got) for got in where(channel, queues)] == [0, 20]


@pytest.mark.parametrize("kind", [HASH, "x-modulus-hash", "x-random"])
def test_deleted_queue_gets_no_more(channel, exchange, kind):
    name = exchange(kind)
    queues = some_queues(channel, name, "1", "1")
    channel.call("queue.delete", queue=queues[0])
    put(channel, "k", *range(20), exchange=name)
    assert len(bodies(channel, queues[1])) == 20


def test_few_keys_move_when_a_queue_comes(channel, exchange):
    """What makes the hash consistent: with a fifth queue about a fifth moves, not four fifths."""
    name = exchange()
    queues = some_queues(channel, name, "10", "10", "10", "10")

    def homes():
        for number in range(200):
            channel.publish(name, f"key {number}", str(number))
        all_there(channel, queues, 200)
        return {text: index for index, got in enumerate(where(channel, queues)) for text in got}

    before = homes()
    queues += some_queues(channel, name, "10")
    after = homes()
    moved = sum(before[key] != after[key] for key in before)
    assert 0 < moved < 100, moved
    # And what moved, moved to the new one.
    assert all(after[key] == 4 for key in before if before[key] != after[key])


def test_bound_exchanges_have_a_share_as_well(channel, exchange):
    name = exchange()
    fanouts = [an_exchange(channel, "fanout", auto_delete=True) for _ in range(2)]
    queues = [a_queue(channel) for _ in fanouts]
    for fanout, queue in zip(fanouts, queues):
        bind(channel, queue, fanout)
        channel.call("exchange.bind", source=name, destination=fanout, routing_key="1")
    for number in range(100):
        channel.publish(name, f"key {number}", str(number))
    all_there(channel, queues, 100)
    assert all(ready(channel, queue) for queue in queues)


def test_random_takes_no_notice_of_the_key(channel, exchange):
    name = exchange("x-random")
    queues = some_queues(channel, name, "a", "b")
    for number in range(200):
        channel.publish(name, "the same", str(number))
    all_there(channel, queues, 200)
    assert all(ready(channel, queue) >= 20 for queue in queues)


def test_consumers_behind_it_share_the_work(connection, channel, exchange):
    name = exchange()
    queues = some_queues(channel, name, "1", "1")
    others = [connection.channel() for _ in queues]
    for other, queue in zip(others, queues):
        consume(other, queue, no_ack=True)
    put(channel, "k", "m", exchange=name)
    for other in others:
        other.sync()
    assert sum(len(other.inbox) for other in others) == 1


@pytest.mark.parametrize("weight", ["", "abc", "1.5", "1 "])
def test_weight_that_is_no_number(channel, exchange, weight):
    name = exchange()
    shown = f'<<"{weight}">>' if weight else "<<>>"
    queue = a_queue(channel)
    with refused(406, f"PRECONDITION_FAILED - The binding key must be an integer: {shown}", method=BIND):
        bind(channel, queue, name, weight)


@pytest.mark.parametrize("weight", ["0", "-1"])
def test_weight_below_one(channel, exchange, weight):
    name, queue = exchange(), a_queue(channel)
    with refused(406, "PRECONDITION_FAILED - The binding key must be greater than 0", method=BIND):
        bind(channel, queue, name, weight)


@pytest.mark.parametrize("kind", ["x-modulus-hash", "x-random"])
def test_others_take_any_binding_key(channel, exchange, kind):
    name, queue = exchange(kind), a_queue(channel)
    bind(channel, queue, name, "no number")
    put(channel, "k", "m", exchange=name)
    assert bodies(channel, queue) == ["m"]


@pytest.mark.parametrize(
    "arguments, text",
    [
        (
            {"hash-header": "h", "hash-property": "message_id"},
            "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
        ),
        ({"hash-property": "bogus"}, "PRECONDITION_FAILED - Unsupported property: bogus"),
        ({"hash-property": "app_id"}, "PRECONDITION_FAILED - Unsupported property: app_id"),
        ({"hash-property": ""}, "PRECONDITION_FAILED - Unsupported property: "),
    ],
)
def test_arguments_that_make_no_sense(channel, arguments, text):
    with refused(406, text, method=DECLARE):
        channel.call("exchange.declare", exchange=unique("e"), type=HASH, arguments=arguments)


def test_declared_as_another_type(channel, exchange):
    name = exchange()
    # RabbitMQ quotes the names twice: to Erlang, an atom with a dash needs quotes of its own.
    text = re.compile(
        f"PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{name}' in vhost '/': "
        f"received '+x-random'+ but current is '+{HASH}'+"
    )
    with refused(406, text, method=DECLARE):
        channel.call("exchange.declare", exchange=name, type="x-random")
