"""Publishing: confirms, mandatory returns, and their order."""

import re

import pytest
from helpers import a_queue, bind, bodies, refused, unique
from wire import plain

PERSISTENT = {"delivery_mode": 2}


def confirmed(channel, count):
    """Reads acks until the tags 1 to `count` are confirmed, each once; `multiple` counts."""
    waiting = set(range(1, count + 1))
    while waiting:
        ack = channel.event()
        assert ack.name == "basic.ack", ack
        covered = {ack.delivery_tag}
        if ack.multiple:
            covered = {tag for tag in waiting if tag <= ack.delivery_tag}
        assert covered and covered <= waiting, f"{ack} confirms again, or what was never sent"
        waiting -= covered


def test_confirm_select_twice_is_fine(channel):
    channel.call("confirm.select")
    channel.call("confirm.select")


def test_confirm_select_without_an_answer(channel):
    channel.send("confirm.select", nowait=True)
    channel.publish("", a_queue(channel), b"m")
    assert channel.wait("basic.ack").delivery_tag == 1


def test_no_confirms_unless_asked(channel):
    channel.publish("", a_queue(channel), b"m")
    channel.nothing()


@pytest.mark.parametrize("properties", [None, PERSISTENT])
@pytest.mark.parametrize("durable", [False, True])
def test_each_publish_is_confirmed_by_number(channel, properties, durable):
    queue = a_queue(channel, durable=durable)
    channel.call("confirm.select")
    for _ in range(100):
        channel.publish("", queue, b"m", properties)
    confirmed(channel, 100)
    channel.nothing()
    assert len(bodies(channel, queue)) == 100


def test_numbers_start_at_the_select(channel):
    queue = a_queue(channel)
    for _ in range(3):
        channel.publish("", queue, b"before")
    channel.call("confirm.select")
    channel.publish("", queue, b"after")
    assert channel.wait("basic.ack").delivery_tag == 1


def test_numbers_are_the_channels_own(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    for channel in (one, two):
        channel.call("confirm.select")
        channel.publish("", queue, b"m")
        assert channel.wait("basic.ack").delivery_tag == 1


def test_unroutable_is_confirmed_too(channel):
    channel.call("confirm.select")
    channel.publish("", unique("nowhere"), b"m")
    ack = channel.event()
    assert (ack.name, ack.delivery_tag) == ("basic.ack", 1)


def test_routed_to_many_is_confirmed_once(channel):
    queues = [a_queue(channel, durable=True) for _ in range(3)]
    for queue in queues:
        bind(channel, queue, "amq.fanout")
    channel.call("confirm.select")
    channel.publish("amq.fanout", "", b"m", PERSISTENT)
    assert channel.event().delivery_tag == 1
    channel.nothing()


def test_confirmed_is_in_the_queue(connect, channel):
    queue = a_queue(channel, durable=True)
    channel.call("confirm.select")
    channel.publish("", queue, b"m", PERSISTENT)
    channel.wait("basic.ack")
    assert bodies(channel, queue) == ["m"]


def test_mandatory_and_unroutable_comes_back(channel):
    key, properties = unique("nowhere"), {"message_id": "7", "headers": {"a": 1}}
    channel.publish("", key, b"back to sender", properties, mandatory=True)
    back = channel.event()
    assert back.name == "basic.return"
    assert (back.reply_code, back.reply_text) == (312, "NO_ROUTE")
    assert (back.exchange, back.routing_key) == ("", key)
    assert back.body == b"back to sender"
    assert back.properties["message_id"] == "7"
    assert plain(back.properties["headers"]) == {"a": 1}


def test_mandatory_and_routable_does_not(channel):
    queue = a_queue(channel)
    channel.publish("", queue, b"m", mandatory=True)
    assert bodies(channel, queue) == ["m"]
    channel.nothing()


def test_return_comes_before_the_ack(channel):
    channel.call("confirm.select")
    for number in range(5):
        channel.publish("amq.direct", unique("nowhere"), str(number), mandatory=True)
    returned, acked = [], 0
    while acked < 5:
        event = channel.event()
        if event.name == "basic.return":
            assert event.exchange == "amq.direct"
            returned.append(int(event.body))
        else:
            assert event.name == "basic.ack", event
            acked = max(acked, event.delivery_tag)
            assert len(returned) >= acked, f"{event} came before its return"
    assert returned == list(range(5))


def test_return_of_a_large_body(channel):
    body = b"0123456789" * 50000
    channel.publish("", unique("nowhere"), body, mandatory=True)
    assert channel.event().body == body


def test_order_of_one_publisher_is_kept(channel):
    queue = a_queue(channel)
    for number in range(1000):
        channel.publish("", queue, str(number), PERSISTENT if number % 3 else None)
    assert bodies(channel, queue) == [str(number) for number in range(1000)]


def test_order_holds_through_an_exchange_for_every_queue(channel):
    queues = [a_queue(channel, durable=bool(index % 2)) for index in range(4)]
    for queue in queues:
        bind(channel, queue, "amq.topic", f"{queues[0]}.#")
    for number in range(300):
        channel.publish("amq.topic", f"{queues[0]}.{number}", str(number))
    for queue in queues:
        assert bodies(channel, queue) == [str(number) for number in range(300)]


def test_publish_after_the_channel_was_closed_by_the_broker_is_dropped(connection):
    channel = connection.channel()
    queue = a_queue(connection.channel())
    data = channel.publish_bytes(unique("e"), "", b"m") + channel.publish_bytes("", queue, b"late")
    connection.send_bytes(data)
    with refused(404, NO_EXCHANGE):
        channel.event()
    other = connection.channel()
    assert bodies(other, queue) == []


def test_confirms_before_a_channel_error_are_not_lost(connection):
    channel = connection.channel()
    queue = a_queue(channel)
    channel.call("confirm.select")
    channel.publish("", queue, b"m")
    assert channel.wait("basic.ack").delivery_tag == 1
    channel.publish(unique("e"), "", b"m")
    with refused(404, NO_EXCHANGE):
        channel.event()


NO_EXCHANGE = re.compile(r"NOT_FOUND - no exchange 'e-[0-9a-f]+' in vhost '/'")
