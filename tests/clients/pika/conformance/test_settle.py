"""Ack, nack, reject, recover: what is gone, what comes back, and where in the order."""

import pytest
from helpers import a_queue, bodies, consume, eventually, fill, ready, refused, taken, texts

ACK, REJECT, NACK = (60, 80), (60, 90), (60, 120)


@pytest.fixture
def queue(channel):
    return a_queue(channel)


def out(channel, queue, count):
    """`count` fresh messages, taken by basic.get and not settled."""
    fill(channel, queue, *range(count))
    return [channel.call("basic.get", queue=queue) for _ in range(count)]


def redelivered(channel, queue):
    """What is ready, as (body, redelivered)."""
    found = []
    while (got := channel.call("basic.get", queue=queue, no_ack=True)).name == "basic.get-ok":
        found.append((int(got.body), got.redelivered))
    return found


def test_ack_is_for_good(connection, channel, queue):
    one, two = out(channel, queue, 2)
    channel.send("basic.ack", delivery_tag=one.delivery_tag)
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == [(1, True)]


def test_ack_multiple_takes_all_up_to_the_tag(channel, queue):
    messages = out(channel, queue, 5)
    channel.send("basic.ack", delivery_tag=messages[2].delivery_tag, multiple=True)
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == [(3, True), (4, True)]


def test_ack_zero_takes_all(channel, queue):
    out(channel, queue, 5)
    channel.send("basic.ack", delivery_tag=0, multiple=True)
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == []


def test_ack_multiple_passes_over_holes(channel, queue):
    messages = out(channel, queue, 5)
    channel.send("basic.ack", delivery_tag=messages[1].delivery_tag)
    channel.send("basic.ack", delivery_tag=messages[3].delivery_tag, multiple=True)
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == [(4, True)]


@pytest.mark.parametrize("method, number", [("basic.ack", ACK), ("basic.nack", NACK), ("basic.reject", REJECT)])
def test_unknown_delivery_tag(channel, queue, method, number):
    out(channel, queue, 1)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 99", method=number):
        channel.send(method, delivery_tag=99)
        channel.event()


@pytest.mark.parametrize("method, number", [("basic.ack", ACK), ("basic.nack", NACK), ("basic.reject", REJECT)])
def test_settling_twice(channel, queue, method, number):
    out(channel, queue, 2)
    channel.send("basic.ack", delivery_tag=1)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 1", method=number):
        channel.send(method, delivery_tag=1)
        channel.event()


def test_multiple_with_a_tag_never_given(channel, queue):
    out(channel, queue, 2)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 5", method=ACK):
        channel.send("basic.ack", delivery_tag=5, multiple=True)
        channel.event()


def test_multiple_where_nothing_is_out(channel, queue):
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 1", method=ACK):
        channel.send("basic.ack", delivery_tag=1, multiple=True)
        channel.event()


def test_ack_zero_where_nothing_is_out_is_fine(channel, queue):
    channel.send("basic.ack", delivery_tag=0, multiple=True)
    channel.nothing()


def test_zero_alone_is_a_tag_nobody_has(channel, queue):
    out(channel, queue, 1)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 0", method=ACK):
        channel.send("basic.ack", delivery_tag=0)
        channel.event()


def test_tags_belong_to_their_channel(connection, channel, queue):
    (message,) = out(channel, queue, 1)
    other = connection.channel()
    with refused(406, f"PRECONDITION_FAILED - unknown delivery tag {message.delivery_tag}", method=ACK):
        other.send("basic.ack", delivery_tag=message.delivery_tag)
        other.event()
    # The error was the other channel's; this one's lease stands.
    channel.send("basic.ack", delivery_tag=message.delivery_tag)
    channel.nothing()


def test_auto_acked_has_nothing_to_settle(channel, queue):
    fill(channel, queue, 1)
    consume(channel, queue, no_ack=True)
    message = channel.delivery()
    with refused(406, f"PRECONDITION_FAILED - unknown delivery tag {message.delivery_tag}", method=ACK):
        channel.send("basic.ack", delivery_tag=message.delivery_tag)
        channel.event()


def test_settled_channel_error_returns_the_rest(connection, channel):
    other = connection.channel()
    queue = a_queue(other)
    out(channel, queue, 3)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 99"):
        channel.send("basic.ack", delivery_tag=99)
        channel.event()
    eventually(lambda: ready(other, queue) == 3, "three are back")
    assert redelivered(other, queue) == [(0, True), (1, True), (2, True)]


@pytest.mark.parametrize("method", ["basic.reject", "basic.nack"])
def test_without_requeue_it_is_gone(channel, queue, method):
    for message in out(channel, queue, 3):
        channel.send(method, delivery_tag=message.delivery_tag, requeue=False)
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == []


@pytest.mark.parametrize("method", ["basic.reject", "basic.nack"])
def test_requeued_keeps_its_place(channel, queue, method):
    fill(channel, queue, *range(5))
    messages = [channel.call("basic.get", queue=queue) for _ in range(3)]
    channel.send(method, delivery_tag=messages[1].delivery_tag, requeue=True)
    assert redelivered(channel, queue) == [(1, True), (3, False), (4, False)]


