"""One broker by two protocols: pika on the one side, librdkafka on the other."""

import os
import signal
import uuid

import pika
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092")
AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
DEADLINE_SECONDS = 40


@pytest.fixture(autouse=True)
def deadline():
    def late(_signal, _frame):
        raise TimeoutError(f"not done after {DEADLINE_SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session")
def admin():
    return AdminClient({"bootstrap.servers": BOOTSTRAP})


@pytest.fixture
def name():
    return f"map-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def new_topic(admin, name):
    def new_topic(partitions=1, **configs):
        row = NewTopic(name, num_partitions=partitions, replication_factor=1, config=configs)
        admin.create_topics([row])[name].result(20)
        return name

    return new_topic


@pytest.fixture
def channel():
    connection = pika.BlockingConnection(pika.URLParameters(AMQP_URL))
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    if connection.is_open:
        connection.close()


@pytest.fixture
def produce():
    """Sends one record and waits until it is confirmed."""

    def produce(topic, value, key=None, headers=None, partition=-1, **settings):
        failed = []
        timestamp = settings.pop("timestamp", None)
        producer = Producer({"bootstrap.servers": BOOTSTRAP, **settings})
        more = {} if partition < 0 else {"partition": partition}
        if timestamp is not None:
            more["timestamp"] = timestamp
        values = value if isinstance(value, list) else [value]
        for one in values:
            producer.produce(
                topic, one, key, headers=headers,
                on_delivery=lambda error, _: failed.append(error) if error else None, **more,
            )
        assert producer.flush(20) == 0
        assert failed == []

    return produce


@pytest.fixture
def consume():
    """Reads `count` records of a partition from its beginning."""

    def consume(topic, count, partition=0, offset=0):
        consumer = Consumer({
            "bootstrap.servers": BOOTSTRAP, "group.id": uuid.uuid4().hex,
            "enable.auto.commit": False,
        })
        consumer.assign([TopicPartition(topic, partition, offset)])
        found = []
        while len(found) < count:
            message = consumer.poll(1)
            if message is not None:
                assert message.error() is None
                found.append(message)
        consumer.close()
        return found

    return consume


@pytest.fixture
def read(channel):
    """Reads `count` messages of a stream by AMQP, from its beginning."""

    def read(queue, count, offset="first"):
        channel.basic_qos(prefetch_count=100)
        found = []
        arguments = {"x-stream-offset": offset}
        for method, properties, body in channel.consume(queue, arguments=arguments):
            channel.basic_ack(method.delivery_tag)
            found.append((method, properties, body))
            if len(found) == count:
                break
        channel.cancel()
        return found

    return read
