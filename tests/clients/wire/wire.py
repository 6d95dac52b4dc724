"""AMQP 0-9-1 by hand: every frame can be seen, and every wrong one can be sent.

Standard library only. A `Connection` reads frames and sorts them to its `Channel`s; nothing
happens behind the caller's back but the answers to heartbeats and to a close from the broker.
"""

import collections
import os
import socket
import struct
import time
from urllib.parse import unquote, urlsplit

PATIENCE = 10.0
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

# ---------------------------------------------------------------- the specification's tables

_METHODS = """
connection 10
  start 10           version_major:octet version_minor:octet server_properties:table mechanisms:longstr locales:longstr
  start-ok 11        client_properties:table mechanism:shortstr response:longstr locale:shortstr
  secure 20          challenge:longstr
  secure-ok 21       response:longstr
  tune 30            channel_max:short frame_max:long heartbeat:short
  tune-ok 31         channel_max:short frame_max:long heartbeat:short
  open 40            virtual_host:shortstr reserved_1:shortstr reserved_2:bit
  open-ok 41         reserved_1:shortstr
  close 50           reply_code:short reply_text:shortstr class_id:short method_id:short
  close-ok 51
  blocked 60         reason:shortstr
  unblocked 61
  update-secret 70   new_secret:longstr reason:shortstr
  update-secret-ok 71
channel 20
  open 10            reserved_1:shortstr
  open-ok 11         reserved_1:longstr
  flow 20            active:bit
  flow-ok 21         active:bit
  close 40           reply_code:short reply_text:shortstr class_id:short method_id:short
  close-ok 41
access 30
  request 10         realm:shortstr exclusive:bit passive:bit active:bit write:bit read:bit
  request-ok 11      ticket:short
exchange 40
  declare 10         ticket:short exchange:shortstr type:shortstr passive:bit durable:bit auto_delete:bit internal:bit nowait:bit arguments:table
  declare-ok 11
  delete 20          ticket:short exchange:shortstr if_unused:bit nowait:bit
  delete-ok 21
  bind 30            ticket:short destination:shortstr source:shortstr routing_key:shortstr nowait:bit arguments:table
  bind-ok 31
  unbind 40          ticket:short destination:shortstr source:shortstr routing_key:shortstr nowait:bit arguments:table
  unbind-ok 51
queue 50
  declare 10         ticket:short queue:shortstr passive:bit durable:bit exclusive:bit auto_delete:bit nowait:bit arguments:table
  declare-ok 11      queue:shortstr message_count:long consumer_count:long
  bind 20            ticket:short queue:shortstr exchange:shortstr routing_key:shortstr nowait:bit arguments:table
  bind-ok 21
  purge 30           ticket:short queue:shortstr nowait:bit
  purge-ok 31        message_count:long
  delete 40          ticket:short queue:shortstr if_unused:bit if_empty:bit nowait:bit
  delete-ok 41       message_count:long
  unbind 50          ticket:short queue:shortstr exchange:shortstr routing_key:shortstr arguments:table
  unbind-ok 51
basic 60
  qos 10             prefetch_size:long prefetch_count:short global_:bit
  qos-ok 11
  consume 20         ticket:short queue:shortstr consumer_tag:shortstr no_local:bit no_ack:bit exclusive:bit nowait:bit arguments:table
  consume-ok 21      consumer_tag:shortstr
  cancel 30          consumer_tag:shortstr nowait:bit
  cancel-ok 31       consumer_tag:shortstr
  publish 40         ticket:short exchange:shortstr routing_key:shortstr mandatory:bit immediate:bit
  return 50          reply_code:short reply_text:shortstr exchange:shortstr routing_key:shortstr
  deliver 60         consumer_tag:shortstr delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr
  get 70             ticket:short queue:shortstr no_ack:bit
  get-ok 71          delivery_tag:longlong redelivered:bit exchange:shortstr routing_key:shortstr message_count:long
  get-empty 72       reserved_1:shortstr
  ack 80             delivery_tag:longlong multiple:bit
  reject 90          delivery_tag:longlong requeue:bit
  recover-async 100  requeue:bit
  recover 110        requeue:bit
  recover-ok 111
  nack 120           delivery_tag:longlong multiple:bit requeue:bit
confirm 85
  select 10          nowait:bit
  select-ok 11
tx 90
  select 10
  select-ok 11
  commit 20
  commit-ok 21
  rollback 30
  rollback-ok 31
"""


