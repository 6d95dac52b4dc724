"""Clients that come in by a token which somebody else has signed."""

import asyncio
import base64
import hmac
import json
import time

import aio_pika
import jwt
import pika
import pytest
from brokers import free_port
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from http_api import Api, guess
from issuer import Issuer, Published
from kafka import KafkaAdminClient
from kafka.net.sasl.oauth import AbstractTokenProvider
from test_listeners import eventually


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture
def broker(own_broker, issuer):
    return own_broker(**issuer.settings())


def connect(broker, token, user=""):
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            "127.0.0.1",
            broker.amqp_port,
            credentials=pika.PlainCredentials(user, token),
            connection_attempts=1,
        )
    )


def refused(broker, token):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(broker, token)
    # Whoever reads logs must not be able to log in.
    assert token not in broker.log()
    return broker.log()


def test_amqp_by_a_token_in_place_of_the_password(broker, issuer):
    # Users without a token come in as ever.
    connect(broker, "guest", "guest").close()
    with connect(broker, issuer.token(), "whoever") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("orders")
        # Its name is the token's, which is what a message may be said to be from.
        channel.basic_publish("", "orders", b"x", pika.BasicProperties(user_id="anna"))
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            channel.basic_publish("", "orders", b"x", pika.BasicProperties(user_id="whoever"))
        assert closed.value.reply_code == 406


def test_scopes_say_what_may_be_done(broker, issuer):
    scope = "bongsu.read:%2F/orders* bongsu.configure:%2F/orders* bongsu.write:%2F/orders*/eu.* other.write:*/*"
    with connect(broker, issuer.token(scope=scope)) as connection:
        channel = connection.channel()
        channel.exchange_declare("orders", "topic")
        channel.queue_declare("orders-1")
        channel.basic_publish("orders", "eu.berlin", b"x")
        for code, what in [
            (403, lambda channel: channel.queue_declare("bills")),
            (403, lambda channel: channel.basic_get("bills")),
            (403, lambda channel: published(channel, "amq.topic", "eu.x")),
            (403, lambda channel: published(channel, "orders", "us.x")),
        ]:
            channel = connection.channel()
            with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
                what(channel)
            assert closed.value.reply_code == code
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError):
        connect(broker, issuer.token(scope="bongsu.read:elsewhere/*"))


def published(channel, exchange, routing_key):
    channel.confirm_delivery()
    channel.basic_publish(exchange, routing_key, b"x")


@pytest.mark.parametrize(
    ("why", "claims"),
    [
        ("has expired", {"lasts": -1}),
        ("never ends", {"exp": None}),
        ("not valid yet", {"nbf": time.time() + 600}),
        ("oauth.issuer", {"iss": "https://other.test"}),
        ("oauth.audience", {"aud": "other"}),
        ("oauth.audience", {"aud": None}),
        ("oauth.username_claims", {"sub": None}),
        ("too large", {"note": "x" * 60_000}),
    ],
)
def test_a_token_that_is_not_for_us_here_and_now(broker, issuer, why, claims):
    assert why in refused(broker, issuer.token(**claims))


def test_a_token_that_somebody_else_has_signed(broker, issuer, tmp_path):
    (tmp_path / "other").mkdir()
    other = Issuer(tmp_path / "other")
    assert "signature is wrong" in refused(broker, other.token())
    other.keys["second"] = other.keys["first"]
    assert "the key it names" in refused(broker, other.token("second"))
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    for algorithm in ("none", "HS256"):
        # Nobody is let in by what everybody knows: by hand, as no library signs so.
        head = {"alg": algorithm, "typ": "JWT", "kid": "first"}
        said = b".".join(part(json.dumps(of).encode()) for of in (head, claims))
        signature = hmac.digest(issuer.published(), said, "sha256") if algorithm != "none" else b""
        assert "not accepted" in refused(broker, (said + b"." + part(signature)).decode())


def part(of):
    return base64.urlsafe_b64encode(of).rstrip(b"=")


def test_a_session_ends_with_its_token(broker, issuer):
    connection = connect(broker, issuer.token(lasts=2))
    connection.channel()
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        connection.process_data_events(time_limit=20)
    assert closed.value.reply_code == 320
    assert "expired" in closed.value.reply_text


def test_a_new_token_before_the_end_keeps_it(broker, issuer):
    async def run():
        url = f"amqp://anna:{issuer.token(lasts=4)}@127.0.0.1:{broker.amqp_port}/"
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        queue = await channel.declare_queue("renewed", exclusive=True)
        await connection.update_secret(issuer.token(lasts=600))
        ended = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(lambda *_: ended.set_result(True))
        # Beyond the first one's end.
        done, _ = await asyncio.wait([ended], timeout=5)
        assert not done
        await channel.default_exchange.publish(aio_pika.Message(b"x"), queue.name)
        assert (await queue.get()).body == b"x"
        # One of somebody else does not do.
        with pytest.raises(aio_pika.exceptions.AMQPError):
            await connection.update_secret(issuer.token(sub="bo"))
        await asyncio.wait_for(ended, 20)

    asyncio.run(run())


def bearer(broker, token, **more):
    """Settings of confluent-kafka; `token` makes one, with when it ends."""
    return {
        "bootstrap.servers": f"127.0.0.1:{broker.kafka_port}",
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "OAUTHBEARER",
        "oauth_cb": token,
        "log_level": 2,
        **more,
    }


