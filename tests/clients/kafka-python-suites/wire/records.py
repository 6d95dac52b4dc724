"""Record batches by hand: as they should be, or with any field lying."""

import gzip
import struct
import time
import zlib

import cramjam
import crc32c
import lz4.frame
from schema import Reader, Struct, write_varint

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
XERIAL = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1)
HEADER_BYTES = 61


def record(value=b"v", key=None, headers=(), offset_delta=0, timestamp_delta=0, attributes=0):
    """One record with its length in front."""
    body = bytearray([attributes])
    write_varint(body, timestamp_delta)
    write_varint(body, offset_delta)
    write_bytes(body, key)
    write_bytes(body, value)
    write_varint(body, len(headers))
    for name, content in headers:
        write_bytes(body, name.encode())
        write_bytes(body, content)
    out = bytearray()
    write_varint(out, len(body))
    return bytes(out + body)


def batch(
    *values,
    payload=None,
    codec=NONE,
    attributes=0,
    magic=2,
    count=None,
    last_offset_delta=None,
    producer_id=-1,
    producer_epoch=-1,
    sequence=-1,
    base_offset=0,
    leader_epoch=-1,
    timestamp=None,
    max_timestamp=None,
    length=None,
    crc=None,
):
    """A batch of records with these values; every field may be set to something else."""
    values = values or (b"v",)
    if payload is None:
        payload = b"".join(record(value, offset_delta=at) for at, value in enumerate(values))
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    body = struct.pack(
        ">hiqqqhii",
        attributes | codec,
        len(values) - 1 if last_offset_delta is None else last_offset_delta,
        timestamp,
        timestamp if max_timestamp is None else max_timestamp,
        producer_id,
        producer_epoch,
        sequence,
        len(values) if count is None else count,
    ) + compress(codec, payload)
    crc = crc32c.crc32c(body) if crc is None else crc
    length = len(body) + 9 if length is None else length
    return struct.pack(">qiibI", base_offset, length, leader_epoch, magic, crc) + body


def old_message(value, magic, key=None):
    """A message of the formats before batches, magic 0 or 1."""
    body = struct.pack(">bb", magic, 0)
    if magic == 1:
        body += struct.pack(">q", int(time.time() * 1000))
    for part in (key, value):
        body += struct.pack(">i", -1 if part is None else len(part)) + (part or b"")
    body = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(body)) + body


def batches_of(data):
    """The headers of whole batches; what is cut off at the end is left out."""
    found = []
    while len(data) >= HEADER_BYTES:
        base, length, epoch, magic, crc = struct.unpack(">qiibI", data[:21])
        if len(data) < length + 12:
            break
        row = struct.unpack(">hiqqqhii", data[21:HEADER_BYTES])
        found.append(
            Struct(
                base_offset=base, length=length, leader_epoch=epoch, magic=magic,
                crc_holds=crc == crc32c.crc32c(data[21 : length + 12]),
                attributes=row[0], last_offset_delta=row[1], first_timestamp=row[2],
                max_timestamp=row[3], producer_id=row[4], producer_epoch=row[5],
                sequence=row[6], count=row[7], codec=row[0] & 7,
                is_control=bool(row[0] & 32), is_transactional=bool(row[0] & 16),
                is_log_append_time=bool(row[0] & 8),
                payload=data[HEADER_BYTES : length + 12],
            )
        )
        data = data[length + 12 :]
    return found


def records_of(data):
    """All records of whole batches, with offset, timestamp, key, value and headers."""
    found = []
    for row in batches_of(data or b""):
        reader = Reader(decompress(row.codec, row.payload))
        for _ in range(row.count):
            part = Reader(reader.take(reader.varint()))
            part.take(1)
            timestamp = row.first_timestamp + part.varint()
            offset = row.base_offset + part.varint()
            key, value = read_bytes(part), read_bytes(part)
            headers = [(read_bytes(part).decode(), read_bytes(part)) for _ in range(part.varint())]
            found.append(
                Struct(offset=offset, timestamp=timestamp, key=key, value=value, headers=headers)
            )
    return found


def compress(codec, payload):
    if codec == GZIP:
        return gzip.compress(payload, 1)
    if codec == SNAPPY:
        block = bytes(cramjam.snappy.compress_raw(payload))
        return XERIAL + struct.pack(">i", len(block)) + block
    if codec == LZ4:
        # Kafka's own decoder takes independent blocks only.
        return lz4.frame.compress(payload, block_linked=False)
    if codec == ZSTD:
        return bytes(cramjam.zstd.compress(payload))
    return payload


def decompress(codec, payload):
    if codec == GZIP:
        return gzip.decompress(payload)
    if codec == SNAPPY:
        if not payload.startswith(XERIAL[:8]):
            return bytes(cramjam.snappy.decompress_raw(payload))
        out, rest = b"", payload[16:]
        while rest:
            (size,) = struct.unpack(">i", rest[:4])
            out += bytes(cramjam.snappy.decompress_raw(rest[4 : 4 + size]))
            rest = rest[4 + size :]
        return out
    if codec == LZ4:
        return lz4.frame.decompress(payload)
    if codec == ZSTD:
        return bytes(cramjam.zstd.decompress(payload))
    return payload


def write_bytes(into, data):
    write_varint(into, -1 if data is None else len(data))
    into += data or b""


def read_bytes(reader):
    length = reader.varint()
    return None if length < 0 else reader.take(length)
