"""Transactions: nothing is seen before the commit, everything after it, and nothing of a rollback."""

import pytest
from helpers import (
    JUDGE,
    a_queue,
    a_queue_and_its_dead,
    arrived,
    bind,
    bodies,
    consume,
    deaths,
    eventually,
    fill,
    get,
    put,
    ready,
    refused,
    taken,
    texts,
    unique,
)
from wire import plain

PUBLISH, ACK, TX_COMMIT, TX_ROLLBACK = (60, 40), (60, 80), (90, 20), (90, 30)


@pytest.fixture
def other(connection):
    """A channel outside the transaction."""
    return connection.channel()


@pytest.fixture
def tx(connection):
    channel = connection.channel()
    channel.call("tx.select")
    return channel


def publish(tx, queue, *messages):
    for body in messages:
        tx.publish("", queue, str(body))


def test_published_is_seen_from_the_commit_on(tx, other):
    queue = a_queue(other)
    publish(tx, queue, 1, 2, 3)
    tx.sync()
    assert ready(other, queue) == 0
    tx.call("tx.commit")
    assert bodies(other, queue) == ["1", "2", "3"]


def test_own_publishes_are_not_seen_either(tx):
    queue = a_queue(tx)
    publish(tx, queue, 1)
    assert tx.call("basic.get", queue=queue).name == "basic.get-empty"
    tx.call("tx.commit")
    assert get(tx, queue).body == b"1"


def test_rolled_back_is_gone(tx, other):
    queue = a_queue(other)
    publish(tx, queue, 1, 2)
    tx.call("tx.rollback")
    publish(tx, queue, 3)
    tx.call("tx.commit")
    assert bodies(other, queue) == ["3"]


def test_transaction_follows_transaction(tx, other):
    queue = a_queue(other)
    for number in range(10):
        publish(tx, queue, number)
        tx.call("tx.rollback" if number % 3 == 0 else "tx.commit")
    assert bodies(other, queue) == ["1", "2", "4", "5", "7", "8"]


def test_commit_of_nothing(tx):
    for _ in range(3):
        tx.call("tx.commit")
        tx.call("tx.rollback")
    tx.nothing()


def test_select_twice_keeps_what_is_pending(tx, other):
    queue = a_queue(other)
    publish(tx, queue, 1)
    tx.call("tx.select")
    tx.call("tx.commit")
    assert bodies(other, queue) == ["1"]


@pytest.mark.parametrize("durable", [False, True])
def test_several_queues_and_exchanges_at_once(tx, other, durable):
    queues = [a_queue(other, durable=durable) for _ in range(3)]
    bind(other, queues[1], "amq.topic", f"{queues[0]}.#")
    bind(other, queues[2], "amq.topic", f"{queues[0]}.#")
    for number in range(50):
        tx.publish("", queues[0], str(number), {"delivery_mode": 2})
        tx.publish("amq.topic", f"{queues[0]}.x", str(number), {"delivery_mode": 2})
    tx.sync()
    assert [ready(other, queue) for queue in queues] == [0, 0, 0]
    tx.call("tx.commit")
    for queue in queues:
        assert bodies(other, queue) == [str(number) for number in range(50)]


def test_consumer_gets_it_after_the_commit(tx, other):
    queue = a_queue(other)
    consume(other, queue, no_ack=True)
    publish(tx, queue, 1, 2)
    tx.sync()
    other.nothing()
    tx.call("tx.commit")
    assert texts(taken(other, 2)) == ["1", "2"]


def test_ack_counts_from_the_commit_on(connection, other):
    queue = a_queue(other)
    fill(other, queue, 1)
    tx = connection.channel()
    tx.call("tx.select")
    tx.send("basic.ack", delivery_tag=get(tx, queue).delivery_tag)
    tx.close()
    # The channel went before a commit: the ack never was.
    back = eventually_one(other, queue)
    assert (back.body, back.redelivered) == (b"1", True)
    other.send("basic.nack", delivery_tag=back.delivery_tag, requeue=True)
    tx = connection.channel()
    tx.call("tx.select")
    tx.send("basic.ack", delivery_tag=get(tx, queue).delivery_tag)
    tx.call("tx.commit")
    tx.close()
    assert bodies(other, queue) == []


def eventually_one(channel, queue):
    found = []

    def one():
        got = channel.call("basic.get", queue=queue)
        found.append(got)
        return got.name == "basic.get-ok"

    eventually(one, f"a message in {queue}", attempts=20000)
    return found[-1]


