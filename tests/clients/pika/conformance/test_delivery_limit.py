"""How often a message may fail: x-delivery-limit, x-delivery-count, and what counts as a failure.

RabbitMQ has them for quorum queues only, so these are; 3.10 counts every return. From 4.3 on, and
in Bongsu, `basic.reject` and a lost consumer are failures and `basic.nack` is none.
"""

import pytest
from helpers import (
    JUDGE,
    a_queue,
    arrived,
    bodies,
    consume,
    deaths,
    get,
    headers,
    only_bongsu,
    only_rabbitmq,
    put,
    ready,
    texts,
    unique,
    until,
)
from wire import Typed

# Bongsu says both counts, as RabbitMQ does from 4.3 on.
ACQUIRED = {"x-acquired-count": 1} if JUDGE == "bongsu" else {}
BY_NACK = "nack is no failure since RabbitMQ 4.3"


@pytest.fixture
def quorum(connect):
    """Makes quorum queues with arguments of the caller's; deleted after the test."""
    made = []

    def quorum(**arguments):
        name = unique("quorum")
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        connect().channel().call(
            "queue.declare", queue=name, durable=True, arguments={"x-queue-type": "quorum", **arguments}
        )
        made.append(name)
        return name

    yield quorum
    sweeper = connect().channel()
    for name in made:
        sweeper.call("queue.delete", queue=name)


@pytest.fixture
def dead(channel):
    return a_queue(channel, unique("dead"))


def limited(quorum, dead, limit, **more):
    return quorum(
        **{"x-delivery-limit": limit, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, **more}
    )


def next_of(channel, queue):
    def found():
        got = channel.call("basic.get", queue=queue)
        return got if got.name == "basic.get-ok" else None

    return until(found, f"a message in {queue}")


def reject(channel, message):
    channel.send("basic.reject", delivery_tag=message.delivery_tag, requeue=True)


def counted(message):
    """3.10 says 0 of a first delivery by basic.get, and nothing of one to a consumer."""
    return headers(message).get("x-delivery-count", 0)


def test_count_begins_with_the_first_redelivery(channel, quorum):
    queue = quorum()
    put(channel, queue, ("m", {"headers": {"mine": "kept"}}))
    found = []
    for _ in range(4):
        message = next_of(channel, queue)
        assert headers(message)["mine"] == "kept"
        found.append((message.redelivered, counted(message)))
        reject(channel, message)
    assert found == [(False, 0), (True, 1), (True, 2), (True, 3)]


def test_first_delivery_to_a_consumer_says_nothing(channel, quorum):
    queue = quorum()
    consume(channel, queue)
    put(channel, queue, "m")
    message = channel.delivery()
    assert "headers" not in message.properties
    reject(channel, message)
    assert headers(channel.delivery()) == {"x-delivery-count": 1, **ACQUIRED}


def test_count_is_a_long(channel, quorum):
    queue = quorum()
    put(channel, queue, "m")
    reject(channel, next_of(channel, queue))
    assert next_of(channel, queue).properties["headers"]["x-delivery-count"] == Typed("l", 1)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_dies_when_it_has_failed_more_often_than_the_limit(channel, quorum, dead, limit):
    queue = limited(quorum, dead, limit)
    put(channel, queue, "m")
    for attempt in range(limit + 1):
        message = next_of(channel, queue)
        assert counted(message) == attempt
        reject(channel, message)
    (gone,) = arrived(channel, dead, 1)
    (death,) = deaths(gone)
    assert (death["reason"], death["queue"], death["count"], death["exchange"]) == ("delivery_limit", queue, 1, "")
    assert headers(gone)["x-first-death-reason"] == "delivery_limit"
    assert (gone.body, gone.redelivered) == (b"m", False)
    assert ready(channel, queue) == 0


def test_dead_letter_says_nothing_of_the_count(channel, quorum, dead):
    queue = limited(quorum, dead, 1)
    put(channel, queue, "m")
    for _ in range(2):
        reject(channel, next_of(channel, queue))
    assert "x-delivery-count" not in headers(arrived(channel, dead, 1)[0])


