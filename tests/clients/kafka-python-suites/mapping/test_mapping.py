"""docs/mapping.md, cell by cell, in both directions."""

import time

import pika
import pytest
from confluent_kafka import Producer
from conftest import BOOTSTRAP

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
STREAM = {"x-queue-type": "stream"}

# Property of AMQP, as a Kafka header: its name and its text.
PROPERTIES = [
    ("content_type", "text/plain", "content-type", b"text/plain"),
    ("content_encoding", "utf-8", "content-encoding", b"utf-8"),
    ("correlation_id", "c-1", "correlation-id", b"c-1"),
    ("reply_to", "answers", "reply-to", b"answers"),
    ("message_id", "m-1", "message-id", b"m-1"),
    ("type", "order.placed", "type", b"order.placed"),
    ("user_id", "guest", "user-id", b"guest"),
    ("app_id", "shop", "app-id", b"shop"),
    ("priority", 7, "priority", b"7"),
    ("expiration", "60000", "expiration", b"60000"),
    ("timestamp", 1_700_000_000, "timestamp", b"1700000000"),
]

# Header of AMQP, as a Kafka header's bytes.
HEADERS = [
    ("text", "value", b"value"),
    ("int", 42, b"42"),
    ("negative", -7, b"-7"),
    ("bool", True, b"true"),
    ("bytes", b"\x00\xff", b"\x00\xff"),
    ("nothing", None, None),
    ("list", [1, "a"], b'[1,"a"]'),
    ("map", {"k": 1}, b'{"k":1}'),
]


# AMQP in, Kafka out.


def publish(channel, queue, body=b"body", exchange="", key=None, **properties):
    channel.basic_publish(
        exchange, queue if key is None else key, body, pika.BasicProperties(**properties)
    )


def test_body_is_the_value(channel, consume, name):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    publish(channel, name, b"\x00binary\xff")
    publish(channel, name, b"")
    values = [message.value() for message in consume(name, 2)]
    assert values == [b"\x00binary\xff", b""]


def test_routing_key_is_the_key(channel, consume, name):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    channel.exchange_declare(name + ".x", "topic", durable=True)
    channel.queue_bind(name, name + ".x", "order.#")
    publish(channel, name, exchange=name + ".x", key="order.42")
    publish(channel, name)
    first, second = consume(name, 2)
    assert (first.key(), first.topic(), first.partition()) == (b"order.42", name, 0)
    # By the default exchange the routing key is the queue's name.
    assert second.key() == name.encode()
    channel.exchange_delete(name + ".x")


def test_no_routing_key_is_no_key(channel, consume, name):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    channel.exchange_declare(name + ".x", "fanout", durable=True)
    channel.queue_bind(name, name + ".x")
    publish(channel, name, exchange=name + ".x", key="")
    assert consume(name, 1)[0].key() is None
    channel.exchange_delete(name + ".x")


@pytest.mark.parametrize("field,value,header,text", PROPERTIES, ids=[row[0] for row in PROPERTIES])
def test_property_is_a_header(channel, consume, name, field, value, header, text):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    publish(channel, name, **{field: value})
    assert consume(name, 1)[0].headers() == [(header, text)]


@pytest.mark.parametrize("header,value,text", HEADERS, ids=[row[0] for row in HEADERS])
def test_header_is_a_header(channel, consume, name, header, value, text):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    publish(channel, name, headers={header: value})
    assert consume(name, 1)[0].headers() == [(header, text)]


def test_time_is_when_it_arrived(channel, consume, name):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    before = int(time.time() * 1000)
    publish(channel, name, timestamp=1_000)
    kind, timestamp = consume(name, 1)[0].timestamp()
    assert before - 1000 <= timestamp <= int(time.time() * 1000) + 1000


def test_offsets_are_the_streams(channel, consume, read, name):
    channel.queue_declare(name, durable=True, arguments=STREAM)
    for at in range(5):
        publish(channel, name, b"%d" % at)
    by_kafka = [(message.offset(), message.value()) for message in consume(name, 5)]
    by_amqp = [(row[1].headers["x-stream-offset"], row[2]) for row in read(name, 5)]
    assert by_kafka == by_amqp == [(at, b"%d" % at) for at in range(5)]
    assert [m.value() for m in consume(name, 2, offset=3)] == [b"3", b"4"]


# Kafka in, AMQP out.


