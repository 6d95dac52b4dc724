"""x-queue-type=stream over AMQP 0-9-1: read as often as one likes, from wherever one likes."""

import re
import time

import pytest
from helpers import (
    a_queue,
    bind,
    consume,
    fill,
    headers,
    only_bongsu,
    put,
    refused,
    taken,
    texts,
    unique,
    until,
)
from wire import Typed

DECLARE, CONSUME, GET, PURGE = (50, 10), (60, 20), (60, 70), (50, 30)
STREAM = {"x-queue-type": "stream"}
ALL = [str(number) for number in range(20)]


@pytest.fixture
def stream(connect):
    """Makes streams; deleted after the test."""
    made = []

    def stream(*messages, **arguments):
        made.append(unique("stream"))
        channel = connect().channel()
        channel.call("queue.declare", queue=made[-1], durable=True, arguments={**STREAM, **arguments})
        put(channel, made[-1], *messages)
        return made[-1]

    yield stream
    sweeper = connect().channel()
    for name in made:
        sweeper.call("queue.delete", queue=name)


def reader(connection, name, offset=None, prefetch=100, tag=""):
    channel = connection.channel()
    channel.call("basic.qos", prefetch_count=prefetch)
    arguments = {} if offset is None else {"x-stream-offset": offset}
    consume(channel, name, tag, arguments=arguments)
    return channel


def read(channel, count):
    """`count` deliveries, each acknowledged: that is the credit for more."""
    found = []
    for _ in range(count):
        found.append(channel.delivery())
        channel.send("basic.ack", delivery_tag=found[-1].delivery_tag)
    return found


def test_all_from_the_first(connection, stream):
    found = read(reader(connection, stream(*ALL), "first"), 20)
    assert texts(found) == ALL
    assert [headers(message)["x-stream-offset"] for message in found] == list(range(20))
    assert not any(message.redelivered for message in found)
    assert [message.delivery_tag for message in found] == list(range(1, 21))


def test_offset_header_is_a_long_beside_the_messages_own(connection, stream):
    name = stream(("m", {"headers": {"mine": "kept"}, "message_id": "i", "priority": 3}))
    (message,) = read(reader(connection, name, "first"), 1)
    assert message.properties["headers"]["x-stream-offset"] == Typed("l", 0)
    assert headers(message)["mine"] == "kept"
    assert (message.properties["message_id"], message.properties["priority"]) == ("i", 3)
    assert (message.exchange, message.routing_key) == ("", name)


@pytest.mark.parametrize("offset", [0, 7, 19, Typed("l", 7), Typed("s", 7), Typed("B", 7), Typed("i", 7)])
def test_from_an_offset(connection, stream, offset):
    first = offset if isinstance(offset, int) else offset.value
    found = read(reader(connection, stream(*ALL), offset), 20 - first)
    assert texts(found) == ALL[first:]


def test_next_is_what_comes_from_now_on(connection, channel, stream):
    name = stream(*ALL)
    other = reader(connection, name, "next")
    other.nothing()
    put(channel, name, "new")
    (message,) = read(other, 1)
    assert (message.body, headers(message)["x-stream-offset"]) == (b"new", 20)


def test_without_an_offset_it_is_next(connection, channel, stream):
    name = stream(*ALL)
    other = reader(connection, name)
    put(channel, name, "new")
    assert texts(read(other, 1)) == ["new"]


def test_last_is_where_the_last_batch_begins(connection, stream):
    """How much that is the broker decides; the last message is in it, and what follows on it."""
    found = reader(connection, stream(*ALL), "last")
    first = int(read(found, 1)[0].body)
    assert texts(read(found, 19 - first)) == ALL[first + 1 :]


def test_offset_that_is_not_there_yet(connection, channel, stream):
    """It waits, and then gets what RabbitMQ gives: what is next, from the offset on."""
    name = stream(*ALL)
    other = reader(connection, name, 22)
    put(channel, name, "20", "21", "22")
    last = None
    while last != b"22":
        last = read(other, 1)[0].body


