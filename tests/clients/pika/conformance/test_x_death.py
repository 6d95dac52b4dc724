"""What a dead letter says of its deaths: x-death, x-first-death-*, and where the circle ends.

Types and the first entry's field order are RabbitMQ's, down to the letter.
"""

import time

import pytest
from helpers import (
    JUDGE,
    a_queue,
    a_queue_and_its_dead,
    an_exchange,
    arrived,
    bind,
    deaths,
    get,
    headers,
    only_bongsu,
    put,
    ready,
    texts,
    unique,
    until,
)
from wire import Typed

OF_FIRST = ["x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"]
# Headers of RabbitMQ 4, and of Bongsu.
OF_LAST = ["x-last-death-exchange", "x-last-death-queue", "x-last-death-reason"] if JUDGE == "bongsu" else []
FIELDS = ["count", "reason", "queue", "time", "exchange", "routing-keys"]


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


def reject(channel, queue):
    channel.send("basic.reject", delivery_tag=get(channel, queue).delivery_tag)


def killed(channel, message, arguments=None):
    """The message, rejected once, as it lies in the dead letter queue; and the queue it died in."""
    queue, dead = a_queue_and_its_dead(channel, arguments)
    put(channel, queue, message)
    reject(channel, queue)
    return arrived(channel, dead, 1)[0], queue


def test_first_death_in_full(channel):
    before = int(time.time())
    gone, queue = killed(channel, "m")
    assert list(gone.properties) == ["headers"]
    table = gone.properties["headers"]
    assert table["x-death"].kind == "A"
    (entry,) = table["x-death"].value
    assert entry.kind == "F"
    assert {name: value.kind for name, value in entry.value.items()} == {
        "count": "l",
        "reason": "S",
        "queue": "S",
        "time": "T",
        "exchange": "S",
        "routing-keys": "A",
    }
    (death,) = deaths(gone)
    assert before - 1 <= death.pop("time") <= time.time() + 1
    assert death == {"count": 1, "reason": "rejected", "queue": queue, "exchange": "", "routing-keys": [queue]}
    assert table["x-first-death-exchange"] == Typed("S", b"")
    assert table["x-first-death-queue"] == Typed("S", queue.encode())
    assert table["x-first-death-reason"] == Typed("S", b"rejected")


def test_order_of_the_fields(channel):
    gone, _ = killed(channel, "m")
    (entry,) = gone.properties["headers"]["x-death"].value
    assert list(entry.value) == FIELDS


@pytest.mark.parametrize(
    "reason, arguments, expiration",
    [
        ("expired", {"x-message-ttl": 0}, None),
        ("expired", {}, "0"),
        ("maxlen", {"x-max-length": 0}, None),
        ("maxlen", {"x-max-length-bytes": 0}, None),
        ("maxlen", {"x-max-length": 0, "x-overflow": "reject-publish-dlx"}, None),
    ],
)
def test_reason(channel, reason, arguments, expiration):
    queue, dead = a_queue_and_its_dead(channel, arguments)
    put(channel, queue, ("m", expiration and {"expiration": expiration}))
    (gone,) = arrived(channel, dead, 1)
    (death,) = deaths(gone)
    assert death["reason"] == headers(gone)["x-first-death-reason"] == reason
    assert (death["count"], death["queue"], death["exchange"], death["routing-keys"]) == (1, queue, "", [queue])


def test_own_headers_stay(channel):
    gone, queue = killed(channel, ("m", {"headers": {"zebra": 1, "ant": "two"}}))
    found = headers(gone)
    assert (found["zebra"], found["ant"]) == (1, "two")
    assert set(found) == {"zebra", "ant", "x-death", *OF_FIRST, *OF_LAST}


def test_expiration_moves_into_the_entry(channel):
    queue, dead = a_queue_and_its_dead(channel)
    put(channel, queue, ("m", {"expiration": "100"}))
    (gone,) = arrived(channel, dead, 1)
    assert "expiration" not in gone.properties
    (entry,) = gone.properties["headers"]["x-death"].value
    assert entry.value["original-expiration"] == Typed("S", b"100")
    assert list(entry.value) == [*FIELDS, "original-expiration"]


