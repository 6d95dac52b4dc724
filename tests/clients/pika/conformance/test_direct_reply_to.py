"""amq.rabbitmq.reply-to: answers that go straight to the channel that asked, without a queue."""

import re

import pytest
from helpers import a_queue, arrived, bind, consume, get, put, refused, unique, until
from wire import Closed

REPLY_TO = "amq.rabbitmq.reply-to"
DECLARE, CONSUME, PUBLISH = (50, 10), (60, 20), (60, 40)


def listening(channel, **options):
    options.setdefault("no_ack", True)
    return channel.call("basic.consume", queue=REPLY_TO, **options).consumer_tag


def asked(channel, queue, body="request"):
    """Publishes a request; answers what the server at `queue` sees as its reply address."""
    channel.publish("", queue, body, {"reply_to": REPLY_TO, "correlation_id": "7"})
    return get(channel, queue, no_ack=True).properties["reply_to"]


def test_request_and_reply(connect, channel):
    queue = a_queue(channel)
    tag = listening(channel)
    address = asked(channel, queue)
    assert address.startswith(REPLY_TO + ".")
    assert len(address) <= 127
    server = connect().channel()
    server.publish("", address, b"reply", {"correlation_id": "7", "headers": {"a": 1}})
    reply = channel.delivery()
    assert (reply.consumer_tag, reply.exchange, reply.routing_key, reply.redelivered) == (tag, "", address, False)
    assert (reply.body, reply.properties["correlation_id"]) == (b"reply", "7")


def test_address_is_the_channels_and_stays_the_same(connection):
    channels = [connection.channel() for _ in range(2)]
    queue = a_queue(channels[0])
    for channel in channels:
        listening(channel)
    addresses = [[asked(channel, queue) for _ in range(2)] for channel in channels]
    assert addresses[0][0] == addresses[0][1]
    assert addresses[1][0] == addresses[1][1]
    assert addresses[0][0] != addresses[1][0]


def test_each_channel_gets_its_own_replies(connection):
    one, two, server = (connection.channel() for _ in range(3))
    queue = a_queue(server)
    for channel in (one, two):
        listening(channel)
    for channel, body in ((one, b"for one"), (two, b"for two")):
        server.publish("", asked(channel, queue), body)
        assert channel.delivery().body == body
    one.nothing()
    two.nothing()


def test_many_replies_keep_their_order(connect, channel):
    queue = a_queue(channel)
    listening(channel)
    address = asked(channel, queue)
    server = connect().channel()
    for number in range(200):
        server.publish("", address, str(number))
    replies = [channel.delivery() for _ in range(200)]
    assert [int(reply.body) for reply in replies] == list(range(200))


def test_large_reply(connect, channel):
    queue = a_queue(channel)
    listening(channel)
    body = b"0123456789abcdef" * 60000
    connect().channel().publish("", asked(channel, queue), body)
    assert channel.delivery().body == body


def test_a_channel_may_answer_itself(channel):
    queue = a_queue(channel)
    listening(channel)
    channel.publish("", asked(channel, queue), b"echo")
    assert channel.delivery().body == b"echo"


