"""Fixtures of all folders here: a deadline for each test, HTTP, AMQP, and brokers of a test's own."""

import os
import signal

import pika
import pytest
from brokers import OwnBroker
from http_api import Api

DEADLINE_SECONDS = 60


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
def api():
    """The suite's broker over HTTP, as guest."""
    return Api(os.environ["HTTP_URL"], "guest", "guest")


@pytest.fixture
def amqp():
    """Opens pika connections to the suite's broker that are closed when the test is over."""
    opened = []

    def connect(**options):
        parameters = pika.URLParameters(os.environ["AMQP_URL"])
        for name, value in options.items():
            setattr(parameters, name, value)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield connect
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def own_broker(tmp_path):
    """Starts brokers with settings of the test's own: `own_broker(tls_certificate=…)`."""
    started = []

    def start(*, environment=None, **settings):
        directory = tmp_path / f"broker-{len(started)}"
        started.append(OwnBroker(directory, settings, environment))
        return started[-1]

    yield start
    for broker in started:
        broker.kill()


def pytest_configure(config):
    config.addinivalue_line("markers", "patient(seconds): this test may take longer")
