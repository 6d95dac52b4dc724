"""Cancels that come from the broker: when, for whom, and what is left."""

import pytest
from helpers import a_queue, consume, consumers, fill, get, put, refused, taken, unique


@pytest.fixture
def aware(connect):
    return connect(capabilities={"consumer_cancel_notify": True})


@pytest.fixture
def shared(connect):
    """A queue of no connection's; gone after the test."""
    name = unique()
    connect().channel().call("queue.declare", queue=name)
    yield name
    connect().channel().call("queue.delete", queue=name)


def test_every_channel_hears_of_its_own(aware, channel, shared):
    channels = [aware.channel() for _ in range(3)]
    tags = [consume(one, shared) for one in channels]
    channel.call("queue.delete", queue=shared)
    for one, tag in zip(channels, tags):
        cancel = one.wait("basic.cancel")
        assert (cancel.consumer_tag, cancel.nowait) == (tag, True)
        one.nothing()


def test_deliveries_come_before_the_cancel(aware, channel, shared):
    one = aware.channel()
    consume(one, shared)
    put(channel, shared, *range(10))
    channel.call("queue.delete", queue=shared)
    events = [one.event() for _ in range(11)]
    assert [event.name for event in events] == ["basic.deliver"] * 10 + ["basic.cancel"]


def test_what_is_out_may_still_be_settled(aware, channel, shared):
    one = aware.channel()
    consume(one, shared)
    put(channel, shared, 1, 2, 3)
    out = taken(one, 3)
    channel.call("queue.delete", queue=shared)
    one.wait("basic.cancel")
    one.send("basic.ack", delivery_tag=out[0].delivery_tag)
    one.send("basic.nack", delivery_tag=out[1].delivery_tag, requeue=True)
    one.send("basic.reject", delivery_tag=out[2].delivery_tag)
    one.nothing()


def test_tag_is_free_again(aware, channel, shared):
    one = aware.channel()
    consume(one, shared, "mine")
    channel.call("queue.delete", queue=shared)
    one.wait("basic.cancel")
    queue = a_queue(one)
    assert consume(one, queue, "mine", no_ack=True) == "mine"
    put(one, queue, "m")
    assert one.delivery().consumer_tag == "mine"


def test_other_consumers_of_the_channel_go_on(aware, channel, shared):
    one = aware.channel()
    stays = a_queue(one)
    consume(one, shared, "goes")
    consume(one, stays, "stays", no_ack=True)
    channel.call("queue.delete", queue=shared)
    assert one.wait("basic.cancel").consumer_tag == "goes"
    put(one, stays, "m")
    assert one.delivery().consumer_tag == "stays"


def test_channel_that_deletes_hears_too(aware, shared):
    one = aware.channel()
    consume(one, shared)
    one.send("queue.delete", queue=shared)
    assert {one.event().name for _ in range(2)} == {"basic.cancel", "queue.delete-ok"}


def test_own_cancel_is_answered_and_not_announced(aware):
    one = aware.channel()
    queue = a_queue(one)
    tag = consume(one, queue)
    one.call("basic.cancel", consumer_tag=tag)
    one.call("queue.delete", queue=queue)
    one.nothing()


def test_cancel_after_the_brokers_cancel_is_fine(aware, channel, shared):
    one = aware.channel()
    tag = consume(one, shared)
    channel.call("queue.delete", queue=shared)
    one.wait("basic.cancel")
    assert one.call("basic.cancel", consumer_tag=tag).consumer_tag == tag


def test_exclusive_queue_of_a_connection_that_goes_has_no_one_to_tell(aware, channel):
    one = aware.channel()
    consume(one, a_queue(one))
    aware.close()
    channel.nothing()


def test_purge_cancels_nobody(aware, channel, shared):
    one = aware.channel()
    one.call("basic.qos", prefetch_count=1)
    consume(one, shared)
    put(channel, shared, 1, 2, 3)
    one.delivery()
    channel.call("queue.purge", queue=shared)
    one.nothing()
    assert consumers(channel, shared) == 1


def test_queue_made_again_has_no_consumers(aware, channel, shared):
    one = aware.channel()
    consume(one, shared)
    channel.call("queue.delete", queue=shared)
    one.wait("basic.cancel")
    channel.call("queue.declare", queue=shared)
    fill(channel, shared, 1)
    one.nothing()
    assert get(channel, shared).body == b"1"


def test_consume_while_it_is_deleted_is_refused(channel, shared):
    channel.call("queue.delete", queue=shared)
    with refused(404, f"NOT_FOUND - no queue '{shared}' in vhost '/'", method=(60, 20)):
        consume(channel, shared)
