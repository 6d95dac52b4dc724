"""basic.recover: everything a channel has out comes back, to its place."""

import pytest
from helpers import a_queue, bodies, consume, fill, get, ready, refused, taken, texts

RECOVER, RECOVER_ASYNC = (60, 110), (60, 100)


def redelivered(channel, queue):
    found = []
    while (got := channel.call("basic.get", queue=queue, no_ack=True)).name == "basic.get-ok":
        found.append((got.body.decode(), got.redelivered))
    return found


def test_of_several_queues(channel):
    queues = [a_queue(channel) for _ in range(3)]
    for queue in queues:
        fill(channel, queue, "a", "b", "c")
    for _ in range(2):
        for queue in queues:
            get(channel, queue)
    channel.call("basic.recover", requeue=True)
    for queue in queues:
        assert redelivered(channel, queue) == [("a", True), ("b", True), ("c", False)]


def test_of_nothing(channel):
    channel.call("basic.recover", requeue=True)
    channel.send("basic.recover-async", requeue=True)
    channel.nothing()


def test_tags_of_before_are_no_more(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1)
    message = get(channel, queue)
    channel.call("basic.recover", requeue=True)
    text = f"PRECONDITION_FAILED - unknown delivery tag {message.delivery_tag}"
    with refused(406, text, method=(60, 80)):
        channel.send("basic.ack", delivery_tag=message.delivery_tag)
        channel.event()


def test_it_makes_room_for_prefetch(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(4))
    channel.call("basic.qos", prefetch_count=2)
    consume(channel, queue)
    assert texts(taken(channel, 2)) == ["0", "1"]
    channel.nothing()
    channel.call("basic.recover", requeue=True)
    again = taken(channel, 2)
    assert [(m.body, m.redelivered, m.delivery_tag) for m in again] == [(b"0", True, 3), (b"1", True, 4)]
    channel.nothing()


def test_it_may_go_to_another_consumer(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    fill(one, queue, 1)
    get(one, queue)
    consume(two, queue)
    one.call("basic.recover", requeue=True)
    message = two.delivery()
    assert (message.body, message.redelivered) == (b"1", True)


def test_of_a_cancelled_consumer(channel):
    queue = a_queue(channel)
    tag = consume(channel, queue)
    fill_unseen(channel, queue, 3)
    taken(channel, 3)
    channel.call("basic.cancel", consumer_tag=tag)
    channel.call("basic.recover", requeue=True)
    assert bodies(channel, queue) == ["0", "1", "2"]


def fill_unseen(channel, queue, count):
    for number in range(count):
        channel.publish("", queue, str(number))


def test_auto_acked_does_not_come_back(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1, 2)
    get(channel, queue, no_ack=True)
    get(channel, queue)
    channel.call("basic.recover", requeue=True)
    assert bodies(channel, queue) == ["2"]


def test_other_channels_keep_theirs(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    fill(one, queue, 1, 2)
    get(one, queue)
    kept = get(two, queue)
    one.call("basic.recover", requeue=True)
    assert ready(one, queue) == 1
    two.send("basic.ack", delivery_tag=kept.delivery_tag)
    two.sync()
    assert bodies(one, queue) == ["1"]


@pytest.mark.parametrize("method, number", [("basic.recover", RECOVER), ("basic.recover-async", RECOVER_ASYNC)])
def test_without_requeue(channel, method, number):
    with refused(540, "NOT_IMPLEMENTED - requeue=false", method=number, connection=True):
        channel.send(method, requeue=False)
        channel.event()
