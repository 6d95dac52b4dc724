"""x-single-active-consumer: one gets everything, the others wait to take its place."""

import pytest
from helpers import (
    a_queue,
    bodies,
    consume,
    consumers,
    get,
    put,
    ready,
    refused,
    taken,
    texts,
    unique,
)

SINGLE = {"x-single-active-consumer": True}


@pytest.fixture
def queue(connect):
    """Not exclusive: consumers come from several connections, and die with them."""
    name = unique()
    owner = connect().channel()
    owner.call("queue.declare", queue=name, arguments=SINGLE)
    yield name
    connect().channel().call("queue.delete", queue=name)


def some_consumers(connection, queue, count, prefetch=0, **options):
    channels = [connection.channel() for _ in range(count)]
    for channel in channels:
        channel.call("basic.qos", prefetch_count=prefetch)
        consume(channel, queue, **options)
    return channels


def test_first_one_gets_all(connection, channel, queue):
    first, second, third = some_consumers(connection, queue, 3)
    put(channel, queue, *range(10))
    assert texts(taken(first, 10)) == [str(number) for number in range(10)]
    for other in (second, third):
        other.nothing()
    assert consumers(channel, queue) == 3


def test_a_full_one_is_waited_for(connection, channel, queue):
    first, second = some_consumers(connection, queue, 2, prefetch=2)
    put(channel, queue, *range(4))
    out = taken(first, 2)
    first.nothing()
    second.nothing()
    assert ready(channel, queue) == 2
    first.send("basic.ack", delivery_tag=out[1].delivery_tag, multiple=True)
    assert texts(taken(first, 2)) == ["2", "3"]
    second.nothing()


def test_next_in_line_takes_over_when_it_is_cancelled(connection, channel, queue):
    channels = [connection.channel() for _ in range(3)]
    tags = [consume(one, queue) for one in channels]
    for number, (one, tag) in enumerate(zip(channels, tags)):
        put(channel, queue, number)
        message = one.delivery()
        assert message.body == str(number).encode()
        one.send("basic.ack", delivery_tag=message.delivery_tag)
        one.call("basic.cancel", consumer_tag=tag)
    put(channel, queue, "left")
    assert bodies(channel, queue) == ["left"]


def test_what_a_cancelled_one_has_out_stays_out(connection, channel, queue):
    first, second = connection.channel(), connection.channel()
    tag = consume(first, queue)
    consume(second, queue)
    put(channel, queue, 1)
    message = first.delivery()
    first.call("basic.cancel", consumer_tag=tag)
    put(channel, queue, 2)
    assert second.delivery().body == b"2"
    first.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    back = second.delivery()
    assert (back.body, back.redelivered) == (b"1", True)


@pytest.mark.parametrize("how", ["channel", "connection", "socket"])
def test_next_one_gets_in_order_what_a_dead_one_had(connect, channel, queue, how):
    going = connect()
    (first,) = some_consumers(going, queue, 1, prefetch=3)
    (second,) = some_consumers(connect(), queue, 1)
    put(channel, queue, *range(6))
    taken(first, 3)
    if how == "channel":
        first.close()
    elif how == "connection":
        going.close()
    else:
        going.abort()
    found = taken(second, 6)
    assert texts(found) == ["0", "1", "2", "3", "4", "5"]
    assert [message.redelivered for message in found] == [True] * 3 + [False] * 3


def test_one_that_waits_may_go_without_a_trace(connection, channel, queue):
    first, second, third = some_consumers(connection, queue, 3)
    second.close()
    put(channel, queue, 1)
    assert first.delivery().body == b"1"
    first.close()
    assert third.delivery().body == b"1"


def test_one_that_comes_back_is_last_in_line(connection, channel, queue):
    first, second = connection.channel(), connection.channel()
    tag = consume(first, queue)
    consume(second, queue)
    first.call("basic.cancel", consumer_tag=tag)
    consume(first, queue)
    put(channel, queue, 1)
    assert second.delivery().body == b"1"
    first.nothing()


def test_auto_ack_as_well(connection, channel, queue):
    first, second = some_consumers(connection, queue, 2, no_ack=True)
    put(channel, queue, *range(100))
    assert len(taken(first, 100)) == 100
    second.nothing()


def test_several_on_one_channel(channel, queue):
    for tag in "abc":
        consume(channel, queue, tag)
    put(channel, queue, 1, 2)
    assert [message.consumer_tag for message in taken(channel, 2)] == ["a", "a"]
    channel.call("basic.cancel", consumer_tag="a")
    put(channel, queue, 3)
    assert channel.delivery().consumer_tag == "b"


def test_requeued_by_itself_comes_to_itself(connection, channel, queue):
    first, second = some_consumers(connection, queue, 2)
    put(channel, queue, 1)
    message = first.delivery()
    first.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    again = first.delivery()
    assert (again.body, again.redelivered) == (b"1", True)
    second.nothing()


def test_get_takes_what_the_active_one_has_no_room_for(connection, channel, queue):
    (first,) = some_consumers(connection, queue, 1, prefetch=1)
    put(channel, queue, 1, 2)
    assert first.delivery().body == b"1"
    assert get(channel, queue).body == b"2"


def test_higher_priority_is_next_in_line(connection, channel, queue):
    """It waits like the others, but before them."""
    first = connection.channel()
    consume(first, queue)
    low, high = connection.channel(), connection.channel()
    consume(low, queue, arguments={"x-priority": 1})
    consume(high, queue, arguments={"x-priority": 5})
    first.close()
    put(channel, queue, 1)
    assert high.delivery().body == b"1"
    low.nothing()


def test_false_is_an_ordinary_queue(connection, channel):
    name = a_queue(channel, arguments={"x-single-active-consumer": False})
    two = [connection.channel() for _ in range(2)]
    for one in two:
        consume(one, name)
    put(channel, name, 1, 2)
    assert {one.delivery().body for one in two} == {b"1", b"2"}


def test_redeclared_otherwise(channel, queue):
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-single-active-consumer' for queue '{queue}' in vhost '/': "
        "received none but current is the value 'true' of type 'bool'"
    )
    with refused(406, text, method=(50, 10)):
        channel.call("queue.declare", queue=queue)


def test_queue_goes_with_all_its_consumers(connect):
    channel, other = connect(capabilities={"consumer_cancel_notify": True}).channel(), connect().channel()
    name = unique()
    other.call("queue.declare", queue=name, arguments=SINGLE)
    for tag in "ab":
        consume(channel, name, tag)
    other.call("queue.delete", queue=name)
    assert {channel.wait("basic.cancel").consumer_tag for _ in range(2)} == {"a", "b"}


def test_auto_delete_waits_for_the_last_in_line(connection, channel):
    name = a_queue(channel, exclusive=False, auto_delete=True, arguments=SINGLE)
    one, two = consume(channel, name), consume(channel, name)
    channel.call("basic.cancel", consumer_tag=one)
    fill_and_take(channel, name)
    channel.call("basic.cancel", consumer_tag=two)
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        ready(channel, name)


def fill_and_take(channel, name):
    put(channel, name, "m")
    channel.send("basic.ack", delivery_tag=channel.delivery().delivery_tag)