@pytest.mark.parametrize("offset", ["1h", "30m", "2D", "1Y", "500s"])
def test_from_an_interval_ago(connection, stream, offset):
    assert texts(read(reader(connection, stream(*ALL), offset), 20)) == ALL


def test_from_a_time_ago(connection, stream):
    assert texts(read(reader(connection, stream(*ALL), Typed("T", int(time.time()) - 3600)), 20)) == ALL


def test_from_a_time_between_two_batches(connection, channel, stream):
    name = stream("old")
    # Whole seconds: the time must lie after one batch and before the other.
    between = int(time.time()) + 1
    until(lambda: time.time() > between + 1, "the second is over")
    put(channel, name, "new")
    assert texts(read(reader(connection, name, Typed("T", between)), 1)) == ["new"]


def test_readers_do_not_disturb_each_other(connection, stream):
    name = stream(*ALL)
    readers = [reader(connection, name, "first") for _ in range(3)]
    for other in readers:
        assert texts(read(other, 20)) == ALL


def test_one_reader_may_read_it_again(connection, stream):
    name = stream(*ALL)
    for _ in range(3):
        channel = reader(connection, name, "first")
        assert texts(read(channel, 20)) == ALL
        channel.close()


def test_reading_while_it_is_written(connection, channel, stream):
    name = stream()
    other = reader(connection, name, "first")
    for number in range(100):
        channel.publish("", name, str(number))
    assert texts(read(other, 100)) == [str(number) for number in range(100)]


def test_prefetch_holds_and_acks_make_room(connection, stream):
    """The broker may round up to what it keeps together, but it does not send all."""
    name = stream()
    channel = connection.channel()
    for number in range(50):
        put(channel, name, number)
    other = reader(connection, name, "first", prefetch=5)
    first = taken(other, 5)
    other.sync()
    assert len(other.inbox) <= 5
    for message in first:
        other.send("basic.ack", delivery_tag=message.delivery_tag)
    assert texts(first + read(other, 45)) == [str(number) for number in range(50)]


def test_ack_multiple_makes_room_as_well(connection, stream):
    other = reader(connection, stream(*ALL), "first", prefetch=2)
    found = []
    while len(found) < 20:
        found.append(other.delivery())
        if len(found) % 2 == 0:
            other.send("basic.ack", delivery_tag=found[-1].delivery_tag, multiple=True)
    assert texts(found) == ALL


@only_bongsu("RabbitMQ 3.10 refuses nack and reject of streams with 540; newer ones do not")
@pytest.mark.parametrize("method", ["basic.nack", "basic.reject"])
@pytest.mark.parametrize("requeue", [False, True])
def test_any_settlement_is_credit_and_nothing_comes_back(connection, stream, method, requeue):
    other = reader(connection, stream(*ALL), "first", prefetch=3)
    found = []
    for _ in range(20):
        found.append(other.delivery())
        other.send(method, delivery_tag=found[-1].delivery_tag, requeue=requeue)
    assert texts(found) == ALL
    other.nothing()


def test_bound_to_an_exchange(connection, channel, stream):
    name = stream()
    bind(channel, name, "amq.topic", f"{name}.#")
    put(channel, f"{name}.x", "m", exchange="amq.topic")
    (message,) = read(reader(connection, name, "first"), 1)
    assert (message.exchange, message.routing_key) == ("amq.topic", f"{name}.x")


def test_together_with_a_queue(connection, channel, stream):
    name, queue = stream(), a_queue(channel)
    for one in (name, queue):
        bind(channel, one, "amq.topic", f"{name}.#")
    put(channel, f"{name}.x", *range(5), exchange="amq.topic")
    assert texts(read(reader(connection, name, "first"), 5)) == ["0", "1", "2", "3", "4"]
    consume(channel, queue, no_ack=True)
    assert texts(taken(channel, 5)) == ["0", "1", "2", "3", "4"]