def test_expiration_is_removed_whatever_the_reason(channel):
    gone, _ = killed(channel, ("m", {"expiration": "3600000"}))
    assert "expiration" not in gone.properties
    assert deaths(gone)[0]["original-expiration"] == "3600000"


def test_queues_ttl_is_no_original_expiration(channel):
    queue, dead = a_queue_and_its_dead(channel, {"x-message-ttl": 0})
    put(channel, queue, "m")
    assert "original-expiration" not in deaths(arrived(channel, dead, 1)[0])[0]


def test_exchange_and_key_it_was_published_with(channel, exchange):
    name, inner = exchange("topic"), exchange("fanout")
    channel.call("exchange.bind", source=name, destination=inner, routing_key="#")
    queue, dead = a_queue_and_its_dead(channel)
    bind(channel, queue, inner)
    put(channel, "a.b.c", "m", exchange=name)
    reject(channel, queue)
    (gone,) = arrived(channel, dead, 1)
    (death,) = deaths(gone)
    assert (death["exchange"], death["routing-keys"]) == (name, ["a.b.c"])
    assert headers(gone)["x-first-death-exchange"] == name


def a_ladder(channel, steps, arguments=None):
    """Queues that each dead-letter into the next; the last one keeps."""
    names = [a_queue(channel)]
    for _ in range(steps):
        more = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": names[0], **(arguments or {})}
        names.insert(0, a_queue(channel, arguments=more))
    return names


def test_newest_death_stands_first(channel):
    one, two, three, last = a_ladder(channel, 3)
    put(channel, one, "m")
    for name in (one, two, three):
        arrive_and_reject(channel, name)
    (gone,) = arrived(channel, last, 1)
    found = deaths(gone)
    assert found[0]["queue"] == three
    if JUDGE == "rabbitmq":
        # 3.10 turns the older ones around at each death from the third on; newer ones do not.
        found[1:] = sorted(found[1:], key=lambda death: death["queue"] == one)
    assert [death["queue"] for death in found] == [three, two, one]
    assert [death["routing-keys"] for death in found] == [[three], [two], [one]]
    assert [death["count"] for death in found] == [1, 1, 1]
    assert headers(gone)["x-first-death-queue"] == one


@only_bongsu("RabbitMQ has x-last-death-* from version 4 on")
def test_last_death_follows(channel):
    one, two, last = a_ladder(channel, 2)
    put(channel, one, "m")
    arrive_and_reject(channel, one)
    message = until(lambda: taken_or_none(channel, two), "the dead letter")
    assert [headers(message)[name] for name in OF_LAST] == ["", one, "rejected"]
    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=False)
    (gone,) = arrived(channel, last, 1)
    assert [headers(gone)[name] for name in OF_LAST] == ["", two, "rejected"]
    assert [headers(gone)[name] for name in OF_FIRST] == ["", one, "rejected"]


def arrive_and_reject(channel, queue):
    """As `reject`, for what another queue's death brings here."""
    got = until(lambda: taken_or_none(channel, queue), f"a message in {queue}")
    channel.send("basic.reject", delivery_tag=got.delivery_tag)


def taken_or_none(channel, queue):
    got = channel.call("basic.get", queue=queue)
    return got if got.name == "basic.get-ok" else None


