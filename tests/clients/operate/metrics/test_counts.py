"""What is counted is what clients did, exactly, in all, by space, queue, exchange and channel."""

import os
import time
import uuid

import pika
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from metrics import scrape, value

WAIT_SECONDS = 20


@pytest.fixture
def broker(own_broker):
    return own_broker()


@pytest.fixture
def channel(broker):
    parameters = pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{broker.amqp_port}/%2F")
    connection = pika.BlockingConnection(parameters)
    yield connection.channel()
    if connection.is_open:
        connection.close()


def until(expected, read):
    """What a client did is counted before it is told, but for acknowledgements."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == expected


def test_groups_tell_how_far_they_are_behind(api):
    bootstrap, topic = os.environ["KAFKA_BOOTSTRAP"], f"lag-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2)])[topic].result(20)
    producer = Producer({"bootstrap.servers": bootstrap})
    for partition, count in ((0, 5), (1, 3)):
        for _ in range(count):
            producer.produce(topic, b"x", partition=partition)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic})
    places = [TopicPartition(topic, 0, 2), TopicPartition(topic, 1, 0)]
    consumer.commit(offsets=places, asynchronous=False)
    for path in ("/metrics/per-object", "/metrics/detailed?family=group_metrics&vhost=%2F"):
        samples = scrape(api, path)
        infix = "detailed_" if "detailed" in path else ""
        assert value(samples, f"bongsu_{infix}group_lag", group=topic) == 6
        for partition, lag in (("0", 3), ("1", 3)):
            of = {"group": topic, "topic": topic, "partition": partition}
            assert value(samples, f"bongsu_{infix}group_partition_lag", **of) == lag
    consumer.close()


def work(channel):
    """As RabbitMQ 3.10 counted it: ack 3, confirm 7, deliver 2, get 3, get_empty 1, get_no_ack 1,
    publish 7 (5 of them to the queue), redeliver 1, return 1, drop 1."""
    channel.queue_declare("counted")
    channel.confirm_delivery()
    for _ in range(3):
        channel.basic_publish("", "counted", b"x")
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "nowhere", b"x", mandatory=True)
    channel.basic_publish("", "nowhere", b"x")
    got = [channel.basic_get("counted")[0] for _ in range(3)]
    assert channel.basic_get("counted")[0] is None
    channel.basic_ack(got[0].delivery_tag)
    channel.basic_nack(got[1].delivery_tag, requeue=True)
    channel.basic_reject(got[2].delivery_tag, requeue=False)
    again = channel.basic_get("counted", auto_ack=True)[0]
    assert again.redelivered
    for _ in range(2):
        channel.basic_publish("", "counted", b"x")
    consumed = channel.consume("counted", inactivity_timeout=10)
    for _ in range(2):
        method, _, _ = next(consumed)
        channel.basic_ack(method.delivery_tag)
    channel.cancel()


IN_ALL = {
    "rabbitmq_global_messages_received_total": 7,
    "rabbitmq_global_messages_confirmed_total": 7,
    "rabbitmq_global_messages_routed_total": 5,
    "rabbitmq_global_messages_unroutable_returned_total": 1,
    "rabbitmq_global_messages_unroutable_dropped_total": 1,
    "rabbitmq_global_messages_delivered_consume_manual_ack_total": 2,
    "rabbitmq_global_messages_delivered_consume_auto_ack_total": 0,
    "rabbitmq_global_messages_delivered_get_manual_ack_total": 3,
    "rabbitmq_global_messages_delivered_get_auto_ack_total": 1,
    "rabbitmq_global_messages_delivered_total": 6,
    "rabbitmq_global_messages_get_empty_total": 1,
    "rabbitmq_global_messages_redelivered_total": 1,
    "rabbitmq_global_messages_acknowledged_total": 3,
    "rabbitmq_global_messages_dead_lettered_rejected_total": 1,
    "rabbitmq_queue_messages_ready": 0,
    "rabbitmq_queue_messages_unacked": 0,
    "rabbitmq_channels": 1,
    "rabbitmq_consumers": 0,
    "rabbitmq_connections": 1,
    "rabbitmq_queues": 1,
    "rabbitmq_queues_created_total": 1,
}
OF_THE_QUEUE = {
    "rabbitmq_queue_messages_published_total": 5,
    "rabbitmq_queue_messages_delivered_ack_total": 2,
    "rabbitmq_queue_messages_delivered_total": 0,
    "rabbitmq_queue_get_ack_total": 3,
    "rabbitmq_queue_get_total": 1,
    "rabbitmq_queue_get_empty_total": 1,
    "rabbitmq_queue_messages_redelivered_total": 1,
    "rabbitmq_queue_messages_acked_total": 3,
    "bongsu_queue_messages_rejected_total": 1,
}
OF_THE_CHANNEL = {
    "rabbitmq_channel_messages_published_total": 7,
    "rabbitmq_channel_messages_confirmed_total": 7,
    "rabbitmq_channel_messages_unroutable_returned_total": 1,
    "rabbitmq_channel_messages_unroutable_dropped_total": 1,
    "rabbitmq_channel_messages_delivered_ack_total": 2,
    "rabbitmq_channel_get_ack_total": 3,
    "rabbitmq_channel_get_total": 1,
    "rabbitmq_channel_get_empty_total": 1,
    "rabbitmq_channel_messages_redelivered_total": 1,
    "rabbitmq_channel_messages_acked_total": 3,
    "rabbitmq_channel_messages_unacked": 0,
}


def test_counts_are_exactly_what_a_client_did(broker, channel):
    work(channel)
    api = broker_api(broker)

    def read(expected, path, **labels):
        samples = scrape(api, path)
        return {name: value(samples, name, **labels) for name in expected}

    until(IN_ALL, lambda: read(IN_ALL, "/metrics"))
    of_queue = {"vhost": "/", "queue": "counted"}
    until(OF_THE_QUEUE, lambda: read(OF_THE_QUEUE, "/metrics/per-object", **of_queue))
    until(OF_THE_CHANNEL, lambda: read(OF_THE_CHANNEL, "/metrics/per-object", vhost="/"))
    exchange = {"rabbitmq_exchange_messages_published_total": 7}
    until(exchange, lambda: read(exchange, "/metrics/per-object", vhost="/", exchange=""))


def broker_api(broker):
    from http_api import Api

    return Api(broker.http, "guest", "guest")


def test_what_dies_is_counted_by_its_reason(broker, channel):
    channel.queue_declare("grave")
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "grave"}
    channel.queue_declare("short", arguments={"x-max-length": 1, **dead})
    channel.queue_declare("brief", arguments={"x-message-ttl": 1})
    for _ in range(3):
        channel.basic_publish("", "short", b"x")
        channel.basic_publish("", "brief", b"x")
    expected = {
        "rabbitmq_global_messages_dead_lettered_maxlen_total": 2,
        "rabbitmq_global_messages_dead_lettered_expired_total": 3,
        "bongsu_messages_dead_lettered_total": 2,
        "rabbitmq_queue_messages_ready": 3,
    }
    api = broker_api(broker)

    def read():
        samples = scrape(api)
        return {name: value(samples, name) for name in expected}

    until(expected, read)


def test_sums_follow_queues_that_are_purged_and_deleted(broker, channel):
    api = broker_api(broker)

    def ready():
        samples = scrape(api)
        return (
            value(samples, "rabbitmq_queue_messages_ready"),
            value(samples, "rabbitmq_queue_messages_unacked"),
        )

    channel.confirm_delivery()
    for name in ("one", "two"):
        channel.queue_declare(name, durable=True)
        for _ in range(5):
            channel.basic_publish("", name, b"x")
    channel.basic_get("one")
    assert ready() == (9, 1)
    channel.queue_purge("one")
    assert ready() == (5, 1)
    channel.queue_delete("two")
    assert ready() == (0, 1)
    channel.connection.close()
    until((1, 0), ready)
    broker.stop()
    broker.start()
    assert ready() == (1, 0)