@only_bongsu("RabbitMQ 3.10 loses what a classic queue dead-letters into a stream")
def test_stream_as_a_dead_letter_queue(connection, channel, stream):
    name = stream()
    queue = a_queue(
        channel, arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
    )
    put(channel, queue, "m")
    (message,) = read(reader(connection, name, "first"), 1)
    assert headers(message)["x-death"][0]["reason"] == "expired"


def test_messages_in_it_do_not_expire(connection, channel, stream):
    name = stream(("short", {"expiration": "1"}), "other")
    fill(channel, a_queue(channel), "some", "round", "trips")
    found = read(reader(connection, name, "first"), 2)
    assert texts(found) == ["short", "other"]
    assert found[0].properties["expiration"] == "1"


def test_large_messages(connection, stream):
    bodies = [chr(97 + number) * 300000 for number in range(4)]
    found = read(reader(connection, stream(*bodies), "first"), 4)
    assert texts(found) == bodies


def test_cancel_ends_the_reading(connection, channel, stream):
    name = stream(*ALL)
    other = reader(connection, name, "first", tag="mine")
    read(other, 20)
    other.call("basic.cancel", consumer_tag="mine")
    put(channel, name, "more")
    other.nothing()


def test_deleted_stream_cancels_its_readers(connect, channel, stream):
    name = stream(*ALL)
    other = reader(connect(capabilities={"consumer_cancel_notify": True}), name, "first", tag="mine")
    read(other, 20)
    channel.call("queue.delete", queue=name)
    assert other.wait("basic.cancel").consumer_tag == "mine"


def test_confirms(channel, stream):
    assert put(channel, stream(), *range(100)) == [True] * 100


# ---------------------------------------------------------------- what streams do not do


def test_reader_needs_a_prefetch(channel, stream):
    name = stream()
    text = f"PRECONDITION_FAILED - consumer prefetch count is not set for 'queue '{name}' in vhost '/''"
    with refused(406, text, method=CONSUME):
        consume(channel, name)


def test_reader_acknowledges(channel, stream):
    name = stream()
    channel.call("basic.qos", prefetch_count=10)
    text = f"NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queues queue '{name}' in vhost '/'"
    with refused(540, text, method=CONSUME, connection=True):
        consume(channel, name, no_ack=True)


def test_no_get(channel, stream):
    name = stream("m")
    text = f"NOT_IMPLEMENTED - basic.get not supported by stream queues queue '{name}' in vhost '/'"
    with refused(540, text, method=GET, connection=True):
        channel.call("basic.get", queue=name)


def test_no_purge(channel, stream):
    name = stream("m")
    text = f"NOT_IMPLEMENTED - queue.purge not supported by stream queues queue '{name}' in vhost '/'"
    with refused(540, text, method=PURGE, connection=True):
        channel.call("queue.purge", queue=name)


@pytest.mark.parametrize(
    "options, property",
    [
        ({"durable": False}, "non-durable"),
        ({"durable": True, "exclusive": True}, "exclusive-owner"),
        ({"durable": True, "auto_delete": True}, "auto-delete"),
    ],
)
def test_declared_as_what_it_cannot_be(channel, options, property):
    name = unique()
    with refused(406, f"PRECONDITION_FAILED - invalid property '{property}' for queue '{name}' in vhost '/'", method=DECLARE):
        channel.call("queue.declare", queue=name, arguments=STREAM, **options)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("x-message-ttl", 5000),
        ("x-expires", 5000),
        ("x-dead-letter-exchange", "a"),
        ("x-max-length", 5),
        ("x-max-priority", 5),
        ("x-overflow", "drop-head"),
        ("x-single-active-consumer", True),
        ("x-delivery-limit", 5),
    ],
)
def test_argument_of_queues(channel, argument, value):
    name = unique()
    text = f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{name}' in vhost '/' of queue type rabbit_stream_queue"
    with refused(406, text, method=DECLARE):
        channel.call("queue.declare", queue=name, durable=True, arguments={**STREAM, argument: value})


