"""x-queue-type=quorum: the same queue to its users, with the same properties.

What RabbitMQ's quorum queues do not have (priorities, exclusive, transient) they have here, and
is not looked at; what they have is compared.
"""

import pytest
from helpers import (
    a_queue,
    arrived,
    bodies,
    consume,
    consumers,
    deaths,
    get,
    only_bongsu,
    put,
    ready,
    refused,
    taken,
    texts,
    unique,
    until,
)
from wire import Closed

QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture
def quorum(connect):
    made = []

    def quorum(**arguments):
        made.append(unique("quorum"))
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        connect().channel().call(
            "queue.declare", queue=made[-1], durable=True, arguments={**QUORUM, **arguments}
        )
        return made[-1]

    yield quorum
    sweeper = connect().channel()
    for name in made:
        sweeper.call("queue.delete", queue=name)


@pytest.fixture
def dead(channel):
    return a_queue(channel, unique("dead"))


def dying(quorum, dead, **arguments):
    return quorum(x_dead_letter_exchange="", x_dead_letter_routing_key=dead, **arguments)


def counted(channel, queue, count):
    """RabbitMQ counts behind the publishes and settles of a quorum queue."""
    until(lambda: ready(channel, queue) == count, f"{count} in {queue}")


def test_publish_and_take(channel, quorum):
    queue = quorum()
    assert put(channel, queue, *range(50)) == [True] * 50
    counted(channel, queue, 50)
    assert bodies(channel, queue) == [str(number) for number in range(50)]


def test_consume_and_ack(channel, quorum):
    queue = quorum()
    channel.call("basic.qos", prefetch_count=5)
    consume(channel, queue)
    put(channel, queue, *range(20))
    found = []
    for _ in range(20):
        found.append(channel.delivery())
        channel.send("basic.ack", delivery_tag=found[-1].delivery_tag)
    assert texts(found) == [str(number) for number in range(20)]
    counted(channel, queue, 0)


def test_requeued_comes_back_redelivered(channel, quorum):
    queue = quorum()
    put(channel, queue, "m")
    channel.send("basic.nack", delivery_tag=get(channel, queue).delivery_tag, requeue=True)
    counted(channel, queue, 1)
    again = get(channel, queue)
    assert (again.body, again.redelivered) == (b"m", True)


def test_lost_consumers_messages_come_back_in_order(connect, channel, quorum):
    queue = quorum()
    going = connect()
    other = going.channel()
    consume(other, queue)
    put(channel, queue, *range(5))
    taken(other, 5)
    going.abort()
    consume(channel, queue)
    found = taken(channel, 5)
    assert texts(found) == ["0", "1", "2", "3", "4"]
    assert all(message.redelivered for message in found)


def test_rejected_dies(channel, quorum, dead):
    queue = dying(quorum, dead)
    put(channel, queue, "m")
    channel.send("basic.reject", delivery_tag=get(channel, queue).delivery_tag)
    (gone,) = arrived(channel, dead, 1)
    (death,) = deaths(gone)
    assert (death["reason"], death["queue"], death["exchange"], death["routing-keys"]) == ("rejected", queue, "", [queue])


def test_limit_drops_the_oldest(channel, quorum, dead):
    queue = dying(quorum, dead, x_max_length=3)
    put(channel, queue, *range(6))
    gone = arrived(channel, dead, 3)
    assert texts(gone) == ["0", "1", "2"]
    assert {deaths(message)[0]["reason"] for message in gone} == {"maxlen"}
    assert bodies(channel, queue) == ["3", "4", "5"]


def test_limit_of_bytes(channel, quorum, dead):
    queue = dying(quorum, dead, x_max_length_bytes=30)
    put(channel, queue, *[f"{number:010}" for number in range(5)])
    assert len(arrived(channel, dead, 2)) == 2
    assert [int(text) for text in bodies(channel, queue)] == [2, 3, 4]


def test_reject_publish_nacks(channel, quorum):
    """RabbitMQ hears of the limit with a delay, and takes a few more; it nacks from then on."""
    queue = quorum(x_max_length=2, x_overflow="reject-publish")
    until(lambda: put(channel, queue, "m") == [False], "a nack")
    channel.call("queue.purge", queue=queue)
    until(lambda: put(channel, queue, "m") == [True], "an ack again")


def test_expired_dies(channel, quorum, dead):
    queue = dying(quorum, dead)
    put(channel, queue, ("m", {"expiration": "100"}))
    (gone,) = arrived(channel, dead, 1)
    (death,) = deaths(gone)
    assert (death["reason"], death["original-expiration"]) == ("expired", "100")
    assert "expiration" not in gone.properties


def test_dies_at_least_once(channel, quorum, dead):
    queue = dying(quorum, dead, x_dead_letter_strategy="at-least-once", x_overflow="reject-publish", x_message_ttl=50)
    put(channel, queue, *range(20))
    assert sorted(texts(arrived(channel, dead, 20)), key=int) == [str(number) for number in range(20)]


