"""x-retention: what was settled stays readable, and reading it consumes nothing. Ours alone."""

import re

import pytest
from helpers import (
    a_queue,
    bodies,
    consume,
    get,
    headers,
    only_bongsu,
    put,
    ready,
    refused,
    taken,
    texts,
    unique,
    until,
)

CONSUME, DECLARE = (60, 20), (50, 10)
ALL = [str(number) for number in range(10)]

pytestmark = only_bongsu("no other broker keeps what a queue has settled")


def a_reader(connection, queue, offset="first", prefetch=0, tag="", **arguments):
    channel = connection.channel()
    channel.call("basic.qos", prefetch_count=prefetch)
    consume(channel, queue, tag, arguments={"x-stream-offset": offset, **arguments})
    return channel


def read(channel, count):
    found = []
    for _ in range(count):
        found.append(channel.delivery())
        channel.send("basic.ack", delivery_tag=found[-1].delivery_tag)
    return found


def test_consumed_messages_are_read(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h"})
    put(channel, queue, *ALL)
    assert bodies(channel, queue) == ALL
    found = read(a_reader(connection, queue), 10)
    assert texts(found) == ALL
    assert [headers(message)["x-stream-offset"] for message in found] == list(range(10))
    assert not any(message.redelivered for message in found)


def test_reading_along_consumes_nothing(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h"})
    tap = a_reader(connection, queue, prefetch=3)
    put(channel, queue, *ALL)
    assert texts(read(tap, 10)) == ALL
    assert ready(channel, queue) == 10
    worker = connection.channel()
    consume(worker, queue)
    assert texts(taken(worker, 10)) == ALL
    assert not any("x-stream-offset" in headers(message) for message in worker.inbox)


def test_what_a_reader_does_with_them_is_its_own(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h"})
    put(channel, queue, *ALL)
    tap = a_reader(connection, queue, prefetch=1)
    for _ in range(10):
        tap.send("basic.nack", delivery_tag=tap.delivery().delivery_tag, requeue=True)
    tap.nothing()
    assert bodies(channel, queue) == ALL


def test_reader_without_acknowledgements(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h"})
    put(channel, queue, *ALL)
    tap = connection.channel()
    consume(tap, queue, no_ack=True, arguments={"x-stream-offset": 4})
    assert texts(taken(tap, 6)) == ALL[4:]


def test_purged_and_rejected_messages_are_read(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h"})
    put(channel, queue, *ALL)
    got = channel.call("basic.get", queue=queue)
    channel.send("basic.reject", delivery_tag=got.delivery_tag, requeue=False)
    channel.call("queue.purge", queue=queue)
    assert texts(read(a_reader(connection, queue), 10)) == ALL


def test_expired_messages_are_read(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h", "x-message-ttl": 1})
    put(channel, queue, *ALL)
    until(lambda: ready(channel, queue) == 0, "all expired")
    assert texts(read(a_reader(connection, queue), 10)) == ALL


def test_reader_with_an_end_is_cancelled_there(connect, channel):
    connection = connect(capabilities={"consumer_cancel_notify": True})
    queue = a_queue(channel, arguments={"x-retention": "forever"}, exclusive=False, auto_delete=True)
    put(channel, queue, *ALL)
    tap = a_reader(connection, queue, 2, prefetch=3, tag="tap", **{"x-stream-until": 7})
    assert texts(read(tap, 5)) == ALL[2:7]
    assert tap.wait("basic.cancel").consumer_tag == "tap"
    tap.nothing()


def test_tracked_reader_goes_on_where_it_was(connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1h"})
    put(channel, queue, *ALL)
    tracking = {"x-stream-automatic-offset-tracking": True}
    for first in (0, 4, 8):
        tap = a_reader(connection, queue, prefetch=2, tag="tap", **tracking)
        found = read(tap, min(4, 10 - first))
        assert texts(found) == ALL[first : first + 4]
        tap.sync()
        tap.call("basic.cancel", consumer_tag="tap")
    assert texts(read(a_reader(connection, queue, tag="other", **tracking), 10)) == ALL


def kept(connect, queue):
    """All that can be read, by a reader that is told where the end is."""
    connection = connect(capabilities={"consumer_cancel_notify": True})
    tap = a_reader(connection, queue, **{"x-stream-until": "next"})
    found = []
    while (event := tap.wait("basic.deliver", "basic.cancel")).name == "basic.deliver":
        found.append(event.body.decode())
    connection.abort()
    return found


def test_size_takes_the_oldest_that_were_settled(connect, channel):
    queue = a_queue(channel, arguments={"x-retention": 5000}, exclusive=False, auto_delete=False)
    large = [letter * 1000 for letter in "abcdefghij"]
    for body in large:
        put(channel, queue, body)
    assert bodies(channel, queue) == large
    until(lambda: kept(connect, queue) == large[6:], "only the newest are kept")
    channel.call("queue.delete", queue=queue)


def test_age_takes_what_was_settled(connect, connection, channel):
    queue = a_queue(channel, arguments={"x-retention": "1s"}, exclusive=False, auto_delete=False)
    put(channel, queue, "old", "owed")
    assert get(channel, queue, no_ack=True).body == b"old"
    waiting = a_reader(connection, queue)
    assert texts(read(waiting, 2)) == ["old", "owed"]
    until(lambda: kept(connect, queue) == ["owed"], "what nobody had is all that is left")
    assert bodies(channel, queue) == ["owed"]
    until(lambda: kept(connect, queue) == [], "nothing is kept")
    put(channel, queue, "new")
    assert texts(read(waiting, 1)) == ["new"]
    assert bodies(channel, queue) == ["new"]
    channel.call("queue.delete", queue=queue)


def test_without_a_retention_there_is_nothing_to_read(channel):
    queue = a_queue(channel)
    text = f"PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '{queue}' in vhost '/' of queue type rabbit_classic_queue"
    with refused(406, text, method=CONSUME):
        consume(channel, queue, arguments={"x-stream-offset": "first"})


@pytest.mark.parametrize("retention", ["7D", "90m", "forever", 1, {"age": "1D"}, {"bytes": 5}, {"age": "1D", "bytes": 5}], ids=str)
def test_retentions(channel, retention):
    queue = unique()
    for _ in range(2):
        channel.call("queue.declare", queue=queue, exclusive=True, arguments={"x-retention": retention})


@pytest.mark.parametrize("retention", ["7", "7x", "", 0, -1, True, {}, {"size": 5}, {"age": 5}, {"bytes": 0}], ids=str)
def test_retention_that_is_none(channel, retention):
    queue = unique()
    with refused(406, re.compile(f"PRECONDITION_FAILED - invalid arg 'x-retention' for queue '{queue}' .+"), method=DECLARE):
        channel.call("queue.declare", queue=queue, exclusive=True, arguments={"x-retention": retention})
