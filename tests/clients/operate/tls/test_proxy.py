"""Clients behind a proxy that says who they are."""

import contextlib
import socket
import struct
import threading

import pika
import pytest

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(source, destination="192.0.2.1", command=0x21):
    body = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(">HH", 50123, 5672)
    return SIGNATURE + bytes([command, 0x11]) + struct.pack(">H", len(body)) + body


LOCAL = SIGNATURE + bytes([0x20, 0, 0, 0])
UNKNOWN = SIGNATURE + bytes([0x21, 0, 0, 0])


class Proxy:
    """Passes bytes on, behind a header."""

    def __init__(self, port, said):
        self.target, self.said = port, said
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            broker = socket.create_connection(("127.0.0.1", self.target))
            broker.sendall(self.said)
            for one, other in ((client, broker), (broker, client)):
                threading.Thread(target=self.carry, args=(one, other), daemon=True).start()

    @staticmethod
    def carry(one, other):
        try:
            while read := one.recv(65536):
                other.sendall(read)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            # A close alone is not told while another thread reads.
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxied(under_tls):
    return under_tls(
        amqp_proxy_protocol="required", proxy_from="127.0.0.0/8", tls_client_certificates="none"
    )


def connect(port, **options):
    parameters = pika.ConnectionParameters("localhost", port, connection_attempts=1, **options)
    return pika.BlockingConnection(parameters)


# Of 127.0.0.1 a proxy on this machine may speak: then the client is here too.
@pytest.mark.parametrize("said", [LOCAL, header("127.0.0.1"), b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"])
def test_who_is_here_is_let_in_as_guest(proxied, said):
    connect(Proxy(proxied.broker.amqp_port, said).port).close()


@pytest.mark.parametrize(
    "said", [header("203.0.113.7"), UNKNOWN, b"PROXY UNKNOWN\r\n", b"PROXY TCP4 10.0.0.1 127.0.0.1 1 2\r\n"]
)
def test_who_is_elsewhere_is_not(proxied, said):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(Proxy(proxied.broker.amqp_port, said).port)


def test_the_header_comes_before_tls(proxied):
    options = pika.SSLOptions(proxied.context(), "localhost")
    connect(Proxy(proxied.ports["amqp"], header("127.0.0.1")).port, ssl_options=options).close()
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(Proxy(proxied.ports["amqp"], header("203.0.113.7")).port, ssl_options=options)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        SIGNATURE + bytes([0x31, 0x11, 0, 0]),
        SIGNATURE + bytes([0x21, 0x11, 0, 4]) + bytes(4),
        b"PROXY TCP4 localhost localhost 1 2\r\n",
    ],
)
def test_no_header_no_entry(proxied, said):
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        connect(Proxy(proxied.broker.amqp_port, said).port)
    assert "turned away" in proxied.broker.log()


def test_headers_of_strangers_are_not_believed(under_tls):
    broker = under_tls(amqp_proxy_protocol="required", proxy_from="10.0.0.0/8, 192.0.2.1")
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        connect(Proxy(broker.broker.amqp_port, header("127.0.0.1")).port)
    assert "proxy.from" in broker.broker.log()


def test_nobody_to_believe_ends_the_start(own_broker):
    with pytest.raises(AssertionError, match="proxy.from"):
        own_broker(kafka_proxy_protocol="required")