def test_nack_multiple_returns_all_in_order(channel, queue):
    fill(channel, queue, *range(6))
    messages = [channel.call("basic.get", queue=queue) for _ in range(4)]
    channel.send("basic.nack", delivery_tag=messages[2].delivery_tag, multiple=True, requeue=True)
    assert redelivered(channel, queue) == [(0, True), (1, True), (2, True), (4, False), (5, False)]


def test_nack_zero_multiple_returns_all(channel, queue):
    out(channel, queue, 3)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    assert redelivered(channel, queue) == [(0, True), (1, True), (2, True)]


def test_nack_multiple_without_requeue_drops_all(channel, queue):
    messages = out(channel, queue, 4)
    channel.send("basic.nack", delivery_tag=messages[2].delivery_tag, multiple=True, requeue=False)
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == [(3, True)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_returned_one_by_one_they_still_stand_in_order(channel, queue, order):
    fill(channel, queue, *range(4))
    messages = [channel.call("basic.get", queue=queue) for _ in range(3)]
    for index in order:
        channel.send("basic.nack", delivery_tag=messages[index].delivery_tag, requeue=True)
    assert redelivered(channel, queue) == [(0, True), (1, True), (2, True), (3, False)]


def test_requeued_goes_to_a_consumer_again_with_a_new_tag(channel, queue):
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue)
    channel.publish("", queue, b"m")
    first = channel.delivery()
    channel.send("basic.nack", delivery_tag=first.delivery_tag, requeue=True)
    second = channel.delivery()
    assert (first.redelivered, second.redelivered) == (False, True)
    assert second.delivery_tag == first.delivery_tag + 1
    assert second.body == b"m"


def test_what_comes_back_goes_out_before_what_is_new(channel, queue):
    channel.call("basic.qos", prefetch_count=2)
    consume(channel, queue)
    for number in range(4):
        channel.publish("", queue, str(number))
    first = taken(channel, 2)
    channel.send("basic.nack", delivery_tag=first[1].delivery_tag, multiple=True, requeue=True)
    again = taken(channel, 2)
    assert texts(again) == ["0", "1"]
    assert all(message.redelivered for message in again)
    channel.send("basic.ack", delivery_tag=0, multiple=True)
    assert [(m.body, m.redelivered) for m in taken(channel, 2)] == [(b"2", False), (b"3", False)]


def test_recover_returns_everything_of_the_channel(connection, channel, queue):
    other = connection.channel()
    fill(channel, queue, *range(5))
    mine = [channel.call("basic.get", queue=queue) for _ in range(3)]
    other.call("basic.get", queue=queue)
    assert len(mine) == 3
    channel.call("basic.recover", requeue=True)
    assert redelivered(channel, queue) == [(0, True), (1, True), (2, True), (4, False)]


def test_recover_to_a_consumer(channel, queue):
    fill(channel, queue, *range(3))
    consume(channel, queue)
    taken(channel, 3)
    channel.call("basic.recover", requeue=True)
    again = taken(channel, 3)
    assert [(m.body, m.redelivered) for m in again] == [(b"0", True), (b"1", True), (b"2", True)]
    assert [message.delivery_tag for message in again] == [4, 5, 6]


def test_recover_async_is_not_answered(channel, queue):
    out(channel, queue, 2)
    channel.send("basic.recover-async", requeue=True)
    assert redelivered(channel, queue) == [(0, True), (1, True)]


def test_recover_without_requeue_is_not_implemented(channel):
    with refused(540, "NOT_IMPLEMENTED - requeue=false", method=(60, 110), connection=True):
        channel.call("basic.recover", requeue=False)


def test_unsettled_is_not_counted_as_ready(channel, queue):
    out(channel, queue, 3)
    assert ready(channel, queue) == 0
    assert channel.call("queue.purge", queue=queue).message_count == 0


def test_settle_after_the_queue_is_gone_is_fine(channel, queue):
    messages = out(channel, queue, 2)
    channel.call("queue.delete", queue=queue)
    channel.send("basic.ack", delivery_tag=messages[0].delivery_tag)
    channel.send("basic.nack", delivery_tag=messages[1].delivery_tag, requeue=True)
    channel.nothing()


def test_settle_after_the_consumer_is_cancelled(channel, queue):
    fill(channel, queue, 1)
    tag = consume(channel, queue)
    message = channel.delivery()
    channel.call("basic.cancel", consumer_tag=tag)
    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    assert bodies(channel, queue) == ["1"]


def test_redelivered_flag_stays_with_the_message(channel, queue):
    (message,) = out(channel, queue, 1)
    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    again = channel.call("basic.get", queue=queue)
    assert again.redelivered
    channel.send("basic.nack", delivery_tag=again.delivery_tag, requeue=True)
    assert redelivered(channel, queue) == [(0, True)]
