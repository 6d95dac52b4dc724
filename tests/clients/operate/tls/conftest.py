"""Brokers that listen under TLS, and clients that reach them so."""

import socket
import ssl

import pika
import pytest
from brokers import free_port
from certificates import Authority
from cryptography import x509


class UnderTls:
    """A broker whose three protocols are also spoken under TLS."""

    def __init__(self, own_broker, authority, **settings):
        self.authority = authority
        certificate, key, self.serial = authority.issue("server")
        self.ports = {protocol: free_port() for protocol in ("amqp", "kafka", "admin")}
        listens = {
            f"{protocol}_tls_listen": f"127.0.0.1:{port}" for protocol, port in self.ports.items()
        }
        settings = {"tls_certificate": certificate, "tls_key": key, **listens, **settings}
        self.broker = own_broker(**settings)

    def context(self, certified=None):
        context = ssl.create_default_context(cafile=self.authority.file)
        if certified:
            context.load_cert_chain(*certified[:2])
        return context

    def amqps(self, user="guest", password="guest", certified=None, **options):
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                "localhost",
                self.ports["amqp"],
                ssl_options=pika.SSLOptions(self.context(certified), "localhost"),
                connection_attempts=1,
                **{"credentials": pika.PlainCredentials(user, password), **options},
            )
        )

    def kafka(self, certified=None, **more):
        """Settings of confluent-kafka."""
        settings = {
            "bootstrap.servers": f"localhost:{self.ports['kafka']}",
            "security.protocol": "ssl",
            "ssl.ca.location": str(self.authority.file),
            "log_level": 2,
        }
        if certified:
            settings |= {
                "ssl.certificate.location": certified[0],
                "ssl.key.location": certified[1],
            }
        return settings | {name.replace("_", "."): value for name, value in more.items()}

    def served(self):
        """The serial number of the certificate that a new connection is shown."""
        with socket.create_connection(("127.0.0.1", self.ports["amqp"]), timeout=10) as plain:
            with self.context().wrap_socket(plain, server_hostname="localhost") as shaken:
                return x509.load_der_x509_certificate(shaken.getpeercert(True)).serial_number


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "certificates")


@pytest.fixture
def under_tls(own_broker, authority):
    def start(**settings):
        return UnderTls(own_broker, authority, **settings)

    return start
