"""Consumers: tags, prefetch, turns, cancels, and basic.get."""

import re

import pytest
from helpers import (
    a_queue,
    bodies,
    consume,
    consumers,
    eventually,
    fill,
    ready,
    refused,
    taken,
    texts,
    unique,
)

CONSUME, GET, CANCEL, QOS = (60, 20), (60, 70), (60, 30), (60, 10)


def test_server_makes_tags(channel):
    queue = a_queue(channel)
    tags = [consume(channel, queue) for _ in range(5)]
    assert len(set(tags)) == 5
    for tag in tags:
        assert re.fullmatch(r"amq\.ctag-[A-Za-z0-9_-]{22}", tag), tag


def test_clients_tag_is_kept(channel):
    assert consume(channel, a_queue(channel), "mine") == "mine"


def test_consume_from_no_queue(channel):
    name = unique()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'", method=CONSUME):
        consume(channel, name)


def test_tag_is_used_once_a_channel(channel):
    queue = a_queue(channel)
    consume(channel, queue, "mine")
    text = "NOT_ALLOWED - attempt to reuse consumer tag 'mine'"
    with refused(530, text, method=CONSUME, connection=True):
        consume(channel, queue, "mine")


def test_tag_may_be_used_on_another_channel(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    assert consume(one, queue, "mine") == consume(two, queue, "mine") == "mine"


def test_tag_is_free_again_after_a_cancel(channel):
    queue = a_queue(channel)
    consume(channel, queue, "mine")
    assert channel.call("basic.cancel", consumer_tag="mine").consumer_tag == "mine"
    assert consume(channel, queue, "mine") == "mine"


def test_cancel_of_what_is_not_there_is_fine(channel):
    assert channel.call("basic.cancel", consumer_tag="nobody").consumer_tag == "nobody"


def test_cancel_stops_deliveries_and_keeps_what_is_out(channel):
    queue = a_queue(channel)
    tag = consume(channel, queue)
    fill_(channel, queue, 1)
    first = channel.delivery()
    channel.call("basic.cancel", consumer_tag=tag)
    fill(channel, queue, 2)
    channel.nothing()
    channel.send("basic.ack", delivery_tag=first.delivery_tag)
    assert bodies(channel, queue) == ["2"]


def fill_(channel, queue, *numbers):
    """Publishes without looking: a consumer takes them at once."""
    for number in numbers:
        channel.publish("", queue, str(number))


def test_consume_ok_comes_before_the_first_delivery(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1)
    channel.send("basic.consume", queue=queue, consumer_tag="t")
    assert [channel.event().name for _ in range(2)] == ["basic.consume-ok", "basic.deliver"]


def test_nowait_consume_needs_a_tag_of_its_own(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1)
    channel.send("basic.consume", queue=queue, consumer_tag="mine", nowait=True)
    message = channel.event()
    assert (message.name, message.consumer_tag) == ("basic.deliver", "mine")
    channel.send("basic.cancel", consumer_tag="mine", nowait=True)
    channel.nothing()


def test_delivery_says_where_it_came_from(channel):
    queue = a_queue(channel)
    channel.call("queue.bind", queue=queue, exchange="amq.topic", routing_key=f"{queue}.*")
    consume(channel, queue, "mine")
    channel.publish("amq.topic", f"{queue}.x", b"m")
    message = channel.delivery()
    assert (message.consumer_tag, message.delivery_tag, message.redelivered) == ("mine", 1, False)
    assert (message.exchange, message.routing_key) == ("amq.topic", f"{queue}.x")


def test_delivery_tags_count_the_channels_deliveries(connection):
    one, two = connection.channel(), connection.channel()
    queues = [a_queue(one), a_queue(one)]
    for queue in queues:
        fill(one, queue, 1, 2)
        consume(one, queue)
    assert [message.delivery_tag for message in taken(one, 4)] == [1, 2, 3, 4]
    other = a_queue(two)
    fill(two, other, 1)
    assert two.call("basic.get", queue=other).delivery_tag == 1


def test_auto_ack_tags_count_as_well(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1, 2, 3)
    consume(channel, queue, no_ack=True)
    assert [message.delivery_tag for message in taken(channel, 3)] == [1, 2, 3]
    assert ready(channel, queue) == 0


def test_prefetch_bounds_what_is_out(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(10))
    channel.call("basic.qos", prefetch_count=3)
    consume(channel, queue)
    out = taken(channel, 3)
    channel.nothing()
    assert ready(channel, queue) == 7
    channel.send("basic.ack", delivery_tag=out[0].delivery_tag)
    assert channel.delivery().body == b"3"
    channel.nothing()
    channel.send("basic.ack", delivery_tag=0, multiple=True)
    assert texts(taken(channel, 3)) == ["4", "5", "6"]
    channel.nothing()


def test_prefetch_does_not_bind_auto_ack(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(10))
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue, no_ack=True)
    assert texts(taken(channel, 10)) == [str(n) for n in range(10)]