def _read_tables():
    by_name, by_id, class_name, class_id = {}, {}, "", 0
    for line in _METHODS.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            class_name, class_id = words[0], int(words[1])
            continue
        name = f"{class_name}.{words[0]}"
        fields = [tuple(word.split(":")) for word in words[2:]]
        by_name[name] = (class_id, int(words[1]), fields)
        by_id[class_id, int(words[1])] = (name, fields)
    return by_name, by_id


METHODS, _BY_ID = _read_tables()
CARRIES_CONTENT = {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}

PROPERTIES = [
    ("content_type", "shortstr"),
    ("content_encoding", "shortstr"),
    ("headers", "table"),
    ("delivery_mode", "octet"),
    ("priority", "octet"),
    ("correlation_id", "shortstr"),
    ("reply_to", "shortstr"),
    ("expiration", "shortstr"),
    ("message_id", "shortstr"),
    ("timestamp", "longlong"),
    ("type", "shortstr"),
    ("user_id", "shortstr"),
    ("app_id", "shortstr"),
    ("cluster_id", "shortstr"),
]

# ---------------------------------------------------------------- values


class Typed(collections.namedtuple("Typed", "kind value")):
    """A table value with its type letter, where the letter matters."""


_NUMBERS = {
    "b": ">b",
    "B": ">B",
    "s": ">h",
    "u": ">H",
    "I": ">i",
    "i": ">I",
    "l": ">q",
    "f": ">f",
    "d": ">d",
    "T": ">Q",
}
_INTEGERS = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q"}


def _typed(value):
    if isinstance(value, Typed):
        return value
    if value is None:
        return Typed("V", None)
    if isinstance(value, bool):
        return Typed("t", value)
    if isinstance(value, int):
        return Typed("I" if -(2**31) <= value < 2**31 else "l", value)
    if isinstance(value, float):
        return Typed("d", value)
    if isinstance(value, (str, bytes)):
        return Typed("S", value)
    if isinstance(value, dict):
        return Typed("F", value)
    if isinstance(value, (list, tuple)):
        return Typed("A", value)
    raise TypeError(f"no field type for {value!r}")


def _bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


def encode_value(value):
    kind, value = _typed(value)
    if kind in _NUMBERS:
        data = struct.pack(_NUMBERS[kind], value)
    elif kind == "t":
        data = bytes([bool(value)])
    elif kind == "D":
        data = struct.pack(">BI", *value)
    elif kind in "Sx":
        data = struct.pack(">I", len(_bytes(value))) + _bytes(value)
    elif kind == "F":
        data = encode_table(value)
    elif kind == "A":
        items = b"".join(encode_value(item) for item in value)
        data = struct.pack(">I", len(items)) + items
    elif kind == "V":
        data = b""
    else:
        data = _bytes(value)  # an unknown letter with whatever bytes the test wants
    return kind.encode() + data


def encode_table(table):
    items = b"".join(bytes([len(_bytes(k))]) + _bytes(k) + encode_value(v) for k, v in table.items())
    return struct.pack(">I", len(items)) + items


