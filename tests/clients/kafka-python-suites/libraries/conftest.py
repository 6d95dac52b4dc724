"""A deadline for each test, and topics."""

import os
import signal
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092")
DEADLINE_SECONDS = 40


@pytest.fixture(autouse=True)
def deadline():
    """A broker that never answers fails one test, not the whole run."""

    def late(_signal, _frame):
        raise TimeoutError(f"not done after {DEADLINE_SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session")
def bootstrap():
    return BOOTSTRAP


@pytest.fixture(scope="session")
def admin():
    return AdminClient({"bootstrap.servers": BOOTSTRAP})


@pytest.fixture
def unique():
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def new_topic(admin, unique):
    def new_topic(partitions=1, **configs):
        name = unique("topic")
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        row = NewTopic(name, num_partitions=partitions, replication_factor=1, config=configs)
        admin.create_topics([row])[name].result(20)
        return name

    return new_topic


@pytest.fixture
def topic(new_topic):
    return new_topic()
