"""Connection start, authentication, tuning, heartbeats, close."""

import re
import time

import pytest
from helpers import JUDGE, a_queue, refused, unique
from test_content import EVERY_TYPE
from wire import Closed, Gone, encode, encode_table, plain

CAPABILITIES = {
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
}


def test_start_announces_versions_mechanisms_and_locale(connection):
    started = connection.started
    assert (started.version_major, started.version_minor) == (0, 9)
    mechanisms = started.mechanisms.decode().split(" ")
    assert {"PLAIN", "AMQPLAIN"} <= set(mechanisms)
    assert started.locales == b"en_US"


def test_server_properties(connection):
    properties = plain(connection.started.server_properties)
    assert {"product", "version", "platform", "copyright", "information", "cluster_name"} <= set(properties)
    # Clients and tools take the version apart.
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", properties["version"]), properties
    if JUDGE == "rabbitmq":
        assert properties["product"] == "RabbitMQ"


@pytest.mark.parametrize("capability", sorted(CAPABILITIES))
def test_capability_is_announced(connection, capability):
    capabilities = connection.started.server_properties["capabilities"]
    assert capabilities.kind == "F"
    if capability == "direct_reply_to" and JUDGE == "bongsu" and capability not in capabilities.value:
        pytest.skip("direct reply-to is a later issue, and what is not there is not announced")
    assert capabilities.value[capability] == ("t", True)


def test_tune_offers_rabbitmqs_bounds(connection):
    tuned = connection.tuned
    assert (tuned.channel_max, tuned.frame_max) == (2047, 131072)
    assert tuned.heartbeat == 60


def test_plain_with_an_authorization_identity_is_the_user_after_it(connect):
    connection = connect(response=b"\0guest\0guest")
    connection.channel().sync()


def test_amqplain(connect):
    table = encode_table({"LOGIN": "guest", "PASSWORD": "guest"})[4:]
    connection = connect(mechanism="AMQPLAIN", response=table)
    connection.channel().sync()


def test_amqplain_with_wrong_password(connect):
    table = encode_table({"LOGIN": "guest", "PASSWORD": "wrong"})[4:]
    text = (
        "ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. "
        "For details see the broker logfile."
    )
    with refused(403, text, connection=True):
        connect(
            mechanism="AMQPLAIN",
            response=table,
            capabilities={"authentication_failure_close": True},
        )


@pytest.mark.parametrize("user, password", [("guest", "wrong"), ("nobody", "guest"), ("guest", "")])
def test_wrong_login_is_closed_with_403_where_the_client_can_take_it(connect, user, password):
    text = (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
        "For details see the broker logfile."
    )
    with refused(403, text, method=(0, 0), connection=True):
        connect(user=user, password=password, capabilities={"authentication_failure_close": True})


def test_wrong_login_is_dropped_where_the_client_cannot_take_a_close(connect):
    with pytest.raises(Gone):
        connect(password="wrong")


@pytest.mark.parametrize("how", [{"mechanism": "CARRIER-PIGEON"}, {"response": "no zero bytes"}])
def test_login_that_cannot_be_read_is_not_served(connect, how):
    # RabbitMQ drops the socket; a close that says why is as good.
    with pytest.raises((Closed, Gone)):
        connect(capabilities={"authentication_failure_close": True}, **how)


def test_unknown_vhost(connect):
    with refused(530, "NOT_ALLOWED - vhost nowhere not found", method=(10, 40), connection=True):
        connect(vhost="nowhere")


def test_heartbeats_come_both_ways(connect):
    connection = connect(heartbeat=1)
    deadline = time.monotonic() + 10
    while connection.heartbeats < 2:
        assert time.monotonic() < deadline, "no heartbeat in 10 s"
        connection.send_frame(8, 0, b"")
        try:
            connection.pump(patience=1)
        except TimeoutError:
            pass


@pytest.mark.patient(40)
def test_silent_client_is_dropped_after_its_heartbeat(connect):
    connection = connect(heartbeat=1)
    start = time.monotonic()
    connection.expect_gone(patience=20)
    assert 1 <= time.monotonic() - start < 15


def test_zero_turns_heartbeats_off(connect):
    connection = connect(heartbeat=0)
    channel = connection.channel()
    with pytest.raises(TimeoutError):
        connection.pump(patience=2.5)
    assert connection.heartbeats == 0
    channel.sync()


def test_heartbeat_frames_are_taken_even_if_off(connection, channel):
    connection.send_frame(8, 0, b"")
    channel.sync()


def test_smaller_frame_max_holds_for_what_the_broker_sends(connect):
    connection = connect(frame_max=4096)
    channel = connection.channel()
    queue = a_queue(channel)
    body = bytes(range(256)) * 64
    channel.publish("", queue, body)  # The client's channel checks each frame it is sent.
    assert channel.call("basic.get", queue=queue, no_ack=True).body == body


@pytest.mark.parametrize("wish", [{"frame_max": 131073}, {"frame_max": 4095}, {"channel_max": 2048}])
def test_tune_outside_the_offer_is_not_served(connect, wish):
    # RabbitMQ logs the reason and drops the socket; a 530 that says it is as good.
    with pytest.raises((Closed, Gone)) as caught:
        connect(**wish)
    if caught.type is Closed:
        assert caught.value.code == 530, caught.value


def test_channels_are_counted_against_channel_max(connect):
    connection = connect(channel_max=5)
    for number in range(1, 6):
        connection.channel(number)
    text = "NOT_ALLOWED - number of channels opened (5) has reached the negotiated channel_max (5)"
    with refused(530, text, connection=True):
        connection.channel(6)


def test_close_is_answered(connection, channel):
    channel.publish("", unique("nowhere"), b"x")
    connection.control.call("connection.close", reply_code=200, reply_text="bye")


def test_access_request_is_granted(channel):
    """Old PHP clients ask."""
    assert channel.call("access.request", realm="/data", active=True).ticket == 1


def test_flow_is_answered_but_not_stopped(channel):
    assert channel.call("channel.flow", active=True).active is True
    with refused(540, "NOT_IMPLEMENTED - active=false", method=(20, 20), connection=True):
        channel.call("channel.flow", active=False)


def test_exclusive_queue_is_gone_once_the_close_is_answered(connect):
    one = connect()
    queue = a_queue(one.channel())
    one.control.call("connection.close", reply_code=200, reply_text="bye")
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'", method=(50, 10)):
        connect().channel().call("queue.declare", queue=queue, passive=True)


def test_client_properties_may_hold_every_field_type(connect):
    connection = connect(handshake=False)
    connection.send_bytes(b"AMQP\0\0\x09\x01")
    connection.control.wait("connection.start")
    connection.control.send(
        "connection.start-ok",
        client_properties={**EVERY_TYPE, "capabilities": {"basic.nack": True}},
        mechanism="PLAIN",
        response="\0guest\0guest",
        locale="en_US",
    )
    connection.tuned = connection.control.wait("connection.tune")
    connection.tune()
    connection.open()
    connection.channel().sync()


def test_short_string_is_at_most_255_bytes(connection, channel):
    name = "q" * 255
    assert encode("shortstr", name)[0] == 255
    assert channel.call("queue.declare", queue=name, exclusive=True).queue == name
