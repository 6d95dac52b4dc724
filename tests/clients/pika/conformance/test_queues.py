"""Declaring, deleting and purging queues."""

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
    unique,
)
from wire import Closed

QUEUE_DECLARE, QUEUE_PURGE, QUEUE_DELETE = (50, 10), (50, 30), (50, 40)


@pytest.fixture
def durable(connect):
    """Names for queues that outlive connections; deleted after the test."""
    names = []

    def durable():
        names.append(unique("durable"))
        return names[-1]

    yield durable
    sweeper = connect().channel()
    for name in names:
        sweeper.call("queue.delete", queue=name)


def test_declare_answers_name_and_counts(channel):
    name = unique()
    answer = channel.call("queue.declare", queue=name, exclusive=True)
    assert (answer.queue, answer.message_count, answer.consumer_count) == (name, 0, 0)
    fill(channel, name, "one", "two")
    consume(channel, a_queue(channel))
    answer = channel.call("queue.declare", queue=name, exclusive=True)
    assert (answer.queue, answer.message_count, answer.consumer_count) == (name, 2, 0)


def test_server_names_a_queue_that_has_none(channel):
    names = {a_queue(channel, "") for _ in range(20)}
    assert len(names) == 20
    for name in names:
        assert re.fullmatch(r"amq\.gen-[A-Za-z0-9_-]{22}", name), name


def test_server_named_queue_cannot_be_declared_again_but_passively(channel):
    name = a_queue(channel, "")
    assert channel.call("queue.declare", queue=name, passive=True).queue == name
    text = f"ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'"
    with refused(403, text, method=QUEUE_DECLARE):
        channel.call("queue.declare", queue=name, exclusive=True)


def test_names_beginning_with_amq_are_reserved(channel):
    text = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
    with refused(403, text, method=QUEUE_DECLARE):
        channel.call("queue.declare", queue="amq.mine")


@pytest.mark.parametrize("name", ["with space", "봉수", "a/b", "a'b", "%2f", "x" * 255])
def test_any_utf8_is_a_name(channel, name):
    if len(name.encode()) < 255:
        name = unique(name)
    assert a_queue(channel, name) == name
    fill(channel, name, "m")
    assert bodies(channel, name) == ["m"]


@pytest.mark.parametrize(
    "first, second, argument, received, current",
    [
        ({"durable": True}, {"durable": False}, "durable", "false", "true"),
        ({"durable": False}, {"durable": True}, "durable", "true", "false"),
        ({"auto_delete": True}, {"auto_delete": False}, "auto_delete", "false", "true"),
        ({"auto_delete": False}, {"auto_delete": True}, "auto_delete", "true", "false"),
    ],
)
def test_inequivalent_declaration(channel, durable, first, second, argument, received, current):
    name = durable()
    channel.call("queue.declare", queue=name, **first)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{name}' in vhost '/': "
        f"received '{received}' but current is '{current}'"
    )
    with refused(406, text, method=QUEUE_DECLARE):
        channel.call("queue.declare", queue=name, **second)


def test_exclusive_declared_as_shared_by_its_owner(channel):
    name = a_queue(channel)
    text = LOCKED.format(name=name)
    with refused(405, text, method=QUEUE_DECLARE):
        channel.call("queue.declare", queue=name, exclusive=False)


def test_shared_declared_as_exclusive(channel, durable):
    name = durable()
    channel.call("queue.declare", queue=name)
    text = LOCKED.format(name=name)
    with refused(405, text, method=QUEUE_DECLARE):
        channel.call("queue.declare", queue=name, exclusive=True)


ARGUMENTS = [
    ("x-message-ttl", 60000, 50000, "signedint"),
    ("x-max-length", 10, 20, "signedint"),
    ("x-dead-letter-exchange", "a", "b", "longstr"),
]


