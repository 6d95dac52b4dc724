"""Fixtures: connections and topics for each test, and a deadline for it."""

import signal

import pytest
from helpers import auto_create, create_topic
from wire import Connection, unique

DEADLINE_SECONDS = 30


@pytest.fixture(autouse=True)
def deadline():
    """A broker that never answers fails one test, not the whole run."""

    def late(_signal, _frame):
        raise TimeoutError(f"not done after {DEADLINE_SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(DEADLINE_SECONDS)
    yield
    signal.alarm(0)


@pytest.fixture
def connect():
    """Opens connections that are closed when the test is over."""
    opened = []

    def connect(**options):
        opened.append(Connection(**options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def kafka(connect):
    return connect()


@pytest.fixture
def topic(kafka):
    """A topic of one partition, created by being asked for."""
    return auto_create(kafka, unique("topic"))


@pytest.fixture
def new_topic(kafka):
    """Creates topics with partitions and configs."""

    def new_topic(partitions=1, **configs):
        return create_topic(kafka, unique("topic"), partitions, **configs)

    return new_topic
