"""Clients that show a certificate, and come in by it."""

import asyncio
import logging
import os

import aio_pika
import pika
import pytest
import requests
from certificates import Authority
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509


def add_user(broker, name):
    """With a password that nobody is told: only who proves the name otherwise comes in."""
    settings = {
        "bootstrap.servers": f"127.0.0.1:{broker.broker.kafka_port}",
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "guest",
        "sasl.password": "guest",
    }
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    upsertion = UserScramCredentialUpsertion(name, credential, os.urandom(16))
    admin = AdminClient(settings)
    for future in admin.alter_user_scram_credentials([upsertion]).values():
        future.result(20)


@pytest.fixture
def certified(under_tls, authority):
    return under_tls(
        tls_client_ca=str(authority.file), tls_client_certificates="optional", log_level="debug"
    )


def external(broker, certificate):
    return broker.amqps(
        certified=certificate, credentials=pika.credentials.ExternalCredentials()
    )


def test_amqp_external(certified, authority):
    add_user(certified, "app")
    with external(certified, authority.issue("app", "app")) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True).method.queue
        # Its name is that of the certificate.
        channel.basic_publish("", queue, b"x", pika.BasicProperties(user_id="app"))
    # A password does as well.
    certified.amqps(certified=authority.issue("app", "app")).close()


def test_aio_pika_external(certified, authority):
    add_user(certified, "app")
    context = certified.context(authority.issue("app", "app"))

    async def run():
        url = f"amqps://localhost:{certified.ports['amqp']}/?auth=external"
        connection = await aio_pika.connect(url, ssl_context=context)
        await connection.close()

    asyncio.run(run())


def test_external_is_not_for_everybody(certified, authority):
    # Not without a certificate, nor without TLS, nor as somebody who is no user.
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        external(certified, None)
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(
            pika.ConnectionParameters(
                "127.0.0.1",
                certified.broker.amqp_port,
                credentials=pika.credentials.ExternalCredentials(),
                connection_attempts=1,
            )
        )
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        external(certified, authority.issue("nobody", "nobody"))
    assert "there is no user as its certificate says" in certified.broker.log()


def topics(broker, certificate):
    return AdminClient(broker.kafka(certified=certificate)).list_topics(timeout=5).topics


def test_kafka_by_a_certificate(under_tls, authority):
    broker = under_tls(
        tls_client_ca=str(authority.file),
        tls_client_certificates="optional",
        kafka_sasl="required",
    )
    add_user(broker, "app")
    certificate = authority.issue("app", "app")
    producer = Producer(broker.kafka(certified=certificate))
    producer.produce("by-certificate", b"x")
    assert producer.flush(20) == 0
    for wrong in (None, authority.issue("nobody", "nobody")):
        with pytest.raises(KafkaException):
            topics(broker, wrong)


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        ("distinguished_name", "CN=app,O=Example"),
        ("san_dns", "localhost"),
        ("san_email", "app@example.com"),
        ("san_uri", "spiffe://example.com/app"),
    ],
)
def test_names_of_a_certificate(under_tls, authority, naming, name):
    broker = under_tls(
        tls_client_ca=str(authority.file),
        tls_client_certificates="required",
        tls_identity=naming,
    )
    add_user(broker, name)
    names = [
        x509.RFC822Name("app@example.com"),
        x509.UniformResourceIdentifier("spiffe://example.com/app"),
    ]
    certificate = authority.issue("app", "app", names=names, organization="Example")
    external(broker, certificate).close()
    if naming == "san_email":
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            external(broker, authority.issue("other", "app"))
        assert "no name as tls.identity asks for" in broker.broker.log()


@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_bad_certificates_are_refused(under_tls, authority, tmp_path, wanted):
    broker = under_tls(tls_client_ca=str(authority.file), tls_client_certificates=wanted)
    stranger = Authority(tmp_path / "stranger", "stranger")
    bad = [stranger.issue("app", "app"), authority.issue("ended", "app", ended=True)]
    if wanted == "required":
        bad.append(None)
    for certificate in bad:
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            broker.amqps(certified=certificate)
        # librdkafka comes in without a stranger's certificate where it may, see below.
        if wanted == "required" or certificate is not bad[0]:
            with pytest.raises(KafkaException):
                topics(broker, certificate)
        with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
            requests.get(
                f"https://localhost:{broker.ports['admin']}/health/live",
                verify=str(authority.file),
                cert=certificate and certificate[:2],
                timeout=20,
            )
    broker.amqps(certified=authority.issue("app", "app")).close()


def test_librdkafka_shows_no_certificate_of_a_stranger(under_tls, authority, tmp_path, caplog):
    """The broker names the authorities that it takes; librdkafka keeps back what is of none of them."""
    broker = under_tls(tls_client_ca=str(authority.file), tls_client_certificates="optional")
    certificate = Authority(tmp_path / "stranger", "stranger").issue("app", "app")
    settings = broker.kafka(certified=certificate) | {"log_level": 6}
    with caplog.at_level(logging.DEBUG):
        admin = AdminClient(settings, logger=logging.getLogger("librdkafka"))
        assert admin.list_topics(timeout=20).brokers
        admin.poll(0)
    assert "not sending any client certificates" in caplog.text
