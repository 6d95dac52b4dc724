"""A Kafka connection that says exactly what it is told."""

import itertools
import os
import socket
import struct
import uuid

from schema import APIS

HOST, PORT = os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092").rsplit(":", 1)
ANSWER_SECONDS = 15


class Connection:
    def __init__(self, client_id="conformance"):
        self.client_id = client_id
        self.socket = socket.create_connection((HOST, int(PORT)), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._correlations = itertools.count(1)
        self._waiting = []

    def request(self, name, version, **body):
        """One request and its answer."""
        self.send(name, version, **body)
        return self.receive()

    def send(self, name, version, **body):
        """A request whose answer is taken later, in order."""
        api, correlation = APIS[name], next(self._correlations)
        self.send_frame(api.encode_request(version, correlation, self.client_id, body))
        self._waiting.append((api, version, correlation))

    def forget(self):
        """The request sent last has no answer (Produce with acks=0)."""
        self._waiting.pop()

    def receive(self):
        api, version, sent = self._waiting.pop(0)
        correlation, body = api.decode_response(version, self.receive_frame())
        assert correlation == sent, f"answer to {correlation}, not to {sent}"
        return body

    def send_frame(self, frame):
        self.send_bytes(struct.pack(">i", len(frame)) + frame)

    def send_bytes(self, data):
        self.socket.sendall(data)

    def receive_frame(self):
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the broker closed the connection")
            data += part
        return bytes(data)

    def is_closed_by_broker(self):
        """Waits for the end of the stream; anything else that comes is an error."""
        try:
            data = self.socket.recv(1)
        except ConnectionResetError:
            return True
        assert data == b"", "the broker answered"
        return True

    def is_quiet(self, seconds):
        """Whether nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(ANSWER_SECONDS)

    def close(self):
        self.socket.close()


def unique(prefix):
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"
