"""The clients of Java and Go under TLS: each is a program of its own that prints what it has checked."""

import os
import pathlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
from certificates import Authority
from http_api import Api

CLIENTS = pathlib.Path(__file__).resolve().parents[2]
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "target/classes:target/dependency/*", "Client"]
GO = ["bin/client"]
AMQP = {
    "a password under TLSv1.2",
    "a password under TLSv1.3",
    "EXTERNAL by a certificate",
    "EXTERNAL is nothing without one",
    "a broker of another authority is not talked to",
}
KAFKA = {
    "a certificate under TLSv1.2",
    "a certificate under TLSv1.3",
    "PLAIN under TLS",
    "SCRAM-SHA-256 under TLS",
    "SCRAM-SHA-512 under TLS",
    "wrong passwords are refused",
    "a broker of another authority is not talked to",
}
PASSWORD = "her password"


@pytest.fixture
def broker(under_tls, authority):
    """Nobody comes in to Kafka who is not known."""
    broker = under_tls(
        tls_client_ca=str(authority.file),
        tls_client_certificates="optional",
        kafka_sasl="required",
        kafka_group_initial_delay="0s",
    )
    api = Api(broker.broker.http, "guest", "guest")
    assert api.put("/api/users/app", {"password": PASSWORD, "tags": ""}).status_code == 201
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    assert api.put("/api/permissions/%2F/app", everything).status_code == 201
    return broker


def key_store(folder, certificate, key):
    """As Java reads it."""
    file = folder / "app.p12"
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"app",
            load_pem_private_key(pathlib.Path(key).read_bytes(), None),
            x509.load_pem_x509_certificate(pathlib.Path(certificate).read_bytes()),
            None,
            BestAvailableEncryption(b"passphrase"),
        )
    )
    return file


@pytest.mark.patient(120)
@pytest.mark.parametrize(
    ("client", "program", "wanted"),
    [("java", JAVA, AMQP), ("amqp091-go", GO, AMQP), ("kafka-java", JAVA, KAFKA), ("kafka-go", GO, KAFKA)],
)
def test_client(broker, authority, tmp_path, client, program, wanted):
    folder = CLIENTS / client
    certificate, key, _ = authority.issue("app", "app")
    environment = {
        "AMQP_URL": f"amqps://guest:guest@localhost:{broker.ports['amqp']}/%2f",
        "KAFKA_BOOTSTRAP": f"localhost:{broker.ports['kafka']}",
        "TLS_AUTHORITY": str(authority.file),
        "TLS_STRANGER": str(Authority(tmp_path / "stranger", "stranger").file),
        "TLS_CERTIFICATE": certificate,
        "TLS_KEY": key,
        "TLS_KEY_STORE": str(key_store(tmp_path, certificate, key)),
        "TLS_USER": "app",
        "TLS_PASSWORD": PASSWORD,
    }
    # A relative program is looked up in the client's folder.
    program = [str(folder / program[0])] if "/" in program[0] else program
    done = subprocess.run(
        [*program, "tls"],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr + broker.broker.log()
    lines = done.stdout.replace("TLS 1.", "TLSv1.").splitlines()
    assert {line.removeprefix("ok ") for line in lines if line.startswith("ok ")} == wanted
