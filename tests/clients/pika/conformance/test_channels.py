"""Channels: many, closed, opened again, and failing alone."""

import pytest
from helpers import a_queue, bodies, fill, refused, unique
from wire import Closed


def test_any_number_may_be_opened(connection):
    for number in (1, 2, 1000, 2047):
        connection.channel(number).sync()


def test_many_channels_work_side_by_side(connection):
    channels = [connection.channel() for _ in range(100)]
    queues = [a_queue(channel) for channel in channels]
    for channel, queue in zip(channels, queues):
        channel.publish("", queue, queue)
    for channel, queue in zip(channels, queues):
        assert bodies(channel, queue) == [queue]


def test_number_is_free_again_after_a_close(connection):
    for _ in range(5):
        channel = connection.channel(3)
        channel.sync()
        channel.close()


def test_number_is_free_again_after_an_error(connection):
    for _ in range(5):
        channel = connection.channel(3)
        name = unique()
        with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
            channel.call("queue.declare", queue=name, passive=True)


def test_channel_starts_afresh(connection):
    channel = connection.channel(3)
    queue = a_queue(channel)
    fill(channel, queue, 1, 2)
    channel.call("confirm.select")
    channel.call("basic.qos", prefetch_count=1)
    channel.call("basic.get", queue=queue)
    channel.close()
    channel = connection.channel(3)
    with refused(404, "NOT_FOUND - no previously declared queue"):
        channel.call("basic.get", queue="")
    channel = connection.channel(3)
    channel.publish("", queue, b"3")
    assert channel.call("basic.get", queue=queue).delivery_tag == 1
    channel.nothing()


def test_error_on_one_channel_leaves_the_others(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(two)
    with refused(404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'"):
        one.publish("nowhere", "", b"x")
        one.event()
    fill(two, queue, 1)
    assert bodies(two, queue) == ["1"]


def test_what_follows_an_error_on_its_channel_is_ignored(connection):
    channel, name = connection.channel(), unique()
    channel.send("queue.declare", queue=unique(), passive=True)
    channel.send("queue.declare", queue=name)
    with pytest.raises(Closed, match="NOT_FOUND"):
        channel.event()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        connection.channel().call("queue.declare", queue=name, passive=True)


def test_pipelined_methods_are_answered_in_order(channel):
    names = [unique() for _ in range(50)]
    for name in names:
        channel.send("queue.declare", queue=name, exclusive=True)
    assert [channel.event().queue for _ in names] == names


def test_pipelined_open_declare_publish_get(connection):
    channel, queue = connection.adopt(9), unique()
    channel.send("channel.open")
    channel.send("queue.declare", queue=queue, exclusive=True)
    channel.publish("", queue, b"m")
    channel.send("basic.get", queue=queue, no_ack=True)
    names = [channel.event().name for _ in range(3)]
    assert names == ["channel.open-ok", "queue.declare-ok", "basic.get-ok"]