def test_prefetch_is_each_consumers_own(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(10))
    channel.call("basic.qos", prefetch_count=2)
    for tag in "ab":
        consume(channel, queue, tag)
    assert sorted(message.consumer_tag for message in taken(channel, 4)) == ["a", "a", "b", "b"]
    channel.nothing()


def test_prefetch_counts_for_consumers_made_after_it(channel):
    queue = a_queue(channel)
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue, "one")
    channel.call("basic.qos", prefetch_count=3)
    fill_(channel, queue, *range(3))
    first = channel.delivery()
    assert first.consumer_tag == "one"
    channel.nothing()
    consume(channel, queue, "three")
    assert [message.consumer_tag for message in taken(channel, 2)] == ["three", "three"]


def test_global_prefetch_is_shared_by_the_channel(channel):
    queue = a_queue(channel)
    channel.call("basic.qos", prefetch_count=3, global_=True)
    for tag in "ab":
        consume(channel, queue, tag)
    fill_(channel, queue, *range(10))
    out = taken(channel, 3)
    channel.nothing()
    channel.send("basic.ack", delivery_tag=out[1].delivery_tag)
    channel.delivery()
    channel.nothing()


def test_global_and_own_prefetch_both_hold(channel):
    queue = a_queue(channel)
    channel.call("basic.qos", prefetch_count=2)
    channel.call("basic.qos", prefetch_count=3, global_=True)
    for tag in "ab":
        consume(channel, queue, tag)
    fill_(channel, queue, *range(10))
    tags = [message.consumer_tag for message in taken(channel, 3)]
    channel.nothing()
    assert sorted(tags) in (["a", "a", "b"], ["a", "b", "b"])


def test_global_prefetch_may_be_raised(channel):
    queue = a_queue(channel)
    channel.call("basic.qos", prefetch_count=1, global_=True)
    consume(channel, queue)
    fill_(channel, queue, *range(5))
    channel.delivery()
    channel.nothing()
    channel.call("basic.qos", prefetch_count=3, global_=True)
    assert texts(taken(channel, 2)) == ["1", "2"]
    channel.nothing()


def test_zero_prefetch_is_without_bound(channel):
    queue = a_queue(channel)
    fill(channel, queue, *range(500))
    channel.call("basic.qos", prefetch_count=0)
    consume(channel, queue)
    assert texts(taken(channel, 500)) == [str(n) for n in range(500)]


def test_prefetch_size_is_not_implemented(channel):
    text = "NOT_IMPLEMENTED - prefetch_size!=0 (1)"
    with refused(540, text, method=QOS, connection=True):
        channel.call("basic.qos", prefetch_size=1)


def test_consumers_take_turns(connection):
    channels = [connection.channel() for _ in range(3)]
    queue = a_queue(channels[0])
    for channel in channels:
        consume(channel, queue, no_ack=True)
    publisher = connection.channel()
    fill_(publisher, queue, *range(30))
    got = [texts(taken(channel, 10)) for channel in channels]
    assert sorted(sum(got, []), key=int) == [str(n) for n in range(30)]
    for one in got:
        numbers = [int(text) for text in one]
        assert numbers == sorted(numbers)
        # One in three, whoever is first.
        assert all(b - a == 3 for a, b in zip(numbers, numbers[1:])), got


def test_one_with_room_gets_what_the_full_one_cannot(connection):
    full, free = connection.channel(), connection.channel()
    queue = a_queue(full)
    full.call("basic.qos", prefetch_count=1)
    consume(full, queue)
    fill_(full, queue, 0)
    full.delivery()
    consume(free, queue)
    fill_(free, queue, *range(1, 6))
    assert texts(taken(free, 5)) == ["1", "2", "3", "4", "5"]
    full.nothing()