def encode(kind, value):
    if kind in _INTEGERS:
        return struct.pack(_INTEGERS[kind], value or 0)
    if kind == "shortstr":
        data = _bytes(value or "")
        return bytes([len(data)]) + data
    if kind == "longstr":
        data = _bytes(value or "")
        return struct.pack(">I", len(data)) + data
    return encode_table(value or {})


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), f"cut short: {self.data!r}"
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def shortstr(self):
        return self.take(self.number(">B")).decode("utf-8", "surrogateescape")

    def longstr(self):
        return self.take(self.number(">I"))

    def value(self):
        kind = chr(self.number(">B"))
        if kind in _NUMBERS:
            return Typed(kind, self.number(_NUMBERS[kind]))
        if kind == "t":
            return Typed(kind, bool(self.number(">B")))
        if kind == "D":
            return Typed(kind, (self.number(">B"), self.number(">I")))
        if kind in "Sx":
            return Typed(kind, self.longstr())
        if kind == "F":
            return Typed(kind, self.table())
        if kind == "A":
            inner, items = Reader(self.longstr()), []
            while inner.at < len(inner.data):
                items.append(inner.value())
            return Typed(kind, items)
        assert kind == "V", f"unknown field type {kind!r}"
        return Typed(kind, None)

    def table(self):
        inner, table = Reader(self.longstr()), {}
        while inner.at < len(inner.data):
            key = inner.shortstr()
            table[key] = inner.value()
        return table

    def field(self, kind):
        if kind in _INTEGERS:
            return self.number(_INTEGERS[kind])
        return getattr(self, kind)()


def plain(value):
    """A decoded value without its type letters."""
    if isinstance(value, Typed):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


# ---------------------------------------------------------------- methods, headers, frames


class Method:
    """A method that came in: `name`, its fields as attributes, and its content if it has one."""

    def __init__(self, name, fields):
        self.name, self.fields = name, fields
        self.properties, self.body, self.size = None, b"", None

    def __getattr__(self, name):
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(f"{self.name} has no {name}") from None

    def __repr__(self):
        content = "" if self.properties is None else f" {self.properties} {self.body[:60]!r}"
        return f"<{self.name} {self.fields}{content}>"


def encode_method(name, **arguments):
    class_id, method_id, fields = METHODS[name]
    unknown = set(arguments) - {field for field, _ in fields}
    assert not unknown, f"{name} has no {unknown}"
    out, bits, bit_count = struct.pack(">HH", class_id, method_id), 0, 0
    for field, kind in fields + [("", "end")]:
        if kind == "bit":
            bits |= bool(arguments.get(field)) << bit_count
            bit_count += 1
            continue
        if bit_count:
            out, bits, bit_count = out + bytes([bits]), 0, 0
        if kind != "end":
            out += encode(kind, arguments.get(field))
    return out


def decode_method(payload):
    reader = Reader(payload)
    name, fields = _BY_ID[reader.number(">H"), reader.number(">H")]
    values, bits, bit_count = {}, 0, 0
    for field, kind in fields:
        if kind != "bit":
            bit_count = 0
            values[field] = reader.field(kind)
            continue
        if bit_count == 0:
            bits = reader.number(">B")
        values[field] = bool(bits >> bit_count & 1)
        bit_count += 1
    assert reader.at == len(payload), f"{name} is longer than it should be: {payload!r}"
    return Method(name, values)


def encode_header(size, properties=None, class_id=60):
    flags, values = 0, b""
    for index, (name, kind) in enumerate(PROPERTIES):
        if name in (properties or {}):
            flags |= 1 << (15 - index)
            values += encode(kind, properties[name])
    unknown = set(properties or {}) - {name for name, _ in PROPERTIES}
    assert not unknown, f"no property is called {unknown}"
    return struct.pack(">HHQH", class_id, 0, size, flags) + values


def decode_header(payload):
    reader = Reader(payload)
    class_id, weight, size = reader.number(">H"), reader.number(">H"), reader.number(">Q")
    assert (class_id, weight) == (60, 0), payload
    flags, properties = reader.number(">H"), {}
    for index, (name, kind) in enumerate(PROPERTIES):
        if flags >> (15 - index) & 1:
            properties[name] = reader.field(kind)
    assert reader.at == len(payload), f"header is longer than it should be: {payload!r}"
    return size, properties


def encode_frame(kind, channel, payload, end=FRAME_END):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


class Closed(Exception):
    """The broker closed the channel or the connection (channel 0)."""

    def __init__(self, channel, method):
        self.channel, self.code, self.text = channel, method.reply_code, method.reply_text
        self.class_id, self.method_id = method.class_id, method.method_id
        super().__init__(f"channel {channel}: {self.code} {self.text}")


class Gone(Exception):
    """The broker closed the socket without a word."""


# ---------------------------------------------------------------- connection and channel


