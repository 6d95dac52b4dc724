"""Time to live: which of two wins, when it counts, and in what order what expired goes.

Nothing here measures time. What must be gone is waited for; what must still be there is looked
for once a witness, published later with the same time to live, is gone.
"""

import pytest
from helpers import (
    a_queue,
    a_queue_and_its_dead,
    arrived,
    bodies,
    consume,
    deaths,
    fill,
    get,
    put,
    ready,
    refused,
    taken,
    texts,
    until,
)

TTL = 200
SHORT, LONG = str(TTL), "3600000"


def has_passed(channel, milliseconds=TTL):
    """Returns when a message published now, with this time to live, is gone."""
    witness = a_queue(channel, arguments={"x-message-ttl": milliseconds})
    put(channel, witness, "witness")
    until(lambda: ready(channel, witness) == 0, "the witness expires")


def publish(channel, queue, *messages):
    """Publishes (body, expiration) and makes sure the queue has seen them."""
    put(channel, queue, *[(body, expiration and {"expiration": expiration}) for body, expiration in messages])


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("mode", [1, 2])
def test_queues_ttl_empties_it_without_a_consumer(channel, durable, mode):
    queue = a_queue(channel, arguments={"x-message-ttl": TTL}, durable=durable)
    put(channel, queue, *[(number, {"delivery_mode": mode}) for number in range(20)])
    until(lambda: ready(channel, queue) == 0, "all expire")
    assert bodies(channel, queue) == []


def test_messages_own_expiration(channel):
    queue = a_queue(channel)
    publish(channel, queue, ("a", SHORT), ("b", SHORT))
    until(lambda: ready(channel, queue) == 0, "both expire")


def test_messages_expiration_wins_where_it_is_lower(channel):
    queue = a_queue(channel, arguments={"x-message-ttl": int(LONG)})
    publish(channel, queue, ("a", SHORT))
    until(lambda: ready(channel, queue) == 0, "it expires")


def test_queues_ttl_wins_where_it_is_lower(channel):
    queue = a_queue(channel, arguments={"x-message-ttl": TTL})
    publish(channel, queue, ("a", LONG))
    until(lambda: ready(channel, queue) == 0, "it expires")


def test_expired_behind_one_that_is_not_stays_until_it_is_at_the_head(channel):
    queue, dead = a_queue_and_its_dead(channel)
    publish(channel, queue, ("stays", None), ("expires", SHORT), ("stays too", None))
    has_passed(channel)
    assert ready(channel, queue) == 3
    assert ready(channel, dead) == 0
    # Taking the head brings the expired one to it.
    assert get(channel, queue, no_ack=True).body == b"stays"
    assert arrived(channel, dead, 1)[0].body == b"expires"
    assert bodies(channel, queue) == ["stays too"]


def test_expired_behind_the_head_is_never_delivered(channel):
    queue = a_queue(channel)
    publish(channel, queue, ("1", None), ("2", SHORT), ("3", SHORT), ("4", None), ("5", SHORT))
    has_passed(channel)
    assert bodies(channel, queue) == ["1", "4"]


def test_expired_behind_the_head_is_never_given_to_a_consumer(channel):
    queue = a_queue(channel)
    publish(channel, queue, ("1", None), ("2", SHORT), ("3", None))
    has_passed(channel)
    consume(channel, queue, no_ack=True)
    assert texts(taken(channel, 2)) == ["1", "3"]
    channel.nothing()


def test_shorter_behind_longer_waits_for_it(channel):
    queue, dead = a_queue_and_its_dead(channel)
    publish(channel, queue, ("longer", "600"), ("shorter", "50"))
    assert texts(arrived(channel, dead, 2)) == ["longer", "shorter"]