def made_by(issuer, lasts=600, **claims):
    made = []

    def token(_config):
        made.append(issuer.token(lasts=lasts, **claims))
        return made[-1], time.time() + lasts

    return token, made


def test_kafka_by_a_token(broker, issuer):
    token, _ = made_by(issuer)
    producer = Producer(bearer(broker, token))
    producer.produce("orders", b"x")
    assert producer.flush(20) == 0
    consumer = Consumer(bearer(broker, token, **{"group.id": "g", "auto.offset.reset": "earliest"}))
    consumer.subscribe(["orders"])
    assert consumer.poll(20).value() == b"x"
    consumer.close()


def test_kafka_again_before_the_token_ends(broker, issuer):
    # librdkafka logs in again when most of a login's time has passed.
    token, made = made_by(issuer, lasts=4)
    producer = Producer(bearer(broker, token))

    def sent():
        producer.produce("orders", b"x")
        assert producer.flush(20) == 0
        return len(made) > 2

    eventually(sent, 40)
    assert "its token" not in broker.log()


def test_kafka_refuses_in_its_own_words(broker, issuer):
    token, _ = made_by(issuer, aud="other")
    errors = []
    admin = AdminClient(bearer(broker, token, error_cb=errors.append))
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=5)
    admin.poll(1)
    assert any("uthentication failed" in error.str() for error in errors), errors
    assert "oauth.audience" in broker.log()


class Provider(AbstractTokenProvider):
    def __init__(self, issuer):
        super().__init__()
        self.issuer = issuer

    def token(self):
        return self.issuer.token()


def test_kafka_python_by_a_token(broker, issuer):
    admin = KafkaAdminClient(
        bootstrap_servers=f"127.0.0.1:{broker.kafka_port}",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        sasl_oauth_token_provider=Provider(issuer),
    )
    assert admin.list_topics() == []
    admin.close()


def test_scopes_hold_for_kafka_too(broker, issuer):
    token, _ = made_by(issuer, scope="bongsu.configure:*/orders* bongsu.read:*/orders*")
    admin = AdminClient(bearer(broker, token))
    admin.create_topics([NewTopic("orders", 1)])["orders"].result(20)
    with pytest.raises(KafkaException, match="AUTHORIZATION"):
        admin.create_topics([NewTopic("bills", 1)])["bills"].result(20)
    failed = []
    producer = Producer(bearer(broker, token))
    producer.produce("orders", b"x", on_delivery=lambda error, _: failed.append(error.name()))
    producer.flush(20)
    assert failed == ["TOPIC_AUTHORIZATION_FAILED"]


def test_http_by_a_token(broker, issuer):
    def asked(token):
        headers = {"Authorization": f"Bearer {token}"}
        return Api(broker.http).get("/api/whoami", headers=headers)

    answer = asked(issuer.token(scope="bongsu.tag:monitoring"))
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["tags"]) == ("anna", ["monitoring"])
    # Without a tag it is nobody here, and neither is who brings a bad one.
    assert asked(issuer.token()).status_code == 401
    assert asked(issuer.token(lasts=-1, scope="bongsu.tag:monitoring")).status_code == 401
    assert asked("x.y.z").status_code == 401


def test_keys_are_asked_for_when_they_change(own_broker, issuer):
    published_at = Published(issuer)
    broker = own_broker(**issuer.settings(oauth_jwks=published_at.url))
    eventually(lambda: published_at.reads == 1)
    connect(broker, issuer.token()).close()
    issuer.add_key("second", "ES256")
    connect(broker, issuer.token("second")).close()
    assert published_at.reads == 2
    # Whoever makes keys up does not make us ask all the time.
    issuer.keys["third"] = issuer.keys["first"]
    token = issuer.token("third")
    del issuer.keys["third"]
    for _ in range(3):
        refused(broker, token)
    assert published_at.reads == 2


def test_an_issuer_that_is_away_keeps_nobody_else_out(own_broker, issuer):
    broker = own_broker(**issuer.settings(oauth_jwks=f"http://127.0.0.1:{free_port()}/"))
    connect(broker, "guest", "guest").close()
    refused(broker, issuer.token())
    eventually(lambda: "the keys of tokens" in broker.log())


def test_what_cannot_be_used_ends_the_start(own_broker, issuer, tmp_path):
    nowhere = str(tmp_path / "nowhere")
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("{}")
    for settings, named in [
        (issuer.settings(oauth_jwks=nowhere), nowhere),
        (issuer.settings(oauth_jwks=str(rubbish)), "oauth.jwks"),
        (issuer.settings(oauth_audience=""), "oauth.audience"),
    ]:
        with pytest.raises(AssertionError, match=named):
            own_broker(**settings)


def test_guessing_tokens_on_many_connections_gains_nothing(broker, issuer):
    header = issuer.token().split(".")[0]
    answers = guess(broker.http, "", [f"{header}.e30.{number}" for number in range(150)])
    assert set(answers) == {401}
    assert "login refused unasked: too many failed" in broker.log()
    # Who has the right one is let in again once the guesses are answered.
    connect(broker, issuer.token()).close()
