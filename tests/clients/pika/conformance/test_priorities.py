"""Queues with x-max-priority: the highest first, and within one priority the oldest."""

import pytest
from helpers import (
    a_queue,
    a_queue_and_its_dead,
    arrived,
    bodies,
    consume,
    get,
    put,
    ready,
    taken,
    texts,
    until,
)


def at(body, priority):
    return (body, {} if priority is None else {"priority": priority})


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("mode", [1, 2])
def test_highest_first(channel, durable, mode):
    queue = a_queue(channel, arguments={"x-max-priority": 10}, durable=durable)
    for priority in (1, 5, 3, 10, 0, 7):
        put(channel, queue, (priority, {"priority": priority, "delivery_mode": mode}))
    assert bodies(channel, queue) == ["10", "7", "5", "3", "1", "0"]


def test_of_one_priority_the_oldest_first(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 3})
    put(channel, queue, *[at(f"{number % 4} {number:02}", number % 4) for number in range(40)])
    found = bodies(channel, queue)
    assert found == sorted(found, key=lambda text: (-int(text[0]), text))


def test_no_priority_is_zero(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 5})
    put(channel, queue, at("zero", 0), at("none", None), at("one", 1), at("none again", None))
    assert bodies(channel, queue) == ["one", "zero", "none", "none again"]


def test_above_the_highest_is_the_highest(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 5})
    put(channel, queue, at("six", 6), at("five", 5), at("255", 255), at("four", 4))
    found = [get(channel, queue, no_ack=True) for _ in range(4)]
    assert texts(found) == ["six", "five", "255", "four"]
    # The property is passed on as it came.
    assert [message.properties["priority"] for message in found] == [6, 5, 255, 4]


@pytest.mark.parametrize("highest", [1, 10, 255])
def test_any_highest(channel, highest):
    queue = a_queue(channel, arguments={"x-max-priority": highest})
    put(channel, queue, at("low", 0), at("high", highest))
    assert bodies(channel, queue) == ["high", "low"]


def test_highest_of_zero_is_an_ordinary_queue(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 0})
    put(channel, queue, at("a", 0), at("b", 5))
    assert bodies(channel, queue) == ["a", "b"]


def test_without_the_argument_priorities_are_only_passed_on(channel):
    queue = a_queue(channel)
    put(channel, queue, at("a", 1), at("b", 9))
    assert bodies(channel, queue) == ["a", "b"]


def test_count_is_of_all_priorities(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 9})
    put(channel, queue, *[at(number, number % 10) for number in range(30)])
    assert ready(channel, queue) == 30
    assert get(channel, queue).message_count == 29
    assert channel.call("queue.purge", queue=queue).message_count == 29


def test_consumer_with_prefetch_of_one_gets_what_is_highest_each_time(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 9})
    channel.call("basic.qos", prefetch_count=1)
    put(channel, queue, *[at(number, number) for number in range(3)])
    consume(channel, queue)
    found = [channel.delivery()]
    # A higher one comes while the first is out: it goes next, not the one that waited.
    put(channel, queue, at("9", 9))
    for _ in range(3):
        channel.send("basic.ack", delivery_tag=found[-1].delivery_tag)
        found.append(channel.delivery())
    assert texts(found) == ["2", "9", "1", "0"]


def test_what_is_out_is_not_called_back_for_a_higher_one(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 9})
    channel.call("basic.qos", prefetch_count=2)
    put(channel, queue, at("a", 1), at("b", 1), at("c", 1))
    consume(channel, queue)
    assert texts(taken(channel, 2)) == ["a", "b"]
    put(channel, queue, at("high", 9))
    channel.nothing()
    channel.send("basic.ack", delivery_tag=0, multiple=True)
    assert texts(taken(channel, 2)) == ["high", "c"]


def test_requeued_goes_back_to_its_place(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 9})
    put(channel, queue, at("5a", 5), at("5b", 5), at("7", 7), at("1", 1))
    first, second = get(channel, queue), get(channel, queue)
    assert texts([first, second]) == ["7", "5a"]
    for message in (first, second):
        channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    found = [get(channel, queue, no_ack=True) for _ in range(4)]
    assert texts(found) == ["7", "5a", "5b", "1"]
    assert [message.redelivered for message in found] == [True, True, False, False]


def test_recover_puts_all_back_in_order(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 3})
    put(channel, queue, *[at(f"{number % 3} {number}", number % 3) for number in range(9)])
    before = texts([get(channel, queue) for _ in range(9)])
    channel.call("basic.recover", requeue=True)
    assert bodies(channel, queue) == before


def test_higher_requeued_goes_before_lower_that_is_new(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 9})
    put(channel, queue, at("9", 9))
    message = get(channel, queue)
    put(channel, queue, at("8", 8))
    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    assert bodies(channel, queue) == ["9", "8"]


def test_dead_letters_keep_the_priority_they_had(channel):
    dead = a_queue(channel, arguments={"x-max-priority": 9})
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    put(channel, queue, at("low", 1), at("high", 8))
    for _ in range(2):
        get(channel, queue)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=False)
    until(lambda: ready(channel, dead) == 2, "both are there")
    assert bodies(channel, dead) == ["high", "low"]


def test_ttl_of_the_queue_takes_all_priorities(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-priority": 9, "x-message-ttl": 100})
    put(channel, queue, *[at(number, number) for number in range(5)])
    assert sorted(texts(arrived(channel, dead, 5))) == ["0", "1", "2", "3", "4"]
    assert ready(channel, queue) == 0


def test_limit_drops_from_the_head_whatever_its_priority(channel):
    """The head is what would be delivered next: the highest priority goes, as RabbitMQ's manual warns."""
    queue, dead = a_queue_and_its_dead(channel, {"x-max-priority": 9, "x-max-length": 2})
    put(channel, queue, at("9", 9), at("1", 1), at("5", 5))
    assert texts(arrived(channel, dead, 1)) == ["9"]
    assert bodies(channel, queue) == ["5", "1"]


def test_limit_drops_even_what_has_just_come(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-priority": 9, "x-max-length": 2})
    put(channel, queue, at("1", 1), at("8", 8), at("9", 9))
    assert texts(arrived(channel, dead, 1)) == ["9"]
    assert bodies(channel, queue) == ["8", "1"]


def test_reject_publish_looks_at_no_priority(channel):
    queue = a_queue(channel, arguments={"x-max-priority": 9, "x-max-length": 2, "x-overflow": "reject-publish"})
    assert put(channel, queue, at("1", 1), at("2", 2), at("9", 9)) == [True, True, False]
    assert bodies(channel, queue) == ["2", "1"]


def test_limit_of_one_priority_drops_the_oldest(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-priority": 9, "x-max-length": 2})
    put(channel, queue, at("a", 4), at("b", 4), at("c", 4))
    assert texts(arrived(channel, dead, 1)) == ["a"]
    assert bodies(channel, queue) == ["b", "c"]