def test_acked_and_rolled_back_is_still_out(tx, other):
    """The message stays with the channel, and its tag may be settled again."""
    queue = a_queue(other)
    fill(other, queue, 1)
    message = get(tx, queue)
    tx.send("basic.ack", delivery_tag=message.delivery_tag)
    tx.call("tx.rollback")
    assert ready(other, queue) == 0
    tx.send("basic.ack", delivery_tag=message.delivery_tag)
    tx.call("tx.commit")
    tx.call("basic.recover", requeue=True)
    assert bodies(other, queue) == []


def test_rolled_back_may_be_rejected_instead(tx, other):
    queue, dead = a_queue_and_its_dead(other)
    fill(other, queue, 1, 2)
    messages = [get(tx, queue) for _ in range(2)]
    tx.send("basic.ack", delivery_tag=messages[1].delivery_tag, multiple=True)
    tx.call("tx.rollback")
    tx.send("basic.reject", delivery_tag=messages[0].delivery_tag)
    tx.send("basic.nack", delivery_tag=messages[1].delivery_tag, requeue=True)
    tx.call("tx.commit")
    assert texts(arrived(other, dead, 1)) == ["1"]
    assert bodies(other, queue) == ["2"]


def test_ack_and_publish_together(tx, other):
    """Take from one queue, put into another: both or neither."""
    source, destination = a_queue(other), a_queue(other)
    fill(other, source, 1)
    message = get(tx, source)
    publish(tx, destination, "done")
    tx.send("basic.ack", delivery_tag=message.delivery_tag)
    tx.call("tx.rollback")
    assert ready(other, destination) == 0
    publish(tx, destination, "done")
    tx.send("basic.ack", delivery_tag=message.delivery_tag)
    tx.call("tx.commit")
    assert bodies(other, destination) == ["done"]
    tx.call("basic.recover", requeue=True)
    assert bodies(other, source) == []


def test_requeue_counts_from_the_commit_on(tx, other):
    queue = a_queue(other)
    fill(other, queue, 1, 2)
    for _ in range(2):
        get(tx, queue)
    tx.send("basic.nack", delivery_tag=0, multiple=True, requeue=True)
    tx.sync()
    assert ready(other, queue) == 0
    tx.call("tx.commit")
    assert bodies(other, queue) == ["1", "2"]


def test_reject_dies_at_the_commit(tx, other):
    queue, dead = a_queue_and_its_dead(other)
    fill(other, queue, 1)
    tx.send("basic.reject", delivery_tag=get(tx, queue).delivery_tag)
    tx.sync()
    assert ready(other, dead) == 0
    tx.call("tx.commit")
    assert deaths(arrived(other, dead, 1)[0])[0]["reason"] == "rejected"


def test_ack_of_what_is_acked_in_the_same_transaction(tx, other):
    queue = a_queue(other)
    fill(other, queue, 1, 2)
    message = get(tx, queue)
    get(tx, queue)
    tx.send("basic.ack", delivery_tag=message.delivery_tag)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 1", method=ACK):
        tx.send("basic.ack", delivery_tag=message.delivery_tag)
        tx.event()


def test_unknown_tag_is_refused_at_once(tx):
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 7", method=ACK):
        tx.send("basic.ack", delivery_tag=7)
        tx.sync()


def test_prefetch_has_room_again_after_the_commit(tx, other):
    queue = a_queue(other)
    fill(other, queue, 1, 2)
    tx.call("basic.qos", prefetch_count=1)
    consume(tx, queue)
    message = tx.delivery()
    tx.send("basic.ack", delivery_tag=message.delivery_tag)
    tx.nothing()
    tx.call("tx.commit")
    assert tx.delivery().body == b"2"


def test_consumer_without_prefetch_is_served_all_along(tx, other):
    queue = a_queue(other)
    consume(tx, queue)
    put(other, queue, 1, 2)
    assert texts(taken(tx, 2)) == ["1", "2"]
    tx.send("basic.ack", delivery_tag=0, multiple=True)
    tx.call("tx.rollback")
    put(other, queue, 3)
    assert tx.delivery().body == b"3"


def test_auto_ack_takes_no_part(tx, other):
    queue = a_queue(other)
    fill(other, queue, 1)
    get(tx, queue, no_ack=True)
    tx.call("tx.rollback")
    assert bodies(other, queue) == []


