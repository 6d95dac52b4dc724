"""Every protocol under TLS, with clients that know nothing of us, and those who do it wrong."""

import asyncio
import os
import signal
import socket
import ssl
import time

import aio_pika
import kafka
import pytest
import requests
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

LARGE = os.urandom(3 << 20)


def eventually(what, seconds=20):
    """Returns what is true in the end."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.02)
    return value


def round_trip(connection, body=LARGE):
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_publish("", queue, body)
    assert channel.basic_get(queue, auto_ack=True)[2] == body


@pytest.mark.parametrize(
    ("kind", "form"), [("rsa", "pkcs8"), ("rsa", "traditional"), ("ec", "traditional")]
)
def test_pika_with_each_form_of_key(under_tls, authority, kind, form):
    certificate, key, _ = authority.issue("other", kind=kind, form=form)
    broker = under_tls(tls_certificate=certificate, tls_key=key)
    with broker.amqps() as connection:
        round_trip(connection)


def test_aio_pika_both_ways_at_once(under_tls):
    broker = under_tls()

    async def run():
        url = f"amqps://guest:guest@localhost:{broker.ports['amqp']}/"
        connection = await aio_pika.connect(url, ssl_context=broker.context())
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(100)
            queue = await channel.declare_queue("both-ways")
            bodies = [os.urandom(200 * number) for number in range(500)]

            async def publish():
                for body in bodies:
                    await channel.default_exchange.publish(aio_pika.Message(body), queue.name)

            publishing = asyncio.create_task(publish())
            received = []
            async with queue.iterator() as messages:
                async for message in messages:
                    received.append(message.body)
                    await message.ack()
                    if len(received) == len(bodies):
                        break
            await publishing
            assert received == bodies

    asyncio.run(run())


def test_confluent_kafka(under_tls):
    broker = under_tls()
    settings = broker.kafka()
    producer = Producer({**settings, "linger.ms": 5, "compression.type": "lz4"})
    values = [b"%d" % number for number in range(2000)] + [os.urandom(900_000)]
    for value in values:
        producer.produce("under-tls", value)
    assert producer.flush(30) == 0
    consumer = Consumer({**settings, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["under-tls"])
    received = []
    while len(received) < len(values):
        message = consumer.poll(20)
        assert message is not None and message.error() is None, message
        received.append(message.value())
    consumer.close()
    assert received == values


def test_kafka_python(under_tls):
    broker = under_tls()
    producer = kafka.KafkaProducer(
        bootstrap_servers=f"localhost:{broker.ports['kafka']}",
        security_protocol="SSL",
        ssl_cafile=str(broker.authority.file),
    )
    assert producer.send("under-tls", b"x").get(20).offset == 0
    producer.close()


def test_scram_under_tls(under_tls):
    broker = under_tls(kafka_sasl="required")
    login = {"sasl_mechanism": "PLAIN", "sasl_username": "guest", "sasl_password": "guest"}
    admin = AdminClient(broker.kafka(security_protocol="sasl_ssl", **login))
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    upsertion = UserScramCredentialUpsertion("anna", credential, b"her password")
    for future in admin.alter_user_scram_credentials([upsertion]).values():
        future.result(20)

    def topics(password):
        settings = broker.kafka(
            security_protocol="sasl_ssl",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="anna",
            sasl_password=password,
        )
        return AdminClient(settings).list_topics(timeout=10)

    assert topics("her password").brokers
    with pytest.raises(KafkaException):
        topics("another")


def test_https(under_tls):
    broker = under_tls()
    response = requests.get(
        f"https://localhost:{broker.ports['admin']}/health/ready",
        verify=str(broker.authority.file),
        timeout=20,
    )
    assert response.json() == {"status": "ok"}


def shake(port, context):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as shaken:
            return shaken.version()


def test_old_versions_are_refused(under_tls):
    broker = under_tls()
    newer = under_tls(tls_version_min="1.3")
    context = broker.context()
    assert shake(broker.ports["amqp"], context) == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake(broker.ports["kafka"], context) == "TLSv1.2"
    context = newer.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="(?i)alert protocol version"):
        shake(newer.ports["amqp"], context)


def test_tls_1_1_is_refused(under_tls):
    broker = under_tls()
    # By hand: a client library that would still do it is hard to come by.
    hello = bytes.fromhex("1603010033" "0100002f" "0302") + bytes(32) + bytes.fromhex(
        "00" "0008" "002f" "0035" "c013" "c014" "0100"
    )
    with socket.create_connection(("127.0.0.1", broker.ports["amqp"]), timeout=10) as client:
        client.sendall(hello)
        answer = b"".join(iter(lambda: client.recv(100), b""))
    # An alert, fatal: whichever reason it gives.
    assert answer[:1] == b"\x15" and answer[5:6] == b"\x02"


def read_to_end(port, said):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(said)
        try:
            return b"".join(iter(lambda: client.recv(1000), b""))
        except ConnectionResetError:
            return b""


def test_plain_text_where_tls_is_spoken(under_tls):
    broker = under_tls()
    for protocol in ("amqp", "kafka", "admin"):
        answer = read_to_end(broker.ports[protocol], b"AMQP\x00\x00\x09\x01")
        assert b"AMQP" not in answer
    eventually(lambda: broker.broker.log().count("turned away") == 3)


def test_tls_where_plain_text_is_spoken(under_tls):
    broker = under_tls()
    for port in (broker.broker.amqp_port, broker.broker.kafka_port):
        with pytest.raises((ssl.SSLError, OSError)):
            shake(port, broker.context())
    eventually(lambda: broker.broker.log().count("speaks TLS") == 2)


def test_silent_newcomers_hold_up_nobody(under_tls):
    broker = under_tls()
    silent = [socket.create_connection(("127.0.0.1", broker.ports["amqp"])) for _ in range(200)]
    half = silent[:50]
    for client in half:
        client.sendall(b"\x16\x03\x01\x02")
    with broker.amqps() as connection:
        round_trip(connection, b"x")
    for client in silent:
        client.close()
    # Who only looked whether the port is open is not worth a line.
    assert "turned away" not in broker.broker.log()


def replace(broker, certificate, key):
    """In two steps, as files are: in between they do not fit together."""
    for own, new in (("tls_certificate", certificate), ("tls_key", key)):
        path = broker.broker.settings[own]
        with open(new, "rb") as file:
            content = file.read()
        with open(f"{path}.new", "wb") as file:
            file.write(content)
        os.replace(f"{path}.new", path)


def test_certificates_are_read_again(under_tls, authority):
    broker = under_tls()
    with broker.amqps() as connection:
        certificate, key, serial = authority.issue("next")
        replace(broker, certificate, key)
        eventually(lambda: broker.served() == serial)
        # Who is in stays in.
        round_trip(connection)
        # What cannot be used is named, and changes nothing.
        path = broker.broker.settings["tls_certificate"]
        with open(path, "w") as file:
            file.write("-----BEGIN CERTIFICATE-----\nrubbish")
        broker.broker.process.send_signal(signal.SIGHUP)
        eventually(lambda: f"stays as it was: {path}" in broker.broker.log())
        assert broker.served() == serial
        certificate, key, serial = authority.issue("after")
        replace(broker, certificate, key)
        broker.broker.process.send_signal(signal.SIGHUP)
        eventually(lambda: broker.served() == serial)
        round_trip(connection)


def test_what_cannot_be_used_ends_the_start(own_broker, authority, tmp_path):
    certificate, key, _ = authority.issue("server")
    _, other_key, _ = authority.issue("other")
    _, locked_key, _ = authority.issue("locked", passphrase=b"secret")
    nowhere = str(tmp_path / "nowhere")
    listens = {"amqp_tls_listen": "127.0.0.1:0"}
    for settings, named in [
        ({"tls_certificate": nowhere, "tls_key": key}, nowhere),
        ({"tls_certificate": certificate, "tls_key": nowhere}, nowhere),
        ({"tls_certificate": certificate, "tls_key": other_key}, other_key),
        ({"tls_certificate": certificate, "tls_key": locked_key}, "passphrase"),
        ({"tls_certificate": key, "tls_key": key}, key),
        ({"tls_certificate": certificate}, "tls.key"),
        ({}, "tls.certificate"),
        (
            {"tls_certificate": certificate, "tls_key": key, "tls_client_certificates": "required"},
            "tls.client_ca",
        ),
    ]:
        with pytest.raises(AssertionError) as ended:
            own_broker(**listens, **settings)
        assert named in str(ended.value)
