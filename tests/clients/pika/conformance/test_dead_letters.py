"""Where dead letters go: by which exchange and key, in what order, and what does not die."""

import pytest
from helpers import (
    a_queue,
    a_queue_and_its_dead,
    an_exchange,
    arrived,
    bind,
    bodies,
    consume,
    consumers,
    deaths,
    eventually,
    fill,
    get,
    headers,
    put,
    ready,
    taken,
    texts,
    unique,
)

DURABLE = {"delivery_mode": 2}


@pytest.fixture
def exchange(connect, channel):
    made = []

    def exchange(kind="fanout", **options):
        made.append(an_exchange(channel, kind, **options))
        return made[-1]

    yield exchange
    sweeper = connect().channel()
    for name in made:
        sweeper.call("exchange.delete", exchange=name)


def reject(channel, message, requeue=False):
    channel.send("basic.reject", delivery_tag=message.delivery_tag, requeue=requeue)


@pytest.mark.parametrize("method", ["basic.reject", "basic.nack"])
@pytest.mark.parametrize("durable", [False, True])
def test_rejected_goes_to_the_dead_letter_queue(channel, method, durable):
    queue, dead = a_queue_and_its_dead(channel, durable=durable)
    put(channel, queue, ("m", DURABLE))
    channel.send(method, delivery_tag=get(channel, queue).delivery_tag, requeue=False)
    (gone,) = arrived(channel, dead, 1)
    assert (gone.body, gone.exchange, gone.routing_key, gone.redelivered) == (b"m", "", dead, False)
    assert ready(channel, queue) == 0


def test_from_a_consumer_as_well(channel):
    queue, dead = a_queue_and_its_dead(channel)
    consume(channel, queue)
    put(channel, queue, 0, 1, 2)
    for message in taken(channel, 3):
        reject(channel, message)
    assert texts(arrived(channel, dead, 3)) == ["0", "1", "2"]


def test_requeued_does_not_die(channel):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, "m")
    reject(channel, get(channel, queue), requeue=True)
    assert bodies(channel, queue) == ["m"]
    assert bodies(channel, dead) == []


def test_nack_multiple_keeps_their_order(channel):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, *range(10))
    out = [get(channel, queue) for _ in range(8)]
    channel.send("basic.nack", delivery_tag=out[6].delivery_tag, multiple=True, requeue=False)
    assert texts(arrived(channel, dead, 7)) == [str(number) for number in range(7)]
    channel.call("basic.recover", requeue=True)
    assert bodies(channel, queue) == ["7", "8", "9"]


def test_without_a_key_it_keeps_its_own(channel, exchange):
    dlx, dead = exchange("topic"), a_queue(channel)
    bind(channel, dead, dlx, "#")
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    bind(channel, queue, "amq.topic", f"{queue}.*")
    put(channel, f"{queue}.own", "m", exchange="amq.topic")
    reject(channel, get(channel, queue))
    (gone,) = arrived(channel, dead, 1)
    assert (gone.exchange, gone.routing_key) == (dlx, f"{queue}.own")


def test_with_a_key_it_takes_that(channel, exchange):
    dlx, one, two = exchange("direct"), a_queue(channel), a_queue(channel)
    bind(channel, one, dlx, "dead")
    bind(channel, two, dlx, "other")
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx, "x-dead-letter-routing-key": "dead"})
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    (gone,) = arrived(channel, one, 1)
    assert gone.routing_key == "dead"
    assert ready(channel, two) == 0


def test_an_empty_key_is_a_key(channel, exchange):
    dlx, dead = exchange("direct"), a_queue(channel)
    bind(channel, dead, dlx, "")
    # `queue.bind` with two empty names would mean something else: here the queue has one.
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx, "x-dead-letter-routing-key": ""})
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    assert arrived(channel, dead, 1)[0].routing_key == ""


def test_one_death_reaches_many_queues(channel, exchange):
    dlx = exchange("fanout")
    graves = [a_queue(channel) for _ in range(3)]
    for grave in graves:
        bind(channel, grave, dlx)
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    put(channel, queue, 1, 2)
    for _ in range(2):
        reject(channel, get(channel, queue))
    for grave in graves:
        assert texts(arrived(channel, grave, 2)) == ["1", "2"]


def test_through_exchanges_bound_to_the_dead_letter_exchange(channel, exchange):
    dlx, behind, dead = exchange("topic"), exchange("fanout"), a_queue(channel)
    channel.call("exchange.bind", source=dlx, destination=behind, routing_key="#")
    bind(channel, dead, behind)
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    assert arrived(channel, dead, 1)[0].exchange == dlx


def test_an_internal_exchange_takes_dead_letters(channel, exchange):
    dlx, dead = exchange("fanout", internal=True), a_queue(channel)
    bind(channel, dead, dlx)
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    assert arrived(channel, dead, 1)[0].body == b"m"


def test_alternate_of_the_dead_letter_exchange(channel, exchange):
    spare, dead = exchange("fanout"), a_queue(channel)
    bind(channel, dead, spare)
    dlx = exchange("direct", arguments={"alternate-exchange": spare})
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    (gone,) = arrived(channel, dead, 1)
    assert (gone.exchange, gone.routing_key) == (dlx, queue)