@pytest.mark.parametrize("name, one, two, _kind", ARGUMENTS)
def test_inequivalent_argument(channel, name, one, two, _kind):
    queue = unique()
    for _ in range(2):
        a_queue(channel, queue, arguments={name: one})
    text = (
        f"PRECONDITION_FAILED - inequivalent arg '{name}' for queue '{queue}' in vhost '/': "
        f"received '{two}' but current is '{one}'"
    )
    with refused(406, text, method=QUEUE_DECLARE):
        a_queue(channel, queue, arguments={name: two})


@pytest.mark.parametrize("name, one, _two, kind", ARGUMENTS)
def test_argument_left_out(channel, name, one, _two, kind):
    queue = unique()
    a_queue(channel, queue, arguments={name: one})
    text = (
        f"PRECONDITION_FAILED - inequivalent arg '{name}' for queue '{queue}' in vhost '/': "
        f"received none but current is the value '{one}' of type '{kind}'"
    )
    with refused(406, text, method=QUEUE_DECLARE):
        a_queue(channel, queue)


@pytest.mark.parametrize("name, one, _two, kind", ARGUMENTS)
def test_argument_added(channel, name, one, _two, kind):
    queue = a_queue(channel)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg '{name}' for queue '{queue}' in vhost '/': "
        f"received the value '{one}' of type '{kind}' but current is none"
    )
    with refused(406, text, method=QUEUE_DECLARE):
        a_queue(channel, queue, arguments={name: one})


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-queue-mode": "lazy"},
        {"x-queue-version": 2},
        {"x-queue-master-locator": "min-masters"},
        {"x-queue-type": "classic"},
    ],
)
def test_argument_that_is_accepted_and_ignored(channel, arguments):
    queue = a_queue(channel, arguments=arguments)
    fill(channel, queue, "m")
    assert bodies(channel, queue) == ["m"]


def test_passive_declaration_of_what_is_not_there(channel):
    name = unique()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'", method=QUEUE_DECLARE):
        channel.call("queue.declare", queue=name, passive=True)


def test_passive_declaration_asks_for_nothing_but_the_name(channel, durable):
    name = durable()
    channel.call("queue.declare", queue=name, durable=True)
    channel.call("queue.declare", queue=name, passive=True, durable=False, auto_delete=True)


LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{name}' in vhost '/'. "
    "It could be originally declared on another connection or the exclusive property value does not "
    "match that of the original declaration."
)


@pytest.mark.parametrize(
    "method, number, arguments",
    [
        ("queue.declare", QUEUE_DECLARE, {"exclusive": True}),
        ("queue.declare", QUEUE_DECLARE, {"passive": True}),
        ("queue.declare", QUEUE_DECLARE, {}),
        ("queue.bind", (50, 20), {"exchange": "amq.fanout"}),
        ("queue.purge", QUEUE_PURGE, {}),
        ("queue.delete", QUEUE_DELETE, {}),
        ("basic.consume", (60, 20), {}),
        ("basic.get", (60, 70), {}),
    ],
)
def test_exclusive_queue_is_locked_for_other_connections(connect, method, number, arguments):
    name = a_queue(connect().channel())
    with refused(405, LOCKED.format(name=name), method=number):
        connect().channel().call(method, queue=name, **arguments)


def test_exclusive_queue_is_open_to_other_channels_of_its_connection(connection):
    name = a_queue(connection.channel())
    other = connection.channel()
    fill(other, name, "m")
    assert bodies(other, name) == ["m"]


def test_anyone_may_publish_to_an_exclusive_queue(connect, channel):
    name = a_queue(channel)
    other = connect().channel()
    other.call("confirm.select")
    other.publish("", name, b"m")
    other.wait("basic.ack")
    assert bodies(channel, name) == ["m"]


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("is_durable", [False, True])
def test_exclusive_queue_goes_with_its_connection(connect, channel, end, is_durable):
    other = connect()
    name = a_queue(other.channel(), durable=is_durable)
    getattr(other, end)()

    def gone():
        probe = channel.connection.channel()
        try:
            probe.call("queue.declare", queue=name, passive=True)
        except Closed as closed:
            return closed.code == 404
        probe.close()
        return False

    eventually(gone, "the queue is gone")