def test_without_a_dead_letter_exchange_it_is_dropped(channel, quorum):
    queue = quorum(**{"x-delivery-limit": 1})
    put(channel, queue, "m", "next")
    for _ in range(2):
        message = next_of(channel, queue)
        while message.body != b"m":
            message = next_of(channel, queue)
        reject(channel, message)
    channel.call("basic.recover", requeue=True)
    assert arrived(channel, queue, 1)[0].body == b"next"
    assert bodies(channel, queue) == []


@pytest.mark.parametrize("how", ["channel", "connection", "socket"])
def test_consumer_that_goes_has_failed(connect, channel, quorum, dead, how):
    queue = limited(quorum, dead, 1)
    put(channel, queue, "m")
    for attempt in range(2):
        connection = connect()
        going = connection.channel()
        consume(going, queue)
        assert counted(going.delivery()) == attempt
        if how == "channel":
            going.close()
        elif how == "connection":
            connection.close()
        else:
            connection.abort()
        until(lambda: ready(channel, queue) or ready(channel, dead), "it is back, or dead")
    assert deaths(arrived(channel, dead, 1)[0])[0]["reason"] == "delivery_limit"


def test_rejected_without_requeue_dies_at_once(channel, quorum, dead):
    queue = limited(quorum, dead, 5)
    put(channel, queue, "m")
    channel.send("basic.reject", delivery_tag=next_of(channel, queue).delivery_tag, requeue=False)
    assert deaths(arrived(channel, dead, 1)[0])[0]["reason"] == "rejected"


def test_each_message_is_counted_for_itself(channel, quorum, dead):
    queue = limited(quorum, dead, 2)
    put(channel, queue, "bad", "good")
    seen = {b"bad": 0, b"good": 0}
    while sum(seen.values()) < 4:
        message = get_or_none(channel, queue)
        if message is None:
            continue
        seen[message.body] += 1
        if message.body == b"bad":
            reject(channel, message)
        else:
            channel.send("basic.ack", delivery_tag=message.delivery_tag)
    assert seen == {b"bad": 3, b"good": 1}
    assert texts(arrived(channel, dead, 1)) == ["bad"]


def get_or_none(channel, queue):
    got = channel.call("basic.get", queue=queue)
    return got if got.name == "basic.get-ok" else None


def test_count_of_what_was_published_with_one(channel, quorum):
    """A count in the headers of a publish is the publisher's own, until the queue counts."""
    queue = quorum()
    put(channel, queue, ("m", {"headers": {"x-delivery-count": 7}}))
    reject(channel, next_of(channel, queue))
    assert counted(next_of(channel, queue)) == 1


@only_rabbitmq(BY_NACK)
def test_nack_was_a_failure_in_3_10(channel, quorum, dead):
    queue = limited(quorum, dead, 1)
    put(channel, queue, "m")
    for _ in range(2):
        channel.send("basic.nack", delivery_tag=next_of(channel, queue).delivery_tag, requeue=True)
    assert deaths(arrived(channel, dead, 1)[0])[0]["reason"] == "delivery_limit"


@only_bongsu(BY_NACK)
def test_nack_is_no_failure(channel, quorum, dead):
    queue = limited(quorum, dead, 1)
    put(channel, queue, "m")
    for _ in range(10):
        message = next_of(channel, queue)
        assert counted(message) == 0
        channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    reject(channel, next_of(channel, queue))
    message = next_of(channel, queue)
    assert counted(message) == 1
    reject(channel, message)
    assert deaths(arrived(channel, dead, 1)[0])[0]["reason"] == "delivery_limit"