@pytest.mark.parametrize(
    "arguments, why",
    [
        ({"x-max-age": 5}, "{unacceptable_type,signedint}"),
        ({"x-max-age": "5"}, "invalid_max_age"),
        ({"x-max-age": "1X"}, "invalid_max_age"),
        ({"x-max-length-bytes": "a"}, '"expected integer, got longstr"'),
        ({"x-max-length-bytes": -1}, "{value_negative,-1}"),
        ({"x-stream-max-segment-size-bytes": "a"}, '"expected integer, got longstr"'),
        ({"x-stream-max-segment-size-bytes": -1}, "{value_negative,-1}"),
    ],
)
def test_argument_that_is_none(channel, arguments, why):
    name, (argument,) = unique(), arguments
    text = f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{name}' in vhost '/': {why}"
    with refused(406, text, method=DECLARE):
        channel.call("queue.declare", queue=name, durable=True, arguments={**STREAM, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-age": "1D"},
        {"x-max-age": "20m"},
        {"x-max-length-bytes": 1000000},
        {"x-stream-max-segment-size-bytes": 100000},
        {"x-initial-cluster-size": 1},
        {"x-max-age": "7D", "x-max-length-bytes": 2000000000, "x-stream-max-segment-size-bytes": 50000000},
    ],
    ids=str,
)
def test_arguments_of_its_own(connection, stream, arguments):
    name = stream("m", **arguments)
    assert texts(read(reader(connection, name, "first"), 1)) == ["m"]


def test_interval_that_is_none(channel, stream):
    name = stream()
    channel.call("basic.qos", prefetch_count=10)
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{name}' in vhost '/': "
        '{invalid_stream_offset_arg,{longstr,<<"1x">>}}'
    )
    with refused(406, text, method=CONSUME):
        consume(channel, name, arguments={"x-stream-offset": "1x"})


@only_bongsu("RabbitMQ 3.10 falls over: 541 INTERNAL_ERROR")
@pytest.mark.parametrize("offset", ["bogus", "", "h", True, None, Typed("d", 1.5), {"a": 1}])
def test_offset_that_is_none(channel, stream, offset):
    name = stream()
    channel.call("basic.qos", prefetch_count=10)
    text = re.compile(f"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{name}' in vhost '/': .+")
    with refused(406, text, method=CONSUME):
        consume(channel, name, arguments={"x-stream-offset": offset})


def test_declared_as_another_type(channel, stream):
    name = stream()
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{name}' in vhost '/': "
        "received 'classic' but current is 'stream'"
    )
    with refused(406, text, method=DECLARE):
        channel.call("queue.declare", queue=name, durable=True, arguments={"x-queue-type": "classic"})


def test_declared_without_a_type(channel, stream):
    name = stream()
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{name}' in vhost '/': "
        "received none but current is the value 'stream' of type 'longstr'"
    )
    with refused(406, text, method=DECLARE):
        channel.call("queue.declare", queue=name, durable=True)


# ---------------------------------------------------------------- filters


FILTERS = "RabbitMQ filters streams from 3.13 on"


@only_bongsu(FILTERS)
@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"x-stream-filter": "red"}, ["red 0", "red 1"]),
        ({"x-stream-filter": ["red", "blue"]}, ["red 0", "blue 0", "red 1", "blue 1"]),
        ({"x-stream-filter": "red", "x-stream-match-unfiltered": True}, ["red 0", "none 0", "red 1", "none 1"]),
    ],
    ids=str,
)
def test_filter(connection, channel, stream, arguments, expected):
    """RabbitMQ may send more than matches; nothing that matches is missing, and the order holds."""
    name = stream()
    for turn in range(2):
        for colour in ("red", "blue", "green", "none"):
            value = {} if colour == "none" else {"headers": {"x-stream-filter-value": colour}}
            put(channel, name, (f"{colour} {turn}", value))
    other = connection.channel()
    other.call("basic.qos", prefetch_count=100)
    consume(other, name, arguments={"x-stream-offset": "first", **arguments})
    found = []
    while expected[-1] not in found:
        found += texts(read(other, 1))
    assert [text for text in found if text in expected] == expected
