"""What users and spaces may have open: refused in RabbitMQ's words, as its 3.10 says them."""

import time

import pika
import pytest
from http_api import Api, guess, part
from kafka import KafkaProducer
from kafka.errors import KafkaError

USER, SPACE = "limited", "bounded"


@pytest.fixture
def broker(own_broker):
    broker = own_broker()
    broker.api = Api(broker.http, "guest", "guest")
    for path, body in [
        (f"/api/users/{USER}", {"password": "p", "tags": ""}),
        (f"/api/vhosts/{SPACE}", {}),
        (f"/api/permissions/{SPACE}/{USER}", {"configure": ".*", "write": ".*", "read": ".*"}),
    ]:
        assert broker.api.put(path, json=body).status_code in (201, 204)
    return broker


@pytest.fixture
def connect(broker):
    opened = []

    def connect():
        credentials = pika.PlainCredentials(USER, "p")
        parameters = pika.ConnectionParameters("127.0.0.1", broker.amqp_port, SPACE, credentials)
        opened.append(pika.BlockingConnection(parameters))
        return opened[-1]

    yield connect
    for connection in opened:
        if connection.is_open:
            connection.close()


def limit(broker, of, name, kind, value):
    path = f"/api/{of}-limits/{part(name)}/{kind}"
    assert broker.api.put(path, json={"value": value}).status_code in (201, 204)


def refused(connect):
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as caught:
        connect()
    return str(caught.value)


def test_connections_of_a_space(broker, connect):
    limit(broker, "vhost", SPACE, "max-connections", 1)
    first = connect()
    assert (
        f"NOT_ALLOWED - access to vhost '{SPACE}' refused for user '{USER}': "
        "connection limit (1) is reached"
    ) in refused(connect)
    first.close()
    await_place(connect).close()


def test_connections_of_a_user(broker, connect):
    limit(broker, "user", USER, "max-connections", 1)
    connect()
    assert (
        f"NOT_ALLOWED - connection refused for user '{USER}': user connection limit (1) is reached"
    ) in refused(connect)
    limit(broker, "user", USER, "max-connections", -1)
    connect()


def test_channels_of_a_user_on_all_its_connections(broker, connect):
    limit(broker, "user", USER, "max-channels", 2)
    one, other = connect(), connect()
    one.channel()
    other.channel()
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as caught:
        one.channel()
    assert (caught.value.reply_code, caught.value.reply_text) == (
        530,
        f"NOT_ALLOWED - number of channels opened for user '{USER}' has reached the maximum "
        "allowed user limit of (2)",
    )
    other.process_data_events(0)
    assert other.is_open
    await_channel(other)


def await_place(connect):
    """A connection that was closed gives its place back a moment later."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return connect()
        except pika.exceptions.ProbableAccessDeniedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def await_channel(connection):
    channel = connection.channel()
    channel.close()


def test_guessing_passwords_on_many_connections_gains_nothing(broker):
    answers = guess(broker.http, USER, [f"guess-{number}" for number in range(200)])
    assert set(answers) == {401}
    log = broker.log()
    assert "login refused unasked: too many failed" in log
    assert "guess-" not in log
    # Who has the right one is let in again once the guesses are answered.
    assert Api(broker.http, "guest", "guest").get("/api/whoami").status_code == 200


def test_connections_of_a_space_whatever_they_speak(broker):
    limit(broker, "vhost", "/", "max-connections", 2)

    def producer():
        return KafkaProducer(
            bootstrap_servers=f"127.0.0.1:{broker.kafka_port}", max_block_ms=3000,
            bootstrap_timeout_ms=2000,
        )

    def amqp():
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.amqp_port))

    kept = [amqp(), amqp()]
    with pytest.raises(KafkaError):
        with producer() as refused:
            refused.send("orders", b"x").get(5)
    kept.pop().close()
    with producer() as admitted:
        admitted.send("orders", b"x").get(20)
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as caught:
            while True:
                kept.append(amqp())
    assert "connection limit (2) is reached" in str(caught.value)
    for connection in kept:
        connection.close()


def test_a_user_publishes_as_fast_as_it_may(broker, connect):
    limit(broker, "user", USER, "publish-messages-per-second", 100)
    channel = connect().channel()
    channel.confirm_delivery()
    begun = time.monotonic()
    for _ in range(300):
        channel.basic_publish("", "nowhere", b"x")
    # What may be taken at once, and then a hundred a second; never refused.
    assert time.monotonic() - begun > 1
    limit(broker, "user", USER, "publish-messages-per-second", -1)
