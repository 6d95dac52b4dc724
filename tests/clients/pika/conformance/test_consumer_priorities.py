"""x-priority of a consumer: the highest that has room gets everything."""

import pytest
from helpers import a_queue, consume, only_rabbitmq, put, refused, taken, texts
from wire import Typed

CONSUME = (60, 20)


def a_consumer(connection, queue, priority=None, prefetch=0, **options):
    channel = connection.channel()
    channel.call("basic.qos", prefetch_count=prefetch)
    arguments = {} if priority is None else {"x-priority": priority}
    consume(channel, queue, arguments=arguments, **options)
    return channel


def test_highest_gets_all_while_it_has_room(connection, channel):
    queue = a_queue(channel)
    low = a_consumer(connection, queue, 1)
    high = a_consumer(connection, queue, 10)
    put(channel, queue, *range(20))
    assert texts(taken(high, 20)) == [str(number) for number in range(20)]
    low.nothing()


def test_when_it_is_full_the_next_one_gets(connection, channel):
    queue = a_queue(channel)
    low = a_consumer(connection, queue, 1, prefetch=2)
    high = a_consumer(connection, queue, 10, prefetch=3)
    put(channel, queue, *range(7))
    first = taken(high, 3)
    assert texts(first) == ["0", "1", "2"]
    assert texts(taken(low, 2)) == ["3", "4"]
    # Room at the top again: the next goes there.
    high.send("basic.ack", delivery_tag=first[0].delivery_tag)
    assert high.delivery().body == b"5"
    low.nothing()


def test_none_is_zero_and_below_zero_is_lower(connection, channel):
    queue = a_queue(channel)
    below = a_consumer(connection, queue, -1, prefetch=1)
    none = a_consumer(connection, queue, None, prefetch=1)
    above = a_consumer(connection, queue, 1, prefetch=1)
    put(channel, queue, *range(3))
    assert [one.delivery().body for one in (above, none, below)] == [b"0", b"1", b"2"]


def test_zero_and_none_take_turns(connection, channel):
    queue = a_queue(channel)
    two = [a_consumer(connection, queue, None), a_consumer(connection, queue, 0)]
    put(channel, queue, *range(10))
    for one in two:
        assert len(taken(one, 5)) == 5
        one.nothing()


def test_equals_take_turns_before_lower_ones(connection, channel):
    queue = a_queue(channel)
    low = a_consumer(connection, queue, 0)
    high = [a_consumer(connection, queue, 5) for _ in range(2)]
    put(channel, queue, *range(20))
    got = [texts(taken(one, 10)) for one in high]
    assert sorted(sum(got, []), key=int) == [str(number) for number in range(20)]
    low.nothing()


def test_auto_ack_has_always_room(connection, channel):
    queue = a_queue(channel)
    low = a_consumer(connection, queue, 1, no_ack=True)
    high = a_consumer(connection, queue, 2, no_ack=True, prefetch=1)
    put(channel, queue, *range(50))
    assert len(taken(high, 50)) == 50
    low.nothing()


def test_lower_one_takes_over_when_the_highest_goes(connection, channel):
    queue = a_queue(channel)
    low = a_consumer(connection, queue, 1)
    high = a_consumer(connection, queue, 10)
    put(channel, queue, 1)
    high.delivery()
    high.close()
    assert (low.delivery().body, low.number in connection.channels) == (b"1", True)
    put(channel, queue, 2)
    assert low.delivery().body == b"2"


def test_higher_one_that_comes_later_takes_over(connection, channel):
    queue = a_queue(channel)
    low = a_consumer(connection, queue, 1)
    put(channel, queue, 1)
    assert low.delivery().body == b"1"
    high = a_consumer(connection, queue, 10)
    put(channel, queue, 2, 3)
    assert texts(taken(high, 2)) == ["2", "3"]
    low.nothing()


def test_priorities_on_one_channel(channel):
    queue = a_queue(channel)
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue, "low", arguments={"x-priority": 1})
    consume(channel, queue, "high", arguments={"x-priority": 2})
    put(channel, queue, 1, 2)
    assert [message.consumer_tag for message in taken(channel, 2)] == ["high", "low"]


@pytest.mark.parametrize(
    "value, kind",
    [
        ("high", "longstr"),
        (True, "bool"),
        (None, "void"),
        (Typed("d", 1.5), "double"),
        pytest.param(Typed("f", 1.5), "float", marks=only_rabbitmq("names the width a float had on the wire")),
        (Typed("T", 1), "timestamp"),
        ([1], "array"),
        ({"a": 1}, "table"),
        (Typed("x", b"1"), "binary"),
        (Typed("D", (0, 1)), "decimal"),
    ],
)
def test_priority_that_is_no_integer(channel, value, kind):
    queue = a_queue(channel)
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': "
        f'"expected integer, got {kind}"'
    )
    with refused(406, text, method=CONSUME):
        consume(channel, queue, arguments={"x-priority": value})


@pytest.mark.parametrize("value", [Typed("b", -128), Typed("B", 255), Typed("s", -5), Typed("l", 5)])
def test_priority_of_any_width(channel, value):
    queue = a_queue(channel)
    consume(channel, queue, no_ack=True, arguments={"x-priority": value})
    put(channel, queue, "m")
    assert channel.delivery().body == b"m"