def a_circle(channel, ttl=None):
    """Two queues that dead-letter into each other."""
    one, two = unique(), unique()
    life = {} if ttl is None else {"x-message-ttl": ttl}
    a_queue(channel, one, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": two})
    a_queue(channel, two, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": one, **life})
    return one, two


def test_dying_again_of_the_same_in_the_same_queue_counts_up(channel):
    one, two = a_circle(channel)
    put(channel, one, "m")
    for _ in range(3):
        arrive_and_reject(channel, one)
        arrive_and_reject(channel, two)
    (gone,) = arrived(channel, one, 1)
    found = [(death["queue"], death["reason"], death["count"]) for death in deaths(gone)]
    assert found == [(two, "rejected", 3), (one, "rejected", 3)]
    assert headers(gone)["x-first-death-queue"] == one


def test_what_died_again_moves_to_the_front(channel):
    one, two = a_circle(channel)
    put(channel, one, "m")
    arrive_and_reject(channel, one)
    arrive_and_reject(channel, two)
    arrive_and_reject(channel, one)
    (gone,) = arrived(channel, two, 1)
    found = [(death["queue"], death["count"]) for death in deaths(gone)]
    assert found == [(one, 2), (two, 1)]


def test_counted_entry_keeps_its_fields_and_the_time_of_its_first_death(channel):
    queue = unique()
    a_queue(channel, queue, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue})
    put(channel, queue, "m")
    arrive_and_reject(channel, queue)
    message = until(lambda: taken_or_none(channel, queue), "the dead letter")
    (first,) = deaths(message)
    # The time is in whole seconds: the next death must be in another one.
    until(lambda: time.time() > first["time"] + 1, "a second has passed")
    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=False)
    (gone,) = arrived(channel, queue, 1)
    assert deaths(gone) == [{**first, "count": 2}]
    assert gone.properties["headers"]["x-death"].value[0].value["count"] == Typed("l", 2)


def test_retry_circle_of_reject_and_expiry(channel):
    """Work queue and waiting queue, as people build retries: each round adds one to both."""
    work, wait = a_circle(channel, ttl=1)
    put(channel, work, "m")
    for _ in range(4):
        arrive_and_reject(channel, work)
    (back,) = arrived(channel, work, 1)
    found = [(death["queue"], death["reason"], death["count"]) for death in deaths(back)]
    assert found == [(wait, "expired", 4), (work, "rejected", 4)]
    assert ready(channel, wait) == 0


def test_two_reasons_in_one_queue_are_two_entries(channel):
    queue = unique()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
    a_queue(channel, queue, arguments=arguments)
    put(channel, queue, ("m", {"expiration": "3600000"}))
    arrive_and_reject(channel, queue)
    other, dead = a_queue_and_its_dead(channel, {"x-message-ttl": 0})
    (message,) = arrived(channel, queue, 1)
    put(channel, other, ("m", {"headers": message.properties["headers"].copy()}))
    (gone,) = arrived(channel, dead, 1)
    assert [(d["queue"], d["reason"]) for d in deaths(gone)] == [(other, "expired"), (queue, "rejected")]
    # What was first stays first, and its expiration stays with its entry.
    assert headers(gone)["x-first-death-queue"] == queue
    assert deaths(gone)[1]["original-expiration"] == "3600000"
    assert "original-expiration" not in deaths(gone)[0]