def test_dead_letter_exchange_need_not_be_there(channel):
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": unique("nowhere")})
    put(channel, queue, 1, 2)
    reject(channel, get(channel, queue))
    channel.nothing()
    assert bodies(channel, queue) == ["2"]


def test_dead_letter_exchange_may_come_later(channel, exchange):
    dlx = unique("later")
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    exchange("fanout", name=dlx)
    dead = a_queue(channel)
    bind(channel, dead, dlx)
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    assert arrived(channel, dead, 1)[0].body == b"m"


def test_dead_letters_that_nobody_is_bound_for_are_dropped(channel, exchange):
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": exchange("direct")})
    put(channel, queue, 1, 2)
    reject(channel, get(channel, queue))
    assert bodies(channel, queue) == ["2"]


@pytest.mark.parametrize("how", ["purge", "delete"])
def test_purged_and_deleted_do_not_die(channel, how):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, 1, 2)
    channel.call(f"queue.{how}", queue=queue)
    # Something that does die, afterwards: nothing came before it.
    other = a_queue(channel, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    put(channel, other, "last")
    reject(channel, get(channel, other))
    assert texts(arrived(channel, dead, 1)) == ["last"]


def test_auto_acked_does_not_die(channel):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, 1, 2)
    get(channel, queue, no_ack=True)
    reject(channel, get(channel, queue))
    assert texts(arrived(channel, dead, 1)) == ["2"]


def test_properties_and_body_are_kept(channel):
    queue, dead = a_queue_and_its_dead(channel)
    properties = {
        "content_type": "text/plain",
        "content_encoding": "utf-8",
        "headers": {"mine": "kept"},
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "message_id": "m",
        "timestamp": 1700000000,
        "type": "t",
        "user_id": "guest",
        "app_id": "a",
        "cluster_id": "cl",
    }
    body = "0123456789" * 20000
    put(channel, queue, (body, properties))
    reject(channel, get(channel, queue))
    (gone,) = arrived(channel, dead, 1)
    assert gone.body == body.encode()
    assert headers(gone)["mine"] == "kept"
    assert {**gone.properties, "headers": None} == {**properties, "headers": None}


def test_message_without_properties_has_headers_when_dead(channel):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    (gone,) = arrived(channel, dead, 1)
    assert set(gone.properties) == {"headers"}


def test_dead_letter_queue_keeps_the_order_of_two_sources(channel):
    dead = a_queue(channel)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    queues = [a_queue(channel, arguments=arguments) for _ in range(2)]
    for queue in queues:
        put(channel, queue, *[f"{queue} {number}" for number in range(20)])
    for _ in range(20):
        for queue in queues:
            reject(channel, get(channel, queue))
    gone = texts(arrived(channel, dead, 40))
    for queue in queues:
        assert [text for text in gone if text.startswith(queue)] == [f"{queue} {number}" for number in range(20)]


def test_a_consumer_of_the_dead_letter_queue_is_served(connection, channel):
    queue, dead = a_queue_and_its_dead(channel)
    other = connection.channel()
    consume(other, dead, no_ack=True)
    put(channel, queue, "m")
    reject(channel, get(channel, queue))
    message = other.delivery()
    assert (message.body, message.redelivered) == (b"m", False)
    assert deaths(message)[0]["queue"] == queue


@pytest.mark.parametrize("how", ["channel", "connection"])
def test_what_a_consumer_leaves_behind_does_not_die(connect, how):
    staying = connect().channel()
    dead = a_queue(staying)
    queue = unique()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    staying.call("queue.declare", queue=queue, arguments=arguments)
    put(staying, queue, 1, 2)
    going = connect()
    channel = going.channel()
    get(channel, queue)
    get(channel, queue)
    if how == "channel":
        channel.close()
    else:
        going.abort()
    eventually(lambda: ready(staying, queue) == 2, "both are back", attempts=20000)
    assert bodies(staying, dead) == []
    staying.call("queue.delete", queue=queue)


def test_a_queue_that_dead_letters_into_itself_by_rejection_gets_it_back(channel):
    queue = unique()
    a_queue(channel, queue, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue})
    put(channel, queue, 1, 2)
    reject(channel, get(channel, queue))
    assert texts(arrived(channel, queue, 2)) == ["2", "1"]


def test_chain_of_three(channel):
    last = a_queue(channel)
    names = [last]
    for _ in range(3):
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": names[0], "x-message-ttl": 0}
        names.insert(0, a_queue(channel, arguments=arguments))
    put(channel, names[0], "m")
    (gone,) = arrived(channel, last, 1)
    assert {death["queue"] for death in deaths(gone)} == set(names[:3])
    assert deaths(gone)[0]["queue"] == names[2]
    assert [consumers(channel, name) for name in names] == [0] * 4


def test_fill_and_reject_all_loses_none(channel):
    queue, dead = a_queue_and_its_dead(channel, durable=True)
    fill(channel, queue, *range(300))
    for _ in range(300):
        get(channel, queue)
    channel.send("basic.nack", delivery_tag=0, multiple=True, requeue=False)
    assert texts(arrived(channel, dead, 300)) == [str(number) for number in range(300)]
