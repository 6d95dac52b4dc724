"""Fixtures: a connection and a channel for each test, and a deadline for it."""

import signal

import pytest
from wire import Connection

DEADLINE_SECONDS = 30


@pytest.fixture(autouse=True)
def deadline(request):
    """A broker that never answers fails one test, not the whole run."""
    seconds = DEADLINE_SECONDS
    if marker := request.node.get_closest_marker("patient"):
        seconds = marker.args[0]

    def late(_signal, _frame):
        raise TimeoutError(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture
def connect():
    """Opens connections that are dropped when the test is over."""
    opened = []

    def connect(**options):
        opened.append(Connection(**options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.abort()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def channel(connection):
    return connection.channel()


def pytest_configure(config):
    config.addinivalue_line("markers", "patient(seconds): this test may take longer")