def test_mandatory_comes_back_at_the_commit(tx):
    for number in range(3):
        tx.publish("", unique("nowhere"), str(number), {"message_id": str(number)}, mandatory=True)
    tx.nothing()
    tx.send("tx.commit")
    events = [tx.event() for _ in range(4)]
    assert [event.name for event in events] == ["basic.return"] * 3 + ["tx.commit-ok"]
    for number, back in enumerate(events[:3]):
        assert (back.reply_code, back.reply_text, back.body) == (312, "NO_ROUTE", str(number).encode())
        assert back.properties["message_id"] == str(number)


def test_mandatory_and_rolled_back_does_not_come_back(tx):
    tx.publish("", unique("nowhere"), b"m", mandatory=True)
    tx.call("tx.rollback")
    tx.call("tx.commit")
    tx.nothing()


def test_closed_channel_takes_its_transaction_with_it(connection, tx, other):
    queue = a_queue(other)
    publish(tx, queue, 1)
    tx.close()
    connection.channel().sync()
    assert bodies(other, queue) == []


@pytest.mark.parametrize("how", ["close", "abort"])
def test_closed_connection_as_well(connect, other, how):
    going, name = connect(), unique()
    other.call("queue.declare", queue=name)
    tx = going.channel()
    tx.call("tx.select")
    fill(other, name, 1)
    tx.send("basic.ack", delivery_tag=get(tx, name).delivery_tag)
    publish(tx, name, 2)
    tx.sync()
    getattr(going, how)()
    assert eventually_one(other, name).body == b"1"
    assert bodies(other, name) == []
    other.call("queue.delete", queue=name)


def test_queue_deleted_before_the_commit(tx, other):
    gone, stays = a_queue(other), a_queue(other)
    publish(tx, gone, 1)
    publish(tx, stays, 2)
    tx.sync()
    other.call("queue.delete", queue=gone)
    tx.call("tx.commit")
    assert bodies(other, stays) == ["2"]


def test_declarations_take_no_part(tx, other):
    queue = a_queue(tx)
    tx.call("tx.rollback")
    assert ready(other, queue) == 0


def test_expiration_and_user_id_are_checked_at_the_publish(tx):
    with refused(406, "PRECONDITION_FAILED - invalid expiration 'soon': no_integer", method=PUBLISH):
        tx.publish("", "nowhere", b"m", {"expiration": "soon"})
        tx.sync()


def test_publish_that_a_full_queue_rejects_fails_the_commit(tx, other):
    """RabbitMQ 3.10 keeps what fits; a transaction of Bongsu's is all or nothing, here too."""
    queue = a_queue(other, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(tx, queue, 1, 2)
    with refused(406, "PRECONDITION_FAILED - partial tx completion", method=TX_COMMIT):
        tx.call("tx.commit")
    assert bodies(other, queue) == (["1"] if JUDGE == "rabbitmq" else [])


def test_properties_go_through(tx, other):
    queue = a_queue(other)
    tx.publish("", queue, b"m", {"message_id": "i", "headers": {"a": 1}, "delivery_mode": 2})
    tx.call("tx.commit")
    properties = get(other, queue).properties
    assert (properties["message_id"], properties["delivery_mode"], plain(properties["headers"])) == ("i", 2, {"a": 1})


NOT_TRANSACTIONAL = "PRECONDITION_FAILED - channel is not transactional"


@pytest.mark.parametrize("method, number", [("tx.commit", TX_COMMIT), ("tx.rollback", TX_ROLLBACK)])
@pytest.mark.parametrize("mode", ["plain", "confirm"])
def test_without_a_select(channel, method, number, mode):
    if mode == "confirm":
        channel.call("confirm.select")
    with refused(406, NOT_TRANSACTIONAL, method=number):
        channel.call(method)


def test_transactional_channel_cannot_confirm(tx):
    with refused(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", method=(85, 10)):
        tx.call("confirm.select")


def test_confirming_channel_cannot_be_transactional(channel):
    channel.call("confirm.select")
    with refused(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", method=(90, 10)):
        channel.call("tx.select")


def test_channels_have_transactions_of_their_own(connection, tx, other):
    queue = a_queue(other)
    second = connection.channel()
    second.call("tx.select")
    publish(tx, queue, 1)
    publish(second, queue, 2)
    second.call("tx.commit")
    tx.call("tx.rollback")
    assert bodies(other, queue) == ["2"]
