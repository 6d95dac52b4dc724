"""Limits on a queue's length: what is dropped, what is refused, and what the publisher hears."""

import pytest
from helpers import (
    a_queue,
    a_queue_and_its_dead,
    arrived,
    bind,
    bodies,
    consume,
    deaths,
    get,
    put,
    ready,
    taken,
    texts,
    unique,
    until,
)

REJECT = {"x-overflow": "reject-publish"}
REJECT_DLX = {"x-overflow": "reject-publish-dlx"}


@pytest.mark.parametrize("overflow", [{}, {"x-overflow": "drop-head"}])
@pytest.mark.parametrize("durable", [False, True])
def test_the_oldest_go(channel, overflow, durable):
    queue = a_queue(channel, arguments={"x-max-length": 3, **overflow}, durable=durable)
    assert put(channel, queue, *[(number, {"delivery_mode": 2}) for number in range(10)]) == [True] * 10
    assert ready(channel, queue) == 3
    assert bodies(channel, queue) == ["7", "8", "9"]


def test_dropped_die_in_their_order(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 3})
    put(channel, queue, *range(10))
    gone = arrived(channel, dead, 7)
    assert texts(gone) == [str(number) for number in range(7)]
    assert {deaths(message)[0]["reason"] for message in gone} == {"maxlen"}
    assert bodies(channel, queue) == ["7", "8", "9"]


def test_bytes_count_bodies(channel):
    queue = a_queue(channel, arguments={"x-max-length-bytes": 30})
    put(channel, queue, *[(f"{number:010}", {"message_id": "x" * 200}) for number in range(5)])
    assert bodies(channel, queue) == [f"{number:010}" for number in (2, 3, 4)]


def test_bytes_drop_as_many_as_it_takes(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length-bytes": 100})
    put(channel, queue, *["a" * 20] * 5, "b" * 50)
    assert [len(text) for text in bodies(channel, queue)] == [20, 20, 50]
    assert len(arrived(channel, dead, 3)) == 3


def test_message_larger_than_the_queue_may_be(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length-bytes": 10})
    put(channel, queue, "small", "far too large")
    assert bodies(channel, queue) == []
    assert texts(arrived(channel, dead, 2)) == ["small", "far too large"]


def test_empty_messages_weigh_nothing(channel):
    queue = a_queue(channel, arguments={"x-max-length-bytes": 10})
    put(channel, queue, *[""] * 50, "0123456789")
    assert ready(channel, queue) == 51


def test_both_limits_hold(channel):
    queue = a_queue(channel, arguments={"x-max-length": 3, "x-max-length-bytes": 10})
    put(channel, queue, "aaaa", "bbbb", "cccc")
    assert bodies(channel, queue) == ["bbbb", "cccc"]
    put(channel, queue, *"abcde")
    assert bodies(channel, queue) == ["c", "d", "e"]


def test_zero_keeps_nothing(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 0})
    put(channel, queue, 1, 2)
    assert bodies(channel, queue) == []
    assert texts(arrived(channel, dead, 2)) == ["1", "2"]


def test_zero_passes_on_to_a_waiting_consumer(channel):
    queue = a_queue(channel, arguments={"x-max-length": 0})
    consume(channel, queue, no_ack=True)
    put(channel, queue, 1, 2, 3)
    assert texts(taken(channel, 3)) == ["1", "2", "3"]


def test_what_is_out_does_not_count(channel):
    queue = a_queue(channel, arguments={"x-max-length": 2})
    put(channel, queue, 1, 2)
    out = [get(channel, queue) for _ in range(2)]
    put(channel, queue, 3, 4)
    assert ready(channel, queue) == 2
    channel.send("basic.ack", delivery_tag=out[1].delivery_tag, multiple=True)
    assert bodies(channel, queue) == ["3", "4"]


def test_what_comes_back_beyond_the_limit_is_dropped_from_the_head(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 2})
    put(channel, queue, 1, 2)
    for _ in range(2):
        get(channel, queue)
    put(channel, queue, 3, 4)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    assert texts(arrived(channel, dead, 2)) == ["1", "2"]
    assert bodies(channel, queue) == ["3", "4"]