def test_circle_without_a_rejection_is_cut(channel):
    """A message that expires its way back to a queue it expired in is dropped there."""
    one, two = unique(), unique()
    a_queue(channel, one, arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": two})
    a_queue(channel, two, arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": one})
    witness, dead = a_queue_and_its_dead(channel, {"x-message-ttl": 50})
    put(channel, one, "round and round")
    put(channel, witness, "w")
    arrived(channel, dead, 1)
    channel.sync()
    assert (ready(channel, one), ready(channel, two)) == (0, 0)


def test_queue_that_expires_into_itself_drops_it(channel):
    queue = unique()
    a_queue(
        channel,
        queue,
        arguments={"x-message-ttl": 100, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue},
    )
    put(channel, queue, "m")
    until(lambda: ready(channel, queue) == 0, "it is gone")
    witness, dead = a_queue_and_its_dead(channel, {"x-message-ttl": 100})
    put(channel, witness, "w")
    arrived(channel, dead, 1)
    assert ready(channel, queue) == 0


def test_cut_for_one_queue_it_still_reaches_the_others(channel, exchange):
    """The circle is cut for the queue in it alone; the same death is kept elsewhere."""
    dlx, queue, keeps = exchange("fanout"), unique(), a_queue(channel)
    a_queue(channel, queue, arguments={"x-message-ttl": 0, "x-dead-letter-exchange": dlx})
    bind(channel, queue, dlx)
    bind(channel, keeps, dlx)
    put(channel, queue, "m")
    (gone,) = arrived(channel, keeps, 1)
    assert [(d["queue"], d["reason"], d["count"]) for d in deaths(gone)] == [(queue, "expired", 1)]
    channel.sync()
    assert (ready(channel, queue), ready(channel, keeps)) == (0, 0)


def test_maxlen_circle_is_cut_too(channel):
    queue = unique()
    a_queue(
        channel,
        queue,
        arguments={"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue},
    )
    put(channel, queue, 1, 2, 3)
    channel.sync()
    assert texts(arrived(channel, queue, 1)) == ["3"]
    assert ready(channel, queue) == 0


# ---------------------------------------------------------------- what clients send as x-death


@pytest.mark.parametrize("nonsense", ["text", 7, {"count": 1}, True, None])
def test_x_death_that_is_no_array_is_replaced(channel, nonsense):
    gone, queue = killed(channel, ("m", {"headers": {"x-death": nonsense, "other": 1}}))
    (death,) = deaths(gone)
    assert (death["count"], death["queue"], death["reason"]) == (1, queue, "rejected")
    assert headers(gone)["other"] == 1


def test_x_death_of_a_republished_message_goes_on(channel):
    gone, queue = killed(channel, "m")
    again, other = killed(channel, ("m", {"headers": gone.properties["headers"]}))
    assert [(d["queue"], d["count"]) for d in deaths(again)] == [(other, 1), (queue, 1)]
    assert headers(again)["x-first-death-queue"] == queue


def test_x_death_with_an_empty_array(channel):
    gone, queue = killed(channel, ("m", {"headers": {"x-death": []}}))
    assert [d["queue"] for d in deaths(gone)] == [queue]


def test_two_messages_count_for_themselves(channel):
    one, two = a_circle(channel)
    put(channel, one, "a", "b")
    arrive_and_reject(channel, one)
    arrive_and_reject(channel, two)
    found = {message.body: deaths(message) for message in arrived(channel, one, 2)}
    assert found[b"b"] == []
    assert [(d["queue"], d["count"]) for d in found[b"a"]] == [(two, 1), (one, 1)]


# ---------------------------------------------------------------- CC and BCC


def test_cc_is_in_the_keys_and_dead_letters_go_by_all_of_them(channel, exchange):
    dlx, by_key, by_cc = exchange("direct"), a_queue(channel), a_queue(channel)
    queue = a_queue(channel, arguments={"x-dead-letter-exchange": dlx})
    bind(channel, by_key, dlx, queue)
    bind(channel, by_cc, dlx, "copy")
    put(channel, queue, ("m", {"headers": {"CC": ["copy"]}}))
    reject(channel, queue)
    for name in (by_key, by_cc):
        (gone,) = arrived(channel, name, 1)
        assert deaths(gone)[0]["routing-keys"] == [queue, "copy"]
        assert headers(gone)["CC"] == ["copy"]


def test_dead_letter_key_takes_the_place_of_key_and_cc(channel, exchange):
    dlx, by_key, by_cc = exchange("direct"), a_queue(channel), a_queue(channel)
    arguments = {"x-dead-letter-exchange": dlx, "x-dead-letter-routing-key": "dead"}
    queue = a_queue(channel, arguments=arguments)
    bind(channel, by_key, dlx, "dead")
    bind(channel, by_cc, dlx, "copy")
    put(channel, queue, ("m", {"headers": {"CC": ["copy"]}}))
    reject(channel, queue)
    (gone,) = arrived(channel, by_key, 1)
    assert deaths(gone)[0]["routing-keys"] == [queue, "copy"]
    assert "CC" not in headers(gone)
    assert ready(channel, by_cc) == 0


def test_message_that_came_by_cc_says_the_first_key_first(channel):
    queue, dead = a_queue_and_its_dead(channel)
    other = a_queue(channel)
    put(channel, other, ("m", {"headers": {"CC": [queue]}}))
    reject(channel, queue)
    (gone,) = arrived(channel, dead, 1)
    assert deaths(gone)[0]["routing-keys"] == [other, queue]
    assert deaths(gone)[0]["queue"] == queue