def test_single_active_consumer(connection, channel, quorum):
    queue = quorum(x_single_active_consumer=True)
    one, two = connection.channel(), connection.channel()
    consume(one, queue)
    consume(two, queue)
    put(channel, queue, 1, 2)
    assert texts(taken(one, 2)) == ["1", "2"]
    one.close()
    found = taken(two, 2)
    assert (texts(found), [message.redelivered for message in found]) == (["1", "2"], [True, True])


def test_consumer_priority(connection, channel, quorum):
    queue = quorum()
    low, high = connection.channel(), connection.channel()
    for other, priority in ((low, 1), (high, 5)):
        other.call("basic.qos", prefetch_count=2)
        consume(other, queue, arguments={"x-priority": priority})
    put(channel, queue, *range(4))
    assert texts(taken(high, 2)) == ["0", "1"]
    assert texts(taken(low, 2)) == ["2", "3"]


def test_unused_it_expires(connection, channel, quorum):
    """Seen by an exchange that goes with its last binding: RabbitMQ trips over a look at the queue itself."""
    exchange = unique("e")
    channel.call("exchange.declare", exchange=exchange, type="fanout", auto_delete=True)
    channel.call("queue.bind", queue=quorum(x_expires=300), exchange=exchange)

    def is_gone():
        probe = connection.channel()
        try:
            probe.call("exchange.declare", exchange=exchange, type="fanout", passive=True)
        except Closed as closed:
            return closed.code == 404
        probe.close()
        return False

    until(is_gone, "it expires")


def test_purge_and_delete(channel, quorum):
    queue = quorum()
    put(channel, queue, 1, 2, 3)
    assert channel.call("queue.purge", queue=queue).message_count == 3
    put(channel, queue, 4)
    counted(channel, queue, 1)
    channel.call("queue.delete", queue=queue)
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        ready(channel, queue)


def test_deleted_cancels_its_consumers(connect, channel, quorum):
    queue = quorum()
    other = connect(capabilities={"consumer_cancel_notify": True}).channel()
    tag = consume(other, queue)
    until(lambda: consumers(channel, queue) == 1, "the consumer is counted")
    channel.call("queue.delete", queue=queue)
    assert other.wait("basic.cancel").consumer_tag == tag


@pytest.mark.parametrize("first, second", [("quorum", "classic"), ("classic", "quorum")])
def test_declared_as_another_type(connect, channel, first, second):
    name = unique()
    channel.call("queue.declare", queue=name, durable=True, arguments={"x-queue-type": first})
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{name}' in vhost '/': "
        f"received '{second}' but current is '{first}'"
    )
    with refused(406, text, method=(50, 10)):
        channel.call("queue.declare", queue=name, durable=True, arguments={"x-queue-type": second})
    connect().channel().call("queue.delete", queue=name)


def test_classic_is_the_same_as_none(channel):
    """None means the default, which is classic."""
    one, two = unique(), unique()
    a_queue(channel, one, arguments={"x-queue-type": "classic"})
    a_queue(channel, one)
    a_queue(channel, two)
    a_queue(channel, two, arguments={"x-queue-type": "classic"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-quorum-initial-group-size": 3},
        {"x-queue-leader-locator": "client-local"},
        {"x-queue-leader-locator": "balanced"},
        {"x-max-in-memory-length": 100},
        {"x-max-in-memory-bytes": 100000},
        {"x-delivery-limit": 7},
        {"x-dead-letter-strategy": "at-most-once"},
    ],
    ids=str,
)
def test_arguments_of_its_own(channel, quorum, arguments):
    queue = quorum(**arguments)
    put(channel, queue, "m")
    counted(channel, queue, 1)
    assert bodies(channel, queue) == ["m"]


EVERYTHING = "RabbitMQ has a table of which type takes what"


@only_bongsu(EVERYTHING)
@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"x-max-priority": 5},
        {"x-queue-mode": "lazy", "x-queue-version": 2},
        {"x-delivery-limit": 5, "x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-least-once"},
        {"x-overflow": "reject-publish-dlx", "x-max-length": 10},
        {"x-delayed-retry-type": "all", "x-delayed-retry-min": 1000, "x-delayed-retry-max": 5000},
        {"x-queue-leader-locator": "balanced", "x-quorum-initial-group-size": 3, "x-max-in-memory-length": 5},
        {"x-queue-master-locator": "min-masters"},
        {"x-consumer-timeout": 60000},
        {"x-message-deduplication": True, "x-cache-size": 10, "x-cache-ttl": 1000},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "options",
    [{"exclusive": True}, {"exclusive": True, "durable": True}, {"exclusive": False, "auto_delete": True}],
    ids=str,
)
def test_any_type_takes_any_argument(channel, kind, arguments, options):
    queue = a_queue(channel, arguments={"x-queue-type": kind, **arguments}, **options)
    put(channel, queue, "m")
    assert bodies(channel, queue) == ["m"]
    channel.call("queue.delete", queue=queue)


@only_bongsu(EVERYTHING)
def test_quorum_queue_with_priorities(channel):
    queue = a_queue(channel, arguments={**QUORUM, "x-max-priority": 9})
    put(channel, queue, ("low", {"priority": 1}), ("high", {"priority": 9}))
    assert bodies(channel, queue) == ["high", "low"]