def test_exclusive_queue_stays_when_its_channel_closes(connection):
    one, two = connection.channel(), connection.channel()
    name = a_queue(one)
    one.close()
    assert ready(two, name) == 0


def test_auto_delete_goes_with_its_last_consumer(connection, channel):
    name = a_queue(channel, exclusive=False, auto_delete=True)
    one, two = consume(channel, name), consume(channel, name)
    channel.call("basic.cancel", consumer_tag=one)
    assert consumers(channel, name) == 1
    channel.call("basic.cancel", consumer_tag=two)
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        ready(channel, name)


def test_auto_delete_goes_when_the_consumers_channel_closes(connection, channel):
    other = connection.channel()
    name = a_queue(other, exclusive=False, auto_delete=True)
    consume(other, name)
    other.close()

    def gone():
        probe = connection.channel()
        try:
            ready(probe, name)
        except Closed as closed:
            return closed.code == 404
        probe.close()
        return False

    eventually(gone, "the queue is gone")


def test_auto_delete_without_a_consumer_stays(channel, durable):
    name = durable()
    channel.call("queue.declare", queue=name, auto_delete=True)
    fill(channel, name, "m")
    assert bodies(channel, name) == ["m"]
    assert ready(channel, name) == 0


def test_delete_answers_how_many_were_ready(channel):
    name = a_queue(channel)
    fill(channel, name, 1, 2, 3)
    channel.call("basic.get", queue=name)
    assert channel.call("queue.delete", queue=name).message_count == 2
    assert channel.call("queue.delete", queue=name).message_count == 0


def test_delete_if_empty(channel):
    name = a_queue(channel)
    fill(channel, name, 1)
    text = f"PRECONDITION_FAILED - queue '{name}' in vhost '/' not empty"
    with refused(406, text, method=QUEUE_DELETE):
        channel.call("queue.delete", queue=name, if_empty=True)


def test_delete_if_unused(channel):
    name = a_queue(channel)
    consume(channel, name)
    text = f"PRECONDITION_FAILED - queue '{name}' in vhost '/' in use"
    with refused(406, text, method=QUEUE_DELETE):
        channel.call("queue.delete", queue=name, if_unused=True)


def test_delete_if_unused_and_empty_when_it_is(channel):
    name = a_queue(channel)
    assert channel.call("queue.delete", queue=name, if_unused=True, if_empty=True).message_count == 0
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        ready(channel, name)


def test_purge_answers_how_many_and_leaves_what_is_out(channel):
    name = a_queue(channel)
    fill(channel, name, 1, 2, 3)
    out = channel.call("basic.get", queue=name)
    assert channel.call("queue.purge", queue=name).message_count == 2
    assert ready(channel, name) == 0
    channel.call("basic.recover", requeue=True)
    assert out.body == b"1"
    assert bodies(channel, name) == ["1"]


def test_purge_of_what_is_not_there(channel):
    name = unique()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'", method=QUEUE_PURGE):
        channel.call("queue.purge", queue=name)


def test_purge_and_delete_without_an_answer(channel):
    name = a_queue(channel)
    fill(channel, name, 1, 2)
    channel.send("queue.purge", queue=name, nowait=True)
    assert ready(channel, name) == 0
    channel.send("queue.delete", queue=name, nowait=True)
    channel.nothing()
    with refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"):
        ready(channel, name)


def test_nowait_declaration_is_not_answered(channel):
    name = unique()
    channel.send("queue.declare", queue=name, exclusive=True, nowait=True)
    assert ready(channel, name) == 0
    channel.nothing()


def test_durable_queue_stays_when_its_connection_goes(connect, durable):
    name = durable()
    one = connect()
    one.channel().call("queue.declare", queue=name, durable=True)
    fill(one.channel(), name, "m")
    one.close()
    assert bodies(connect().channel(), name) == ["m"]


def test_transient_shared_queue_stays_when_its_connection_goes(connect, durable):
    name = durable()
    one = connect()
    one.channel().call("queue.declare", queue=name)
    one.close()
    assert ready(connect().channel(), name) == 0