def test_room_that_a_consumer_makes_is_used(channel):
    queue = a_queue(channel, arguments={"x-max-length": 2, **REJECT})
    assert put(channel, queue, 1, 2, 3) == [True, True, False]
    get(channel, queue, no_ack=True)
    assert put(channel, queue, 4, 5) == [True, False]
    assert bodies(channel, queue) == ["2", "4"]


@pytest.mark.parametrize("durable", [False, True])
def test_reject_publish_nacks_the_new_and_keeps_the_old(channel, durable):
    queue = a_queue(channel, arguments={"x-max-length": 3, **REJECT}, durable=durable)
    said = put(channel, queue, *[(number, {"delivery_mode": 2}) for number in range(6)])
    assert said == [True] * 3 + [False] * 3
    assert bodies(channel, queue) == ["0", "1", "2"]


def test_reject_publish_without_confirms_drops_in_silence(channel):
    queue = a_queue(channel, arguments={"x-max-length": 1, **REJECT})
    put(channel, queue, 1)
    channel.publish("", queue, b"2")
    channel.publish("", queue, b"3", mandatory=True)
    channel.nothing()
    assert put(channel, queue, 4) == [False]
    channel.nothing()
    assert bodies(channel, queue) == ["1"]


def test_reject_publish_does_not_dead_letter(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 1, **REJECT})
    put(channel, queue, 1, 2)
    channel.send("basic.reject", delivery_tag=get(channel, queue).delivery_tag)
    assert texts(arrived(channel, dead, 1)) == ["1"]
    assert ready(channel, dead) == 0


def test_reject_publish_dlx_nacks_and_dead_letters_the_new(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 2, **REJECT_DLX})
    assert put(channel, queue, *range(5)) == [True, True, False, False, False]
    gone = arrived(channel, dead, 3)
    assert texts(gone) == ["2", "3", "4"]
    for message in gone:
        (death,) = deaths(message)
        assert (death["reason"], death["queue"], death["count"]) == ("maxlen", queue, 1)
    assert bodies(channel, queue) == ["0", "1"]


def test_reject_publish_dlx_without_an_exchange_is_reject_publish(channel):
    queue = a_queue(channel, arguments={"x-max-length": 1, **REJECT_DLX})
    assert put(channel, queue, 1, 2) == [True, False]
    assert bodies(channel, queue) == ["1"]


def test_reject_publish_with_a_limit_of_bytes(channel):
    queue = a_queue(channel, arguments={"x-max-length-bytes": 10, **REJECT})
    said = put(channel, queue, "12345", "12345", "12345")
    assert said == [True, True, False]
    assert bodies(channel, queue) == ["12345", "12345"]


def test_reject_publish_refuses_what_would_cross_the_limit_of_bytes(channel):
    """And takes what comes later and still fits."""
    queue = a_queue(channel, arguments={"x-max-length-bytes": 10, **REJECT})
    assert put(channel, queue, "123456", "12345", "1234", "1") == [True, False, True, False]
    assert bodies(channel, queue) == ["123456", "1234"]


def test_reject_publish_with_a_limit_of_zero(channel):
    queue = a_queue(channel, arguments={"x-max-length": 0, **REJECT})
    assert put(channel, queue, 1, 2) == [False, False]


def test_nacked_by_one_of_many_it_is_in_the_others(channel):
    full = a_queue(channel, arguments={"x-max-length": 1, **REJECT})
    free = [a_queue(channel) for _ in range(2)]
    for queue in (free[0], full, free[1]):
        bind(channel, queue, "amq.topic", f"{full}.#")
    said = put(channel, f"{full}.x", 1, 2, 3, exchange="amq.topic")
    assert said == [True, False, False]
    assert bodies(channel, full) == ["1"]
    for queue in free:
        assert bodies(channel, queue) == ["1", "2", "3"]


def test_nacks_and_acks_each_say_their_own_number(channel):
    full, free = a_queue(channel, arguments={"x-max-length": 0, **REJECT}), a_queue(channel)
    channel.call("confirm.select")
    for number in range(20):
        channel.publish("", full if number % 3 == 0 else free, str(number))
    said = {}
    while len(said) < 20:
        event = channel.event()
        assert event.name in ("basic.ack", "basic.nack"), event
        lowest = 1 if event.multiple else event.delivery_tag
        for tag in range(lowest, event.delivery_tag + 1):
            said.setdefault(tag, event.name)
    assert said == {n + 1: "basic.nack" if n % 3 == 0 else "basic.ack" for n in range(20)}
    channel.nothing()


