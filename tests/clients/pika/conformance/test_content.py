"""Properties and bodies come out as they went in."""

import pytest
from helpers import a_queue, refused
from wire import Typed, encode_table

EVERY_TYPE = {
    "bool": Typed("t", True),
    "int8": Typed("b", -128),
    "uint8": Typed("B", 255),
    "int16": Typed("s", -32768),
    "uint16": Typed("u", 65535),
    "int32": Typed("I", -(2**31)),
    "uint32": Typed("i", 2**32 - 1),
    "int64": Typed("l", -(2**63)),
    "float": Typed("f", 0.5),
    "double": Typed("d", 1e300),
    "decimal": Typed("D", (2, 314)),
    "text": Typed("S", "봉수 烽燧 \0".encode()),
    "bytes": Typed("x", bytes(range(256))),
    "array": Typed("A", [Typed("I", 1), Typed("S", b"two"), Typed("A", []), Typed("V", None)]),
    "table": Typed("F", {"inner": Typed("F", {"deep": Typed("t", False)})}),
    "timestamp": Typed("T", 2**40),
    "void": Typed("V", None),
    "": Typed("S", b""),
}

ALL_PROPERTIES = {
    "content_type": "application/json",
    "content_encoding": "gzip",
    "headers": EVERY_TYPE,
    "delivery_mode": 2,
    "priority": 9,
    "correlation_id": "correlation",
    "reply_to": "answers",
    "expiration": "3600000",
    "message_id": "id-1",
    "timestamp": 1700000000,
    "type": "greeting",
    "user_id": "guest",
    "app_id": "wire",
    "cluster_id": "cluster",
}


def there_and_back(channel, body=b"", properties=None):
    queue = a_queue(channel)
    channel.publish("", queue, body, properties)
    return channel.call("basic.get", queue=queue, no_ack=True)


def test_no_properties(channel):
    assert there_and_back(channel).properties == {}


@pytest.mark.parametrize("name", ALL_PROPERTIES)
def test_each_property_alone(channel, name):
    one = {name: ALL_PROPERTIES[name]}
    assert there_and_back(channel, b"x", one).properties == one


def test_all_properties_together(channel):
    message = there_and_back(channel, b"x", ALL_PROPERTIES)
    assert message.properties == ALL_PROPERTIES
    # Not only equal: the same bytes, in the same order.
    assert encode_table(message.properties["headers"]) == encode_table(EVERY_TYPE)


@pytest.mark.parametrize("mode", [1, 2])
def test_delivery_mode_is_kept_as_it_was(channel, mode):
    assert there_and_back(channel, b"x", {"delivery_mode": mode}).properties["delivery_mode"] == mode


@pytest.mark.parametrize("mode", [0, 3])
def test_delivery_mode_is_one_or_two(channel, mode):
    text = f"PRECONDITION_FAILED - invalid message: {{delivery_mode_unknown,{mode}}}"
    with refused(406, text, method=(60, 40)):
        channel.publish("", a_queue(channel), b"x", {"delivery_mode": mode})
        channel.sync()


def test_empty_strings_are_not_absent(channel):
    properties = {"content_type": "", "correlation_id": "", "headers": {}}
    assert there_and_back(channel, b"", properties).properties == properties


def test_user_id_must_be_the_users_own(channel):
    text = "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'"
    with refused(406, text, method=(60, 40)):
        channel.publish("", a_queue(channel), b"x", {"user_id": "somebody"})
        channel.sync()


def test_expiration_must_be_a_number(channel):
    text = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer"
    with refused(406, text, method=(60, 40)):
        channel.publish("", a_queue(channel), b"x", {"expiration": "soon"})
        channel.sync()


@pytest.mark.patient(60)
@pytest.mark.parametrize(
    "size",
    [0, 1, 131072 - 8 - 1, 131072 - 8, 131072 - 8 + 1, 3 * (131072 - 8), 1 << 20, 8 << 20],
)
@pytest.mark.parametrize("mode", [1, 2])
def test_body_of_any_size(channel, size, mode):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    message = there_and_back(channel, body, {"delivery_mode": mode})
    assert message.size == size
    assert message.body == body


def test_body_is_delivered_to_a_consumer_as_well(channel):
    queue = a_queue(channel)
    body = bytes(range(256)) * 2000
    channel.publish("", queue, body, ALL_PROPERTIES)
    channel.call("basic.consume", queue=queue, no_ack=True)
    message = channel.delivery()
    assert (message.body, message.properties) == (body, ALL_PROPERTIES)


def test_one_message_reaches_many_queues_whole(channel):
    queues = [a_queue(channel) for _ in range(5)]
    for queue in queues:
        channel.call("queue.bind", queue=queue, exchange="amq.fanout")
    body = b"payload" * 40000
    channel.publish("amq.fanout", "key", body, ALL_PROPERTIES)
    for queue in queues:
        message = channel.call("basic.get", queue=queue, no_ack=True)
        assert (message.body, message.properties) == (body, ALL_PROPERTIES)
        assert (message.exchange, message.routing_key) == ("amq.fanout", "key")