def test_expired_go_in_the_queues_order(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": TTL})
    for number in range(50):
        channel.publish("", queue, str(number))
    assert texts(arrived(channel, dead, 50)) == [str(number) for number in range(50)]
    assert ready(channel, queue) == 0


def test_of_different_expirations_ascending_each_goes_in_its_time(channel):
    queue, dead = a_queue_and_its_dead(channel)
    publish(channel, queue, ("1", "50"), ("2", "150"), ("3", "250"), ("4", LONG))
    assert texts(arrived(channel, dead, 3)) == ["1", "2", "3"]
    assert ready(channel, queue) == 1


@pytest.mark.parametrize("how", ["queue", "message"])
def test_zero_without_a_consumer_is_gone_at_once(channel, how):
    arguments = {"x-message-ttl": 0} if how == "queue" else {}
    queue, dead = a_queue_and_its_dead(channel, arguments)
    publish(channel, queue, ("a", "0" if how == "message" else None))
    assert arrived(channel, dead, 1)[0].body == b"a"
    assert bodies(channel, queue) == []


def test_what_is_out_does_not_expire(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": TTL})
    channel.call("basic.qos", prefetch_count=1)
    consume(channel, queue)
    channel.publish("", queue, b"out")
    message = channel.delivery()
    has_passed(channel)
    assert ready(channel, dead) == 0
    channel.send("basic.ack", delivery_tag=message.delivery_tag)
    channel.nothing()


def test_returned_after_its_time_it_expires(channel):
    """A return does not give a new life: the time runs from the publish."""
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": TTL})
    channel.call("basic.qos", prefetch_count=1)
    tag = consume(channel, queue)
    channel.publish("", queue, b"back")
    message = channel.delivery()
    has_passed(channel)
    channel.call("basic.cancel", consumer_tag=tag)
    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
    (gone,) = arrived(channel, dead, 1)
    assert (gone.body, deaths(gone)[0]["reason"]) == (b"back", "expired")
    assert bodies(channel, queue) == []


def test_expired_is_confirmed(channel):
    queue = a_queue(channel, arguments={"x-message-ttl": 0}, durable=True)
    assert put(channel, queue, *[("m", {"delivery_mode": 2})] * 3) == [True] * 3
    assert bodies(channel, queue) == []


def test_queues_ttl_leaves_the_expiration_property_alone(channel):
    queue = a_queue(channel, arguments={"x-message-ttl": int(LONG)})
    publish(channel, queue, ("a", "7200000"), ("b", None), ("c", "007200000"))
    got = [get(channel, queue, no_ack=True).properties for _ in range(3)]
    assert [properties.get("expiration") for properties in got] == ["7200000", None, "007200000"]


def test_requeued_before_its_time_it_keeps_its_place(channel):
    queue = a_queue(channel, arguments={"x-message-ttl": int(LONG)})
    fill(channel, queue, "a", "b")
    first = get(channel, queue)
    channel.send("basic.nack", delivery_tag=first.delivery_tag, requeue=True)
    assert bodies(channel, queue) == ["a", "b"]


def test_message_reaches_queues_with_different_lives(channel):
    short, long = a_queue(channel, arguments={"x-message-ttl": TTL}), a_queue(channel)
    put(channel, short, ("m", {"headers": {"CC": [long]}}))
    until(lambda: ready(channel, short) == 0, "the short one is empty")
    assert bodies(channel, long) == ["m"]


PUBLISH = (60, 40)


@pytest.mark.parametrize(
    "expiration, why",
    [
        ("", "no_integer"),
        (" 5", "no_integer"),
        ("soon", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("1.5", '{leftover_string,".5"}'),
        ("5 ", '{leftover_string," "}'),
        ("5ms", '{leftover_string,"ms"}'),
        ("315360000001", "{value_too_large,315360000001}"),
        ("99999999999999", "{value_too_large,99999999999999}"),
    ],
)
def test_expiration_that_is_none(channel, expiration, why):
    queue = a_queue(channel)
    with refused(406, f"PRECONDITION_FAILED - invalid expiration '{expiration}': {why}", method=PUBLISH):
        channel.publish("", queue, b"x", {"expiration": expiration})
        channel.sync()


@pytest.mark.parametrize("expiration", ["+5000000", "0005000000", "4294967296", "315360000000"])
def test_expiration_at_its_edges(channel, expiration):
    queue = a_queue(channel)
    publish(channel, queue, ("a", expiration))
    assert get(channel, queue).properties["expiration"] == expiration


def test_expiration_is_checked_even_if_nobody_gets_it(channel):
    with refused(406, "PRECONDITION_FAILED - invalid expiration 'soon': no_integer", method=PUBLISH):
        channel.publish("amq.direct", "nobody", b"x", {"expiration": "soon"})
        channel.sync()


def test_thousands_expire_in_order(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": TTL}, durable=True)
    put(channel, queue, *[(number, {"delivery_mode": 2}) for number in range(3000)])
    assert texts(arrived(channel, dead, 3000)) == [str(number) for number in range(3000)]
    assert ready(channel, queue) == 0


def test_get_does_not_take_what_has_expired(channel):
    """However late the broker is with taking it away, nobody gets it."""
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": 30})
    taken_late = 0
    for number in range(30):
        put(channel, queue, number)
        has_passed(channel, 40)
        taken_late += channel.call("basic.get", queue=queue, no_ack=True).name == "basic.get-ok"
    assert taken_late == 0
    assert texts(arrived(channel, dead, 30)) == [str(number) for number in range(30)]


def test_ttl_beside_a_single_active_consumer(connection, channel):
    """What the others could take expires all the same: only the active one counts."""
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": TTL, "x-single-active-consumer": True})
    for _ in range(2):
        other = connection.channel()
        other.call("basic.qos", prefetch_count=1)
        consume(other, queue)
    put(channel, queue, 1, 2, 3)
    assert texts(arrived(channel, dead, 2)) == ["2", "3"]


def test_quorum_queue_expires_as_well(connect):
    channel = connect().channel()
    dead = a_queue(channel)
    arguments = {
        "x-queue-type": "quorum",
        "x-message-ttl": TTL,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    queue = a_queue(channel, durable=True, exclusive=False, arguments=arguments)
    try:
        for number in range(5):
            channel.publish("", queue, str(number))
        gone = arrived(channel, dead, 5)
        assert texts(gone) == ["0", "1", "2", "3", "4"]
        assert all(deaths(message)[0]["reason"] == "expired" for message in gone)
    finally:
        channel.call("queue.delete", queue=queue)