def test_nacked_and_mandatory_does_not_come_back(channel):
    queue = a_queue(channel, arguments={"x-max-length": 0, **REJECT})
    channel.call("confirm.select")
    channel.publish("", queue, b"m", mandatory=True)
    assert channel.event().name == "basic.nack"
    channel.nothing()


def test_dead_letters_find_a_full_queue_with_reject_publish(channel):
    """Nobody can be told: what does not fit is gone."""
    full = a_queue(channel, arguments={"x-max-length": 1, **REJECT})
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": full})
    put(channel, queue, 1, 2, 3)
    for _ in range(3):
        get(channel, queue)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=False)
    assert texts(arrived(channel, full, 1)) == ["1"]
    assert bodies(channel, queue) == []


def test_limit_and_redeclaration(channel):
    queue = unique()
    for _ in range(2):
        a_queue(channel, queue, arguments={"x-max-length": 2, "x-overflow": "drop-head"})
    put(channel, queue, 1, 2, 3)
    assert bodies(channel, queue) == ["2", "3"]


def test_limit_counts_after_a_purge(channel):
    queue = a_queue(channel, arguments={"x-max-length": 2, **REJECT})
    assert put(channel, queue, 1, 2, 3) == [True, True, False]
    channel.call("queue.purge", queue=queue)
    assert put(channel, queue, 4, 5, 6) == [True, True, False]
    assert bodies(channel, queue) == ["4", "5"]


def test_consumer_with_prefetch_drains_a_full_queue_in_order(channel):
    queue = a_queue(channel, arguments={"x-max-length": 5})
    put(channel, queue, *range(20))
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue)
    found = []
    for _ in range(5):
        message = channel.delivery()
        found.append(message.body.decode())
        channel.send("basic.ack", delivery_tag=message.delivery_tag)
    assert found == ["15", "16", "17", "18", "19"]


def test_reject_publish_does_not_count_what_is_out(channel):
    queue = a_queue(channel, arguments={"x-max-length": 2, **REJECT})
    put(channel, queue, 1, 2)
    for _ in range(2):
        get(channel, queue)
    assert put(channel, queue, 3, 4, 5) == [True, True, False]


def test_what_comes_back_to_a_queue_that_rejects_is_kept(channel):
    """It was in the queue before: nobody could be told that it is not any more."""
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 2, **REJECT})
    put(channel, queue, 1, 2)
    for _ in range(2):
        get(channel, queue)
    put(channel, queue, 3, 4)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    channel.sync()
    assert put(channel, queue, 5) == [False]
    assert bodies(channel, queue) == ["1", "2", "3", "4"]
    assert ready(channel, dead) == 0
    assert put(channel, queue, 6) == [True]


def test_expired_make_room(channel):
    queue = a_queue(channel, arguments={"x-max-length": 2, "x-message-ttl": 50, **REJECT})
    assert put(channel, queue, 1, 2)[0]
    until(lambda: ready(channel, queue) == 0, "both expire")
    assert put(channel, queue, 3) == [True]


def test_waiting_consumer_takes_all_whatever_the_limit(channel):
    queue = a_queue(channel, arguments={"x-max-length": 1, **REJECT})
    consume(channel, queue, no_ack=True)
    said = []
    for number in range(20):
        said += put(channel, queue, number)
        assert channel.delivery().body == str(number).encode()
    assert said == [True] * 20


def test_dropped_one_by_one_and_in_bulk_alike(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-max-length": 5}, durable=True)
    for number in range(10):
        put(channel, queue, (number, {"delivery_mode": 2}))
    put(channel, queue, *[(number, {"delivery_mode": 2}) for number in range(10, 500)])
    assert texts(arrived(channel, dead, 495)) == [str(number) for number in range(495)]
    assert bodies(channel, queue) == [str(number) for number in range(495, 500)]