def test_prefetch_does_not_hold_replies(connect, channel):
    queue = a_queue(channel)
    channel.call("basic.qos", prefetch_count=1)
    listening(channel)
    address = asked(channel, queue)
    server = connect().channel()
    for number in range(5):
        server.publish("", address, str(number))
    assert [channel.delivery().body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_reply_is_confirmed(connect, channel):
    queue = a_queue(channel)
    listening(channel)
    address = asked(channel, queue)
    assert put(connect().channel(), address, "reply") == [True]
    assert channel.delivery().body == b"reply"


def test_address_in_a_request_through_an_exchange(channel):
    queue = a_queue(channel)
    bind(channel, queue, "amq.topic", f"{queue}.#")
    listening(channel)
    channel.publish("amq.topic", f"{queue}.x", b"m", {"reply_to": REPLY_TO})
    assert get(channel, queue).properties["reply_to"].startswith(REPLY_TO + ".")


def test_returned_request_shows_the_address(channel):
    listening(channel)
    channel.publish("", unique("nowhere"), b"m", {"reply_to": REPLY_TO}, mandatory=True)
    back = channel.event()
    assert back.name == "basic.return"
    assert back.properties["reply_to"].startswith(REPLY_TO + ".")


def test_other_reply_to_is_left_alone(channel):
    queue = a_queue(channel)
    listening(channel)
    for reply_to in ("mine", REPLY_TO + ".somebody", "amq.rabbitmq.reply-t"):
        channel.publish("", queue, b"m", {"reply_to": reply_to})
        assert get(channel, queue).properties["reply_to"] == reply_to


def test_server_may_ask_whether_the_client_still_listens(connect, channel):
    queue = a_queue(channel)
    tag = listening(channel)
    address = asked(channel, queue)
    server = connect()
    answer = server.channel().call("queue.declare", queue=address, passive=True)
    assert (answer.queue, answer.message_count, answer.consumer_count) == (address, 0, 1)
    channel.call("basic.cancel", consumer_tag=tag)
    with refused(404, f"NOT_FOUND - no queue '{address}' in vhost '/'", method=DECLARE):
        server.channel().call("queue.declare", queue=address, passive=True)


def is_gone(connection, address):
    probe = connection.channel()
    try:
        probe.call("queue.declare", queue=address, passive=True)
    except Closed as closed:
        return closed.code == 404
    probe.close()
    return False


@pytest.mark.parametrize("how", ["channel", "connection", "socket"])
def test_address_is_gone_with_its_channel(connect, channel, how):
    client = connect()
    asking = client.channel()
    queue = a_queue(channel)
    listening(asking)
    asking.publish("", queue, b"m", {"reply_to": REPLY_TO})
    (request,) = arrived(channel, queue, 1)
    address = request.properties["reply_to"]
    if how == "channel":
        asking.close()
    elif how == "connection":
        client.close()
    else:
        client.abort()
    server = connect()

    until(lambda: is_gone(server, address), "the address is gone")
    # Late replies vanish; that is what the client wanted.
    probe = server.channel()
    probe.publish("", address, b"late")
    probe.nothing()


def test_reply_to_nobody_is_dropped_or_returned(channel):
    address = REPLY_TO + ".nobody"
    channel.publish("", address, b"m")
    channel.nothing()
    channel.publish("", address, b"m", mandatory=True)
    back = channel.event()
    assert (back.reply_text, back.routing_key) == ("NO_ROUTE", address)


def test_after_a_cancel_one_may_listen_again(channel):
    queue = a_queue(channel)
    tag = listening(channel)
    channel.call("basic.cancel", consumer_tag=tag)
    again = listening(channel, consumer_tag="again")
    assert again == "again"
    channel.publish("", asked(channel, queue), b"reply")
    assert channel.delivery().consumer_tag == "again"


def test_server_makes_the_tag(channel):
    assert re.fullmatch(r"amq\.ctag-[A-Za-z0-9_-]{22}", listening(channel))


def test_request_without_a_listener(channel):
    with refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist", method=PUBLISH):
        channel.publish("", a_queue(channel), b"m", {"reply_to": REPLY_TO})
        channel.sync()


def test_request_after_the_cancel(channel):
    channel.call("basic.cancel", consumer_tag=listening(channel))
    with refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist", method=PUBLISH):
        channel.publish("", unique("nowhere"), b"m", {"reply_to": REPLY_TO})
        channel.sync()


def test_listener_of_another_channel_does_not_help(connection, channel):
    listening(connection.channel())
    with refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist", method=PUBLISH):
        channel.publish("", unique("nowhere"), b"m", {"reply_to": REPLY_TO})
        channel.sync()


def test_listener_cannot_acknowledge(channel):
    with refused(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge", method=CONSUME):
        listening(channel, no_ack=False)


def test_two_listeners(channel):
    listening(channel)
    with refused(406, "PRECONDITION_FAILED - reply consumer already set", method=CONSUME):
        listening(channel)


def test_tag_in_use(channel):
    consume(channel, a_queue(channel), "mine")
    with refused(530, "NOT_ALLOWED - attempt to reuse consumer tag 'mine'", method=CONSUME, connection=True):
        listening(channel, consumer_tag="mine")


@pytest.mark.parametrize("passive", [False, True])
def test_the_name_itself_may_be_declared(channel, passive):
    answer = channel.call("queue.declare", queue=REPLY_TO, passive=passive)
    assert (answer.queue, answer.message_count, answer.consumer_count) == (REPLY_TO, 0, 1)


@pytest.mark.parametrize("passive", [False, True])
def test_an_address_nobody_has_cannot(channel, passive):
    name = REPLY_TO + ".nobody"
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'", method=DECLARE):
        channel.call("queue.declare", queue=name, passive=passive)


@pytest.mark.parametrize(
    "method, number, arguments",
    [
        ("basic.get", (60, 70), {}),
        ("queue.purge", (50, 30), {}),
        ("queue.bind", (50, 20), {"exchange": "amq.direct", "routing_key": "k"}),
    ],
)
def test_it_is_no_queue(channel, method, number, arguments):
    with refused(404, f"NOT_FOUND - no queue '{REPLY_TO}' in vhost '/'", method=number):
        channel.call(method, queue=REPLY_TO, **arguments)


def test_deleting_it_does_nothing(channel):
    assert channel.call("queue.delete", queue=REPLY_TO).message_count == 0


def test_nowait(connect, channel):
    queue = a_queue(channel)
    channel.send("basic.consume", queue=REPLY_TO, consumer_tag="mine", no_ack=True, nowait=True)
    address = asked(channel, queue)
    connect().channel().publish("", address, b"reply")
    assert channel.delivery().consumer_tag == "mine"