def test_exclusive_consumer_keeps_others_out(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    consume(one, queue, exclusive=True)
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    with refused(403, text, method=CONSUME):
        consume(two, queue)


def test_exclusive_consumer_does_not_come_beside_others(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    consume(one, queue)
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    with refused(403, text, method=CONSUME):
        consume(two, queue, exclusive=True)


def test_exclusive_consumer_leaves_the_queue_free(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    tag = consume(one, queue, exclusive=True)
    one.call("basic.cancel", consumer_tag=tag)
    consume(two, queue)


def test_no_local_is_ignored(channel):
    queue = a_queue(channel)
    consume(channel, queue, no_local=True, no_ack=True)
    fill_(channel, queue, 1)
    assert channel.delivery().body == b"1"


def test_priority_is_accepted(channel):
    queue = a_queue(channel)
    consume(channel, queue, arguments={"x-priority": 5})
    fill_(channel, queue, 1)
    assert channel.delivery().body == b"1"


def test_cancel_from_the_broker_when_the_queue_is_deleted(connect):
    connection = connect(capabilities={"consumer_cancel_notify": True})
    channel, other = connection.channel(), connection.channel()
    queue = a_queue(channel)
    tags = {consume(channel, queue), consume(channel, queue)}
    other.call("queue.delete", queue=queue)
    cancels = [channel.wait("basic.cancel") for _ in tags]
    assert {cancel.consumer_tag for cancel in cancels} == tags
    assert all(cancel.nowait for cancel in cancels)
    channel.sync()


def test_no_cancel_for_a_client_that_does_not_know_it(connect):
    connection = connect(capabilities={})
    channel, other = connection.channel(), connection.channel()
    queue = a_queue(channel)
    consume(channel, queue)
    other.call("queue.delete", queue=queue)
    channel.nothing()


def test_counts_see_consumers_come_and_go(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    consume(one, queue)
    tag = consume(two, queue)
    assert consumers(one, queue) == 2
    two.call("basic.cancel", consumer_tag=tag)
    assert consumers(one, queue) == 1
    consume(two, queue)
    two.close()
    eventually(lambda: consumers(one, queue) == 1, "the closed channel's consumer is gone")


def test_get_counts_what_is_left(channel):
    queue = a_queue(channel)
    fill(channel, queue, "a", "b", "c")
    got = [channel.call("basic.get", queue=queue) for _ in range(3)]
    assert [message.message_count for message in got] == [2, 1, 0]
    assert [message.delivery_tag for message in got] == [1, 2, 3]
    assert texts(got) == ["a", "b", "c"]
    assert channel.call("basic.get", queue=queue).name == "basic.get-empty"


def test_get_from_no_queue(channel):
    name = unique()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'", method=GET):
        channel.call("basic.get", queue=name)


def test_get_with_auto_ack_does_not_come_back(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(two)
    fill(two, queue, 1)
    one.call("basic.get", queue=queue, no_ack=True)
    one.close()
    assert bodies(two, queue) == []


def test_get_goes_past_prefetch(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1, 2, 3)
    channel.call("basic.qos", prefetch_count=1)
    assert [channel.call("basic.get", queue=queue).body for _ in range(3)] == [b"1", b"2", b"3"]


def test_consume_and_get_take_the_last_declared_queue(channel):
    queue = a_queue(channel)
    fill(channel, queue, 1, 2)
    assert channel.call("basic.get", queue="", no_ack=True).body == b"1"
    consume(channel, "", no_ack=True)
    assert channel.delivery().body == b"2"


@pytest.mark.parametrize("end", ["channel", "connection", "socket"])
def test_what_was_out_comes_back_when_its_consumer_goes(connect, end):
    staying = connect().channel()
    queue = unique("back")
    staying.call("queue.declare", queue=queue)
    fill(staying, queue, *range(5))
    going = connect()
    channel = going.channel()
    consume(channel, queue)
    taken(channel, 5)
    if end == "channel":
        channel.close()
    elif end == "connection":
        going.close()
    else:
        going.abort()
    eventually(lambda: ready(staying, queue) == 5, "all five are back")
    consume(staying, queue)
    back = taken(staying, 5)
    assert texts(back) == ["0", "1", "2", "3", "4"]
    assert all(message.redelivered for message in back)
    staying.call("queue.delete", queue=queue)