@pytest.mark.parametrize("codec", CODECS)
def test_value_is_the_body(new_topic, produce, read, codec):
    topic = new_topic()
    values = [b"value-%d" % at * 50 for at in range(20)]
    produce(topic, values, **{"compression.type": codec, "linger.ms": 50})
    assert [body for _, _, body in read(topic, 20)] == values


def test_null_is_an_empty_body(new_topic, produce, read):
    topic = new_topic()
    produce(topic, None, b"k")
    method, _, body = read(topic, 1)[0]
    assert (method.routing_key, body) == ("k", b"")


def test_key_is_the_routing_key(new_topic, produce, read):
    topic = new_topic()
    produce(topic, b"v", b"customer-1")
    method, properties, _ = read(topic, 1)[0]
    assert (method.exchange, method.routing_key) == ("", "customer-1")


def test_no_key_is_no_routing_key(new_topic, produce, read):
    topic = new_topic()
    produce(topic, b"v")
    assert read(topic, 1)[0][0].routing_key == ""


def test_long_key_is_a_header(new_topic, produce, read):
    topic = new_topic()
    produce(topic, b"v", b"k" * 300)
    method, properties, _ = read(topic, 1)[0]
    assert method.routing_key == ""
    assert properties.headers["x-key"] == "k" * 300


@pytest.mark.parametrize("field,value,header,text", PROPERTIES, ids=[row[0] for row in PROPERTIES])
def test_header_of_that_name_is_a_property(new_topic, produce, read, field, value, header, text):
    topic = new_topic()
    produce(topic, b"v", headers=[(header, text)])
    assert getattr(read(topic, 1)[0][1], field) == value


@pytest.mark.parametrize("value,seen", [(b"text", "text"), (b"\xff\x00", b"\xff\x00"), (None, None)])
def test_other_header_is_a_header(new_topic, produce, read, value, seen):
    topic = new_topic()
    produce(topic, b"v", headers=[("tenant", value)])
    assert read(topic, 1)[0][1].headers["tenant"] == seen


def test_producers_time_is_the_timestamp(new_topic, produce, read):
    topic = new_topic()
    produce(topic, b"v", timestamp=1_700_000_000_123)
    properties = read(topic, 1)[0][1]
    assert (properties.timestamp, properties.delivery_mode) == (1_700_000_000, 2)


def test_partitions_are_queues(new_topic, produce, read, channel):
    topic = new_topic(partitions=3)
    for partition in range(3):
        produce(topic, b"in %d" % partition, partition=partition)
    assert read(topic, 1)[0][2] == b"in 0"
    assert read(topic + "/2", 1)[0][2] == b"in 2"
    publish(channel, topic + "/1", b"by AMQP")
    assert [body for _, _, body in read(topic + "/1", 2)] == [b"in 1", b"by AMQP"]


# Work queues.


def test_work_queue_takes_what_kafka_sends(channel, produce, name):
    channel.queue_declare(name, durable=True)
    produce(name, [b"a", b"b", b"c"], b"k", headers=[("tenant", b"t")], **{"compression.type": "lz4"})
    found = [channel.basic_get(name, auto_ack=True) for _ in range(3)]
    assert [body for _, _, body in found] == [b"a", b"b", b"c"]
    assert found[0][0].routing_key == "k"
    assert found[0][1].headers == {"tenant": "t"}
    assert channel.basic_get(name)[0] is None


def test_work_queue_with_priorities_reads_them_from_headers(channel, produce, name):
    channel.queue_declare(name, durable=True, arguments={"x-max-priority": 9})
    produce(name, b"later", headers=[("priority", b"1")])
    produce(name, b"sooner", headers=[("priority", b"8")])
    bodies = [channel.basic_get(name, auto_ack=True)[2] for _ in range(2)]
    assert bodies == [b"sooner", b"later"]


