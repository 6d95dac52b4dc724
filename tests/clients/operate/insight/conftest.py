"""One broker of these tests' own, with a space-worth of helpers around it."""

import time
import uuid
from types import SimpleNamespace

import pika
import pytest
from brokers import OwnBroker
from http_api import Api, part

PATIENCE = 20


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    started = OwnBroker(tmp_path_factory.mktemp("insight") / "broker", {})
    yield started
    started.kill()


@pytest.fixture
def own(broker):
    """The broker over HTTP, as guest, with paths of its own prefix."""
    return Own(Api(broker.http, "guest", "guest"))


class Own:
    def __init__(self, api):
        self.api = api

    def get(self, path, **query):
        response = self.api.get(f"/bongsu/v1{path}", params=query)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response.json()

    def post(self, path, body=None, *, status=200):
        response = self.api.post(f"/bongsu/v1{path}", json=body)
        assert response.status_code == status, (path, response.status_code, response.text)
        return response.json() if response.content else None

    def delete(self, path, *, status=204):
        response = self.api.delete(f"/bongsu/v1{path}")
        assert response.status_code == status, (path, response.status_code, response.text)
        return response.json() if response.content else None

    def refused(self, method, path, body=None, **query):
        """Status and JSON of a request that is not answered as asked."""
        response = self.api.request(method, f"/bongsu/v1{path}", json=body, params=query)
        assert response.status_code >= 400, (path, response.status_code, response.text)
        told = response.json()
        assert told["error"] and told["reason"], told
        return response.status_code, told["reason"]

    def queue(self, name, *more, **query):
        return self.get("/".join(["/queues/%2F", part(name), *more]), **query)

    def depth(self, name):
        told = self.queue(name)["depth"]
        return {state: count for state, count in told.items() if count and state != "total"}


def eventually(look, wanted):
    """Looks until it is so."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = look()
        if found == wanted or (callable(wanted) and wanted(found)):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


@pytest.fixture
def connect(broker):
    opened = []

    def open_one(**options):
        parameters = pika.ConnectionParameters("127.0.0.1", broker.amqp_port, **options)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield open_one
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def channel(connect):
    channel = connect().channel()
    channel.confirm_delivery()
    return channel


@pytest.fixture
def name():
    return f"q-{uuid.uuid4().hex[:8]}"


def publish(channel, queue, *bodies, exchange="", **properties):
    for body in bodies:
        channel.basic_publish(exchange, queue, body, pika.BasicProperties(**properties))


def bodies(channel, queue):
    """Takes all there is."""
    taken = []
    while (got := channel.basic_get(queue, auto_ack=True))[0]:
        taken.append(SimpleNamespace(method=got[0], properties=got[1], body=got[2]))
    return taken
