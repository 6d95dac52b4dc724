"""Kafka's messages at every version, from the definitions inside Apache Kafka's own jar.

A message is a dict with the names of the definition; what a request leaves out has its default.
What comes back is a `Struct`: the same, readable as attributes. A field that the version does
not carry is absent from a response.
"""

import glob
import json
import os
import re
import struct
import uuid
import zipfile

NUMBERS = {
    "bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "float64": "d",
}
LATEST = 0x7FFF


class Struct(dict):
    """A decoded struct."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{name} is not in {list(self)}") from None


class Api:
    """One request with its response."""

    def __init__(self, request, response):
        self.key = request["apiKey"]
        self.name = request["name"].removesuffix("Request")
        self.versions = versions(request["validVersions"])
        self._flexible = versions(request.get("flexibleVersions", "none"))
        self._request = Shape(request)
        self._response = Shape(response)

    def is_flexible(self, version):
        return version in self._flexible

    def encode_request(self, version, correlation, client_id, body):
        """Header and body, without the size in front."""
        into = bytearray(struct.pack(">hhi", self.key, version, correlation))
        write_text(into, client_id, False)
        if self.is_flexible(version):
            into.append(0)
        self._request.write(into, body, version, self.is_flexible(version))
        return bytes(into)

    def decode_response(self, version, data):
        """The correlation id and the body; all bytes must be used."""
        reader = Reader(data)
        correlation = reader.number("i")
        flexible = self.is_flexible(version)
        # ApiVersions is answered under the old header: a client may not know better yet.
        if flexible and self.key != 18:
            reader.skip_tags()
        body = self._response.read(reader, version, flexible)
        if reader.left():
            raise ValueError(f"{reader.left()} bytes after the end of {self.name} v{version}")
        return correlation, body


class Shape:
    """The fields of a struct."""

    def __init__(self, definition, common=None):
        common = dict(common or {})
        for row in definition.get("commonStructs", ()):
            common[row["name"]] = row["fields"]
        self.fields = [Field(row, common) for row in definition["fields"]]

    def write(self, into, body, version, flexible):
        known = {field.name for field in self.fields}
        if unknown := set(body) - known:
            raise ValueError(f"no such fields: {unknown}; there are {known}")
        tagged = []
        for field in self.fields:
            if version not in field.versions:
                continue
            value = body.get(field.name, field.default)
            if version in field.tagged:
                if field.name in body:
                    tagged.append((field.tag, field, value))
            else:
                field.write(into, value, version, flexible)
        if flexible:
            write_uvarint(into, len(tagged))
            for tag, field, value in sorted(tagged, key=lambda row: row[0]):
                data = bytearray()
                field.write(data, value, version, flexible)
                write_uvarint(into, tag)
                write_uvarint(into, len(data))
                into += data

    def read(self, reader, version, flexible):
        body = Struct()
        for field in self.fields:
            if version not in field.versions:
                continue
            if version in field.tagged:
                body[field.name] = field.default
            else:
                body[field.name] = field.read(reader, version, flexible)
        if flexible:
            by_tag = {field.tag: field for field in self.fields if version in field.tagged}
            for _ in range(reader.uvarint()):
                tag, size = reader.uvarint(), reader.uvarint()
                part = Reader(reader.take(size))
                body[by_tag[tag].name] = by_tag[tag].read(part, version, flexible)
                if part.left():
                    raise ValueError(f"tag {tag} is longer than its field")
        return body


class Field:
    """One field: where it is, what it is, and how it looks on the wire."""

    def __init__(self, row, common):
        # A few definitions start a name with a small letter.
        self.name = row["name"][0].upper() + row["name"][1:]
        self.versions = versions(row["versions"])
        self.nullable = versions(row.get("nullableVersions", "none"))
        self.tagged = versions(row.get("taggedVersions", "none"))
        self.tag = row.get("tag")
        self.array = row["type"].startswith("[]")
        self.type = row["type"].removeprefix("[]")
        self.shape = None
        if self.type not in NUMBERS and self.type not in ("string", "bytes", "records", "uuid"):
            self.shape = Shape({"fields": row.get("fields") or common[self.type]}, common)
        self.default = self._default(row.get("default"))

    def _default(self, text):
        if text == "null":
            return None
        if self.array:
            return []
        if self.type == "bool":
            return text in (True, "true")
        if self.type == "float64":
            return float(text or 0)
        if self.type in NUMBERS:
            return int(str(text), 0) if text not in (None, "") else 0
        if self.type == "uuid":
            return uuid.UUID(int=0)
        if self.type == "string":
            return text or ""
        return {} if self.shape else b""

    def write(self, into, value, version, flexible):
        if not self.array:
            self._write_one(into, value, version, flexible)
        elif value is None:
            write_length(into, None, flexible)
        else:
            write_length(into, len(value), flexible)
            for item in value:
                self._write_one(into, item, version, flexible)

    def _write_one(self, into, value, version, flexible):
        if self.shape:
            if version in self.nullable and not self.array:
                into += struct.pack("b", -1 if value is None else 1)
                if value is None:
                    return
            self.shape.write(into, value, version, flexible)
        elif self.type in NUMBERS:
            into += struct.pack(">" + NUMBERS[self.type], value)
        elif self.type == "uuid":
            into += value.bytes
        elif self.type == "string":
            write_text(into, value, flexible)
        else:
            write_length(into, None if value is None else len(value), flexible, wide=True)
            into += value or b""

    def read(self, reader, version, flexible):
        if not self.array:
            return self._read_one(reader, version, flexible)
        count = reader.length(flexible)
        if count is None:
            return None
        return [self._read_one(reader, version, flexible) for _ in range(count)]

    def _read_one(self, reader, version, flexible):
        if self.shape:
            if version in self.nullable and not self.array and reader.number("b") < 0:
                return None
            return self.shape.read(reader, version, flexible)
        if self.type in NUMBERS:
            return reader.number(NUMBERS[self.type])
        if self.type == "uuid":
            return uuid.UUID(bytes=reader.take(16))
        length = reader.length(flexible, wide=self.type != "string")
        if length is None:
            if version not in self.nullable:
                raise ValueError(f"{self.name} may not be null in version {version}")
            return None
        data = reader.take(length)
        return data.decode() if self.type == "string" else data


class Reader:
    """Bytes from the front; running out of them is an error."""

    def __init__(self, data):
        self._data = bytes(data)
        self._at = 0

    def left(self):
        return len(self._data) - self._at

    def take(self, count):
        if count > self.left():
            raise ValueError(f"{count} bytes wanted, {self.left()} left")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, code):
        return struct.unpack(">" + code, self.take(struct.calcsize(">" + code)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def varint(self):
        value = self.uvarint()
        return (value >> 1) ^ -(value & 1)

    def length(self, flexible, wide=True):
        length = self.uvarint() - 1 if flexible else self.number("i" if wide else "h")
        return None if length < 0 else length

    def skip_tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())


def write_uvarint(into, value):
    while value >= 0x80:
        into.append(value & 0x7F | 0x80)
        value >>= 7
    into.append(value)


def write_varint(into, value):
    write_uvarint(into, (value << 1) ^ (value >> 63) if value >= 0 else ((-value) << 1) - 1)


def write_length(into, length, flexible, wide=True):
    if flexible:
        write_uvarint(into, 0 if length is None else length + 1)
    else:
        into += struct.pack(">i" if wide else ">h", -1 if length is None else length)


def write_text(into, text, flexible):
    data = None if text is None else text.encode()
    write_length(into, None if data is None else len(data), flexible, wide=False)
    into += data or b""


def versions(text):
    """`3`, `1-4`, `2+` or `none` as a range."""
    if text == "none":
        return range(0)
    first, dash, last = text.partition("-")
    if text.endswith("+"):
        return range(int(text[:-1]), LATEST)
    return range(int(first), int(last if dash else first) + 1)


def load():
    """All requests by name, from the jar that `tests/clients/kafka-broker` installs."""
    here = os.path.dirname(os.path.abspath(__file__))
    pattern = os.path.join(here, "../../kafka-broker/target/dependency/kafka-clients-*.jar")
    definitions = {}
    with zipfile.ZipFile(glob.glob(pattern)[0]) as jar:
        for name in jar.namelist():
            if re.fullmatch(r"common/message/\w+(Request|Response)\.json", name):
                text = re.sub(r"(?m)(^|\s)//.*$", "", jar.read(name).decode())
                row = json.loads(text)
                definitions[row["name"]] = row
    return {
        name.removesuffix("Request"): Api(row, definitions[name.replace("Request", "Response")])
        for name, row in definitions.items()
        if name.endswith("Request") and row["validVersions"] != "none"
    }


APIS = load()
