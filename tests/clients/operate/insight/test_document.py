"""The examples of docs/operating.md, run as they stand against queues of those names."""

import json
import subprocess
from pathlib import Path

import pika
from confluent_kafka import Consumer, TopicPartition
from conftest import publish

DOCUMENT = Path(__file__).parents[4] / "docs" / "operating.md"


def examples():
    lines = DOCUMENT.read_text().splitlines()
    return [line.strip() for line in lines if line.startswith("    curl ")]


def test_every_example_works(own_broker):
    broker = own_broker()
    channel = pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", broker.amqp_port)
    ).channel()
    channel.confirm_delivery()
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders.dead"}
    channel.queue_declare("orders", durable=True, arguments=dead)
    channel.queue_declare("orders.dead", durable=True)
    channel.queue_declare("orders.parked", durable=True)
    channel.queue_declare("events", durable=True, arguments={"x-queue-type": "stream"})
    publish(channel, "events", *[b"event"] * 20, headers={"kind": "refund"})
    publish(channel, "orders", *[b"order 4711"] * 5)
    # The first is held, the next three are dead.
    channel.basic_get("orders")
    for _ in range(3):
        method, _, _ = channel.basic_get("orders")
        channel.basic_reject(method.delivery_tag, requeue=False)
    group = {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}", "group.id": "billing"}
    consumer = Consumer(group)
    consumer.commit(offsets=[TopicPartition("events", 0, 5)], asynchronous=False)
    consumer.close()
    found = examples()
    assert len(found) >= 20
    for example in found:
        command = example.replace("localhost:15672", f"127.0.0.1:{broker.http_port}")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (example, done)
        if done.stdout:
            json.loads(done.stdout)