@only_bongsu("RabbitMQ has x-acquired-count from 4.3 on")
def test_acquired_count_is_of_every_return(channel, quorum):
    queue = quorum()
    put(channel, queue, "m")
    found = []
    for how in ("basic.nack", "basic.reject", "basic.nack", "basic.nack"):
        message = next_of(channel, queue)
        found.append((headers(message).get("x-acquired-count"), counted(message)))
        channel.send(how, delivery_tag=message.delivery_tag, requeue=True)
    assert found == [(None, 0), (1, 0), (2, 1), (3, 1)]


@only_bongsu("classic queues have no delivery limit in RabbitMQ")
def test_classic_queue_has_a_limit_too(channel, dead):
    arguments = {"x-delivery-limit": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    queue = a_queue(channel, arguments=arguments)
    put(channel, queue, "m")
    for _ in range(2):
        reject(channel, get(channel, queue))
    assert deaths(arrived(channel, dead, 1)[0])[0]["reason"] == "delivery_limit"


# ---------------------------------------------------------------- delayed retry


RETRY = "RabbitMQ has delayed retries from 4.3 on"


def returns(channel, queue, how):
    channel.send(how, delivery_tag=next_of(channel, queue).delivery_tag, requeue=True)


@only_bongsu(RETRY)
@pytest.mark.parametrize(
    "kind, how, waits",
    [
        ("all", "basic.nack", True),
        ("all", "basic.reject", True),
        ("failed", "basic.reject", True),
        ("failed", "basic.nack", False),
        ("returned", "basic.nack", True),
        ("returned", "basic.reject", False),
        ("disabled", "basic.reject", False),
        ("disabled", "basic.nack", False),
    ],
)
def test_which_returns_wait(channel, quorum, kind, how, waits):
    """An hour's delay, so that what waits is certain to be seen waiting."""
    queue = quorum(**{"x-delayed-retry-type": kind, "x-delayed-retry-min": 3600000})
    put(channel, queue, "m")
    returns(channel, queue, how)
    channel.sync()
    if waits:
        assert get_or_none(channel, queue) is None
    else:
        assert next_of(channel, queue).redelivered


@only_bongsu(RETRY)
def test_it_comes_back_after_the_delay(channel, quorum):
    queue = quorum(**{"x-delayed-retry-type": "all", "x-delayed-retry-min": 200})
    put(channel, queue, "m")
    returns(channel, queue, "basic.reject")
    message = next_of(channel, queue)
    assert (message.body, message.redelivered, counted(message)) == (b"m", True, 1)


@only_bongsu(RETRY)
def test_others_pass_the_one_that_waits(channel, quorum):
    queue = quorum(**{"x-delayed-retry-type": "all", "x-delayed-retry-min": 200})
    put(channel, queue, "waits", "passes")
    returns(channel, queue, "basic.reject")
    consume(channel, queue)
    assert [channel.delivery(patience=25).body for _ in range(2)] == [b"passes", b"waits"]


@only_bongsu(RETRY)
def test_delay_grows_with_each_failure_up_to_the_highest(channel, quorum):
    """Two messages with 1 and 3 failures, returned together: 300 ms against 900 ms, in this order."""
    queue = quorum(**{"x-delayed-retry-type": "failed", "x-delayed-retry-min": 300, "x-delayed-retry-max": 900})
    put(channel, queue, "often")
    for _ in range(2):
        returns(channel, queue, "basic.reject")
    often = next_of(channel, queue)
    put(channel, queue, "once")
    once = next_of(channel, queue)
    assert (counted(often), counted(once)) == (2, 0)
    for message in (often, once):
        reject(channel, message)
    consume(channel, queue)
    assert [channel.delivery(patience=25).body for _ in range(2)] == [b"once", b"often"]


@only_bongsu(RETRY)
def test_limit_ends_the_retries(channel, quorum, dead):
    queue = limited(quorum, dead, 2, **{"x-delayed-retry-type": "all", "x-delayed-retry-min": 50})
    put(channel, queue, "m")
    for _ in range(3):
        returns(channel, queue, "basic.reject")
    assert deaths(arrived(channel, dead, 1)[0])[0]["reason"] == "delivery_limit"