class Connection:
    """One socket. With `handshake=False` the caller speaks first."""

    def __init__(
        self,
        url=None,
        handshake=True,
        user=None,
        password=None,
        mechanism="PLAIN",
        response=None,
        vhost=None,
        capabilities=None,
        channel_max=None,
        frame_max=None,
        heartbeat=0,
        patience=PATIENCE,
    ):
        parts = urlsplit(url or os.environ["AMQP_URL"])
        self.user = parts.username if user is None else user
        self.password = parts.password if password is None else password
        self.vhost = unquote(parts.path[1:]) or "/" if vhost is None else vhost
        self.mechanism, self.response = mechanism, response
        self.capabilities = {} if capabilities is None else capabilities
        self.wished = (channel_max, frame_max, heartbeat)
        self.patience = patience
        self.buffer = bytearray()
        self.channels = {}
        self.last_heard = time.monotonic()
        self.heartbeats = 0
        self.socket = socket.create_connection((parts.hostname, parts.port), patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.control = Channel(self, 0)
        self.channels[0] = self.control
        if handshake:
            self.start()
            self.tune()
            self.open()

    # The three steps of the handshake, for tests that stop between them.

    def start(self):
        self.socket.sendall(PROTOCOL_HEADER)
        self.started = self.control.wait("connection.start")
        response = self.response
        if response is None:
            response = f"\0{self.user}\0{self.password}"
        self.control.send(
            "connection.start-ok",
            client_properties={"product": "wire", "capabilities": self.capabilities},
            mechanism=self.mechanism,
            response=response,
            locale="en_US",
        )
        self.tuned = self.control.wait("connection.tune")

    def tune(self):
        channel_max, frame_max, heartbeat = self.wished
        self.channel_max = self.tuned.channel_max if channel_max is None else channel_max
        self.frame_max = self.tuned.frame_max if frame_max is None else frame_max
        self.control.send(
            "connection.tune-ok",
            channel_max=self.channel_max,
            frame_max=self.frame_max,
            heartbeat=heartbeat,
        )

    def open(self):
        self.control.call("connection.open", virtual_host=self.vhost)

    def channel(self, number=None):
        if number is None:
            number = next(n for n in range(1, 65536) if n not in self.channels)
        channel = self.adopt(number)
        channel.call("channel.open")
        return channel

    def adopt(self, number):
        """A channel that is not opened on the broker's side."""
        self.channels[number] = Channel(self, number)
        return self.channels[number]

    def close(self):
        self.control.call("connection.close", reply_code=200, reply_text="bye")
        self.socket.close()

    def abort(self):
        """Drops the socket as a crash would."""
        self.socket.close()

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send_frame(self, kind, channel, payload, end=FRAME_END):
        self.socket.sendall(encode_frame(kind, channel, payload, end))

    def read_frame(self, patience=None):
        """The next frame as it is; `Gone` at the end of the stream, TimeoutError in silence."""
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        while True:
            if len(self.buffer) >= 7:
                kind, channel, size = struct.unpack_from(">BHI", self.buffer)
                if len(self.buffer) >= 8 + size:
                    payload, end = bytes(self.buffer[7 : 7 + size]), self.buffer[7 + size]
                    del self.buffer[: 8 + size]
                    assert end == FRAME_END, f"frame ends with {end:#x}"
                    return kind, channel, payload
            self._receive(deadline)

    def read_bytes(self, count, patience=None):
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        while len(self.buffer) < count:
            self._receive(deadline)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the broker is silent")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            raise TimeoutError("the broker is silent") from None
        except ConnectionError as error:
            raise Gone(str(error)) from None
        finally:
            if self.socket.fileno() >= 0:
                self.socket.settimeout(self.patience)
        if not data:
            raise Gone("end of stream")
        self.last_heard = time.monotonic()
        self.buffer += data

    def pump(self, patience=None):
        """Reads one frame and gives it to its channel."""
        kind, number, payload = self.read_frame(patience)
        if kind == HEARTBEAT:
            assert (number, payload) == (0, b""), (number, payload)
            self.heartbeats += 1
            return
        assert number in self.channels, f"a frame on channel {number}, which is not open"
        self.channels[number].take(kind, payload)

    def expect_gone(self, patience=None):
        """Reads to the end of the stream; nothing but heartbeats may come before it."""
        while True:
            try:
                kind, channel, payload = self.read_frame(patience)
            except Gone:
                return
            assert kind == HEARTBEAT, (kind, channel, payload)


class Channel:
    """One channel: what came in and was not asked for waits in `inbox`, in order."""

    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.inbox = collections.deque()
        self.partial = None

    def take(self, kind, payload):
        if kind == METHOD:
            assert self.partial is None, f"{self.partial} is cut by a method"
            method = decode_method(payload)
            if method.name in CARRIES_CONTENT:
                self.partial = method
            elif method.name in ("channel.close", "connection.close"):
                self.send(f"{method.name}-ok")
                self.inbox.append(method)
                if self.number:
                    del self.connection.channels[self.number]
            else:
                self.inbox.append(method)
        elif kind == HEADER:
            assert self.partial is not None and self.partial.size is None, "a header on its own"
            self.partial.size, self.partial.properties = decode_header(payload)
        else:
            assert kind == BODY and self.partial.size is not None, f"frame of type {kind}"
            assert len(payload) + 8 <= (self.connection.frame_max or 1 << 32), len(payload)
            self.partial.body += payload
        if self.partial is not None and self.partial.size is not None:
            assert len(self.partial.body) <= self.partial.size, self.partial
            if len(self.partial.body) == self.partial.size:
                self.inbox.append(self.partial)
                self.partial = None

    def send(self, name, **arguments):
        self.connection.send_frame(METHOD, self.number, encode_method(name, **arguments))

    def call(self, name, **arguments):
        """Sends a method and waits for its `-ok` (or get-empty)."""
        self.send(name, **arguments)
        names = (f"{name}-ok", "basic.get-empty") if name == "basic.get" else (f"{name}-ok",)
        return self.wait(*names)

    def wait(self, *names, patience=None):
        """The next of the named methods; what else comes stays in the inbox."""
        return self._next(lambda method: method.name in names, patience, " or ".join(names))

    def event(self, patience=None):
        """Whatever comes next."""
        return self._next(lambda _: True, patience, "an event")

    def delivery(self, patience=None):
        return self.wait("basic.deliver", patience=patience)

    def _next(self, wanted, patience, what):
        deadline = time.monotonic() + (self.connection.patience if patience is None else patience)
        control = self.connection.control
        while True:
            for index, method in enumerate(self.inbox):
                if method.name in ("channel.close", "connection.close"):
                    raise Closed(self.number, method)
                if wanted(method):
                    del self.inbox[index]
                    return method
            for method in control.inbox if self is not control else ():
                if method.name == "connection.close":
                    raise Closed(0, method)
            try:
                self.connection.pump(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise TimeoutError(f"no {what} on channel {self.number}: {list(self.inbox)}") from None

    def nothing(self):
        """No event is pending, and none is on its way: a round trip proves it."""
        self.sync()
        assert not self.inbox, list(self.inbox)

    def sync(self):
        """A round trip that changes nothing."""
        self.call("exchange.declare", exchange="amq.direct", type="direct", passive=True)

    def publish(self, exchange, routing_key, body=b"", properties=None, mandatory=False, immediate=False):
        self.connection.send_bytes(
            self.publish_bytes(exchange, routing_key, body, properties, mandatory, immediate)
        )

    def publish_bytes(
        self, exchange, routing_key, body=b"", properties=None, mandatory=False, immediate=False
    ):
        body = _bytes(body)
        method = encode_method(
            "basic.publish",
            exchange=exchange,
            routing_key=routing_key,
            mandatory=mandatory,
            immediate=immediate,
        )
        out = [
            encode_frame(METHOD, self.number, method),
            encode_frame(HEADER, self.number, encode_header(len(body), properties)),
        ]
        step = (self.connection.frame_max or 1 << 17) - 8
        for start in range(0, len(body), step):
            out.append(encode_frame(BODY, self.number, body[start : start + step]))
        return b"".join(out)

    def close(self):
        self.call("channel.close", reply_code=200, reply_text="bye")
        del self.connection.channels[self.number]
