"""One broker for all of it: who is hurt by one hostile client is found by the next test."""

import os
import sys
from pathlib import Path

import pika
import pytest
from brokers import OwnBroker

sys.path.insert(0, str(Path(__file__).parents[2] / "wire"))

# What a broker may take that has nothing to do but to withstand.
MEMORY_MAX_MIB = 400


class Target:
    def __init__(self, broker):
        self.broker = broker
        self.bystander = self.connect()
        self.channel = self.bystander.channel()
        self.channel.confirm_delivery()
        self.channel.queue_declare("bystander", durable=True)

    def connect(self):
        parameters = pika.ConnectionParameters("127.0.0.1", self.broker.amqp_port, heartbeat=0)
        return pika.BlockingConnection(parameters)

    def amqp(self, **options):
        import wire

        url = f"amqp://guest:guest@127.0.0.1:{self.broker.amqp_port}/%2f"
        return wire.Connection(url, **options)

    def memory_mib(self):
        status = Path(f"/proc/{self.broker.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) // 1024

    def is_unhurt(self):
        """Who was there before is served, in bounded memory, and nothing fell over."""
        self.channel.basic_publish(
            "", "bystander", b"x", pika.BasicProperties(delivery_mode=2), mandatory=True
        )
        assert self.channel.basic_get("bystander", auto_ack=True)[2] == b"x"
        assert self.memory_mib() < MEMORY_MAX_MIB
        assert "panicked" not in self.broker.log()


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    broker = OwnBroker(tmp_path_factory.mktemp("hostile"), {"kafka_idle": "5s"})
    os.environ.setdefault("AMQP_URL", "")
    target = Target(broker)
    yield target
    if target.bystander.is_open:
        target.bystander.close()
    broker.kill()


@pytest.fixture
def target(one):
    yield one
    one.is_unhurt()
