"""A client that breaks the protocol gets the close the specification has for it, alone."""

import re
import struct

import pytest
from helpers import JUDGE, a_queue, refused, unique
from wire import (
    BODY,
    HEADER,
    METHOD,
    Closed,
    Connection,
    Gone,
    Typed,
    encode_frame,
    encode_header,
    encode_method,
)


@pytest.fixture(autouse=True)
def others_are_unharmed(connect):
    """Whatever the test does, a bystander's connection goes on."""
    bystander = connect().channel()
    yield
    bystander.sync()


def closing(connection):
    """Reads until the connection is closed; raises `Closed`."""
    while True:
        connection.control.event()


PUBLISH = encode_method("basic.publish", exchange="", routing_key="nowhere")


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HT",
        b"AMQP\x00\x00\x08\x00",
        b"AMQP\x01\x01\x00\x0a",
        b"AMQP\x00\x00\x09\x02",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"\0" * 8,
    ],
)
def test_garbage_header_is_answered_with_ours(connect, header):
    connection = connect(handshake=False)
    connection.send_bytes(header)
    assert connection.read_bytes(8) == b"AMQP\x00\x00\x09\x01"
    with pytest.raises(Gone):
        connection.read_bytes(1)


def test_amqp_1_0_header_is_not_misread(connect):
    connection = connect(handshake=False)
    connection.send_bytes(b"AMQP\x00\x01\x00\x00")
    answer = connection.read_bytes(8)
    # RabbitMQ 4 speaks 1.0; 3.10 without the plugin offers 0-9-1 instead.
    assert answer in (b"AMQP\x00\x00\x09\x01", b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00")


def test_header_in_pieces(connect):
    connection = connect(handshake=False)
    for byte in b"AMQP\x00\x00\x09\x01":
        connection.send_bytes(bytes([byte]))
    assert connection.control.wait("connection.start").version_minor == 9


def test_bad_frame_end_after_the_handshake(connection, channel):
    connection.send_frame(METHOD, channel.number, encode_method("channel.flow", active=True), end=0x41)
    with refused(501, FRAME_ERROR, connection=True):
        closing(connection)


def test_frame_over_frame_max(connection, channel):
    # One byte over frame_max is over for sure: RabbitMQ does not count the eight around it.
    payload = b"x" * (131072 + 1)
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(HEADER, channel.number, encode_header(len(payload)))
    connection.send_frame(BODY, channel.number, payload)
    with refused(501, FRAME_ERROR, connection=True):
        closing(connection)


def test_announced_frame_size_over_frame_max_is_not_waited_for(connection, channel):
    connection.send_bytes(struct.pack(">BHI", BODY, channel.number, 0x7FFFFFFF))
    with refused(501, FRAME_ERROR, connection=True):
        closing(connection)


@pytest.mark.parametrize("on", [0, 1])
def test_frame_type_nobody_knows(connection, channel, on):
    connection.send_frame(7, on, b"")
    with refused(501, FRAME_ERROR, method=(0, 0), connection=True):
        closing(connection)


def test_heartbeat_on_a_channel(connection, channel):
    connection.send_frame(8, channel.number, b"")
    with refused(505, re.compile("UNEXPECTED_FRAME - .*"), method=(0, 0), connection=True):
        closing(connection)


def test_method_on_a_channel_that_is_not_open(connection):
    channel = connection.adopt(7)
    channel.send("queue.declare", queue=unique())
    with refused(504, "CHANNEL_ERROR - expected 'channel.open'", method=(50, 10), connection=True):
        closing(connection)


def test_publish_on_a_channel_that_is_not_open(connection):
    connection.adopt(7).publish("", "nowhere", b"x")
    with refused(504, "CHANNEL_ERROR - expected 'channel.open'", method=(60, 40), connection=True):
        closing(connection)


def test_close_of_a_channel_that_is_not_open(connection):
    connection.adopt(7).send("channel.close")
    with refused(504, "CHANNEL_ERROR - expected 'channel.open'", method=(20, 40), connection=True):
        closing(connection)


def test_body_on_a_channel_that_is_not_open(connection):
    connection.send_frame(BODY, 7, b"x")
    with refused(505, NO_CONTENT_DUE, method=(0, 0), connection=True):
        closing(connection)


def test_channel_opened_twice(connection, channel):
    channel.send("channel.open")
    with refused(504, "CHANNEL_ERROR - second 'channel.open' seen", method=(20, 10), connection=True):
        closing(connection)


def test_channel_method_on_channel_zero(connection):
    connection.control.send("queue.declare", queue=unique())
    with refused(504, UNEXPECTED_STATE, method=(50, 10), connection=True):
        closing(connection)


def test_connection_method_on_another_channel(connection, channel):
    connection.send_frame(METHOD, channel.number, encode_method("connection.tune-ok"))
    with refused(503, "COMMAND_INVALID - unimplemented method", method=(10, 31), connection=True):
        closing(connection)


def test_tune_ok_before_start_ok(connect):
    connection = connect(handshake=False)
    connection.send_bytes(b"AMQP\x00\x00\x09\x01")
    connection.control.wait("connection.start")
    connection.control.send("connection.tune-ok")
    with pytest.raises((Closed, Gone)):
        closing(connection)


def test_second_connection_open(connection):
    connection.control.send("connection.open", virtual_host="/")
    with refused(504, UNEXPECTED_STATE, method=(10, 40), connection=True):
        closing(connection)


def test_second_start_ok(connection):
    connection.control.send("connection.start-ok", mechanism="PLAIN")
    with refused(504, UNEXPECTED_STATE, method=(10, 11), connection=True):
        closing(connection)


@pytest.mark.parametrize("class_id, method_id", [(50, 99), (999, 10)])
@pytest.mark.parametrize("on", [0, 1])
def test_unknown_method(connection, channel, class_id, method_id, on):
    connection.send_frame(METHOD, on, struct.pack(">HH", class_id, method_id))
    # RabbitMQ's reader crashes here and drops the socket; we owe a word.
    with pytest.raises(Gone if JUDGE == "rabbitmq" else Closed) as caught:
        closing(connection)
    if caught.type is Closed:
        assert caught.value.code in (503, 540), caught.value
        assert (caught.value.class_id, caught.value.method_id) == (class_id, method_id)


def test_method_that_only_a_broker_sends(connection, channel):
    channel.send("queue.declare-ok", queue="x")
    with refused(503, "COMMAND_INVALID - unimplemented method", method=(50, 11), connection=True):
        closing(connection)


@pytest.mark.parametrize("change", [lambda payload: payload[:-3], lambda payload: payload + b"zz"])
def test_method_of_the_wrong_length(connection, channel, change):
    connection.send_frame(METHOD, channel.number, change(encode_method("queue.declare", queue="abc")))
    with refused(501, FRAME_ERROR, method=(50, 10), connection=True):
        closing(connection)


def test_method_frame_without_a_method(connection, channel):
    connection.send_frame(METHOD, channel.number, b"\0")
    with refused(501, FRAME_ERROR, method=(0, 0), connection=True):
        closing(connection)


def test_table_with_an_unknown_type_letter(connection, channel):
    channel.send("queue.declare", queue=unique(), arguments={"x-odd": Typed("~", b"")})
    # RabbitMQ's reader crashes here too.
    with pytest.raises(Gone if JUDGE == "rabbitmq" else Closed) as caught:
        closing(connection)
    if caught.type is Closed:
        assert caught.value.code in (501, 502), caught.value


def test_properties_cut_short(connection, channel):
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(HEADER, channel.number, encode_header(0)[:-2] + b"\x80\x00")
    channel.send("channel.flow", active=True)
    # RabbitMQ: 541 with no more than the name. The bytes are the client's fault.
    with pytest.raises(Closed) as caught:
        closing(connection)
    assert caught.value.code in (501, 502, 541), caught.value


def test_header_without_a_method(connection, channel):
    connection.send_frame(HEADER, channel.number, encode_header(1))
    with refused(505, NO_CONTENT_DUE, method=(0, 0), connection=True):
        closing(connection)


def test_body_without_a_header(connection, channel):
    connection.send_frame(BODY, channel.number, b"x")
    with refused(505, NO_CONTENT_DUE, method=(0, 0), connection=True):
        closing(connection)


def test_method_in_place_of_a_header(connection, channel):
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(METHOD, channel.number, PUBLISH)
    with refused(505, HEADER_DUE, method=(60, 40), connection=True):
        closing(connection)


def test_body_in_place_of_a_header(connection, channel):
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(BODY, channel.number, b"x")
    with refused(505, HEADER_DUE, method=(60, 40), connection=True):
        closing(connection)


def test_method_in_place_of_a_body(connection, channel):
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(HEADER, channel.number, encode_header(5))
    connection.send_frame(METHOD, channel.number, PUBLISH)
    with refused(505, BODY_DUE, method=(60, 40), connection=True):
        closing(connection)


def test_header_of_another_class(connection, channel):
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(HEADER, channel.number, encode_header(0, class_id=50))
    text = "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead"
    with refused(505, text, method=(60, 40), connection=True):
        closing(connection)


@pytest.mark.parametrize("parts", [[b"abcdef"], [b"abc", b"def"], [b"abcde", b"f"]])
def test_body_longer_than_announced(connection, channel, parts):
    connection.send_frame(METHOD, channel.number, PUBLISH)
    connection.send_frame(HEADER, channel.number, encode_header(5))
    for part in parts:
        connection.send_frame(BODY, channel.number, part)
    # RabbitMQ notices at the next frame, and words it as its surprise about that one.
    connection.send_frame(METHOD, channel.number, PUBLISH)
    with pytest.raises(Closed) as caught:
        closing(connection)
    assert caught.value.code in (501, 505), caught.value


def test_body_in_uneven_frames_with_an_empty_one(connection, channel):
    queue = a_queue(channel)
    connection.send_frame(METHOD, channel.number, encode_method("basic.publish", routing_key=queue))
    connection.send_frame(HEADER, channel.number, encode_header(5))
    for part in (b"ab", b"", b"c", b"de"):
        connection.send_frame(BODY, channel.number, part)
    assert channel.call("basic.get", queue=queue, no_ack=True).body == b"abcde"


def test_everything_in_single_bytes(connection, channel):
    queue = a_queue(channel)
    for byte in channel.publish_bytes("", queue, b"slow", {"type": "t"}):
        connection.send_bytes(bytes([byte]))
    assert channel.call("basic.get", queue=queue, no_ack=True).body == b"slow"


def test_contents_of_two_channels_interleave(connection):
    one, two = connection.channel(), connection.channel()
    queue = a_queue(one)
    method = encode_method("basic.publish", routing_key=queue)
    for kind, payload in ((METHOD, method), (HEADER, encode_header(2)), (BODY, b"a"), (BODY, b"b")):
        connection.send_frame(kind, one.number, payload)
        connection.send_frame(kind, two.number, payload)
    two.sync()
    assert one.call("basic.get", queue=queue, no_ack=True).body == b"ab"
    assert two.call("basic.get", queue=queue, no_ack=True).body == b"ab"


def test_immediate_is_not_implemented(connection, channel):
    channel.publish("", "nowhere", b"x", immediate=True)
    with refused(540, "NOT_IMPLEMENTED - immediate=true", method=(60, 40), connection=True):
        closing(connection)


def test_a_thousand_connections_that_say_nothing_harm_nobody(connect):
    for _ in range(100):
        connect(handshake=False).send_bytes(b"AM")
    connect().channel().sync()


def test_after_a_close_only_the_answer_is_read(connect):
    connection = connect()
    channel = connection.channel()
    queue = unique()
    connection.send_bytes(
        encode_frame(METHOD, channel.number, encode_method("channel.open"))
        + encode_frame(METHOD, channel.number, encode_method("queue.declare", queue=queue))
    )
    with pytest.raises(Closed):
        closing(connection)
    connection.expect_gone()
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        Connection().channel().call("queue.declare", queue=queue, passive=True)


# RabbitMQ prints the offending octets as Erlang terms; the name is what a client can match on.
FRAME_ERROR = re.compile(r"FRAME_ERROR - .*", re.DOTALL)
NO_CONTENT_DUE = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
HEADER_DUE = (
    "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead"
)
BODY_DUE = "UNEXPECTED_FRAME - expected content body, got non content body frame instead"
UNEXPECTED_STATE = "CHANNEL_ERROR - unexpected method in connection state running"