def test_expiration_of_a_header_acts(channel, produce, name):
    channel.queue_declare(name, durable=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": name + ".dead"})
    channel.queue_declare(name + ".dead", durable=True)
    produce(name, b"soon gone", headers=[("expiration", b"1")])
    for _ in range(200):
        method, properties, body = channel.basic_get(name + ".dead", auto_ack=True)
        if method:
            break
        time.sleep(0.05)
    assert body == b"soon gone"
    assert properties.headers["x-death"][0]["reason"] == "expired"


def test_group_reads_along_a_work_queue(channel, consume, name):
    channel.queue_declare(name, durable=True, arguments={"x-retention": "1h"})
    for at in range(3):
        publish(channel, name, b"%d" % at)
    # What AMQP consumes is still there for who reads along, and the other way round.
    assert channel.basic_get(name, auto_ack=True)[2] == b"0"
    assert [message.value() for message in consume(name, 3)] == [b"0", b"1", b"2"]
    assert channel.basic_get(name, auto_ack=True)[2] == b"1"


def test_full_queue_refuses_kafka_too(channel, produce, name):
    channel.queue_declare(name, durable=True, arguments={
        "x-max-length": 2, "x-overflow": "reject-publish"})
    produce(name, [b"a", b"b"])
    with pytest.raises(AssertionError):
        produce(name, b"c", **{"message.timeout.ms": 3000, "retries": 0})
    assert channel.queue_declare(name, passive=True).method.message_count == 2


# Routes.


def test_exchange_feeds_a_topic(new_topic, channel, consume):
    topic = new_topic()
    channel.exchange_declare(topic + ".x", "topic", durable=True)
    channel.queue_bind(topic, topic + ".x", "clicks.*")
    publish(channel, topic, b"one", exchange=topic + ".x", key="clicks.eu")
    publish(channel, topic, b"other", exchange=topic + ".x", key="views.eu")
    publish(channel, topic, b"two", exchange=topic + ".x", key="clicks.us")
    found = consume(topic, 2)
    assert [(m.key(), m.value()) for m in found] == [(b"clicks.eu", b"one"), (b"clicks.us", b"two")]
    channel.exchange_delete(topic + ".x")


def test_exchange_spreads_keys_over_partitions(new_topic, channel, consume):
    topic = new_topic(partitions=2)
    channel.exchange_declare(topic + ".x", "x-modulus-hash", durable=True)
    for queue in (topic, topic + "/1"):
        channel.queue_bind(queue, topic + ".x", "")
    keys = [f"customer-{at % 8}" for at in range(32)]
    for key in keys:
        publish(channel, topic, key.encode(), exchange=topic + ".x", key=key)
    counts = [channel.queue_declare(queue, passive=True).method.message_count
              for queue in (topic, topic + "/1")]
    found = [consume(topic, count, partition) for partition, count in enumerate(counts)]
    assert sum(counts) == 32 and min(counts) > 0
    in_one = {message.key() for message in found[0]}
    assert in_one.isdisjoint({message.key() for message in found[1]})
    channel.exchange_delete(topic + ".x")


def test_subscription_is_a_queue_over_a_topic(new_topic, produce, channel):
    topic = new_topic()
    produce(topic, [b"a", b"b", b"c"])
    work = topic + ".work"
    channel.queue_declare(work, durable=True, arguments={
        "x-subscribe": topic, "x-subscribe-from": "first"})
    found = []
    for _ in range(200):
        method, _, body = channel.basic_get(work)
        if method:
            found.append(body)
            channel.basic_ack(method.delivery_tag)
        if len(found) == 3:
            break
        time.sleep(0.02)
    assert found == [b"a", b"b", b"c"]
    produce(topic, b"d")
    for _ in range(200):
        method, _, body = channel.basic_get(work, auto_ack=True)
        if method:
            break
        time.sleep(0.02)
    assert body == b"d"
    channel.queue_delete(work)


def test_subscription_is_handed_what_was_committed(new_topic, channel):
    topic = new_topic()
    work = topic + ".work"
    channel.queue_declare(work, durable=True, arguments={
        "x-subscribe": topic, "x-subscribe-from": "first"})
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": topic})
    producer.init_transactions(20)
    for body, commits in ((b"taken back", False), (b"1", True), (b"so too", False), (b"2", True)):
        producer.begin_transaction()
        producer.produce(topic, body)
        producer.flush(20)
        (producer.commit_transaction if commits else producer.abort_transaction)(20)
    # One by one, and as a consumer: neither what was taken back nor the marks of the ends.
    found = []
    while len(found) < 2:
        method, _, body = channel.basic_get(work)
        if method:
            found.append(body)
        else:
            time.sleep(0.02)
    assert found == [b"1", b"2"]
    assert channel.basic_get(work)[0] is None
    channel.basic_recover(requeue=True)
    delivered = channel.consume(work, inactivity_timeout=10)
    assert [next(delivered)[2] for _ in range(2)] == [b"1", b"2"]
    channel.cancel()
    channel.queue_delete(work)
