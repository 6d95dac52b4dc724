"""kcat, Debian's: an old librdkafka, and what people use by hand."""

import json
import subprocess

import pytest


@pytest.fixture
def kcat(bootstrap):
    def kcat(*arguments, feed=None):
        done = subprocess.run(
            ["kcat", "-b", bootstrap, *arguments], input=feed, capture_output=True, timeout=30
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return kcat


def test_list(kcat, new_topic):
    topic = new_topic(partitions=3)
    found = json.loads(kcat("-L", "-J", "-t", topic))
    assert len(found["brokers"]) == 1
    (row,) = found["topics"]
    assert [part["partition"] for part in row["partitions"]] == [0, 1, 2]
    assert topic in kcat("-L")


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_produce_and_consume(kcat, topic, codec):
    lines = b"".join(b"k%d:value %d\n" % (at, at) for at in range(100))
    kcat("-P", "-t", topic, "-K:", "-z", codec, "-H", "h=1", feed=lines)
    got = kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%k:%s %o %h\n")
    assert got.splitlines() == [f"k{at}:value {at} {at} h=1" for at in range(100)]


def test_offsets(kcat, topic):
    kcat("-P", "-t", topic, feed=b"a\nb\nc\n")
    assert kcat("-C", "-t", topic, "-o", "-1", "-e", "-q") == "c\n"
    assert kcat("-C", "-t", topic, "-o", "1", "-c", "1", "-q") == "b\n"
    assert kcat("-Q", "-t", f"{topic}:0:-1").split() == [topic, "[0]", "offset", "3"]


def test_group(kcat, topic, unique):
    group = unique("g")
    kcat("-P", "-t", topic, feed=b"a\nb\n")
    options = ("-X", "auto.offset.reset=earliest", "-G", group, "-c", "2", "-q", topic)
    assert kcat(*options) == "a\nb\n"
    kcat("-P", "-t", topic, feed=b"c\nd\n")
    assert kcat(*options) == "c\nd\n"


def test_transaction(kcat, topic, unique):
    kcat("-P", "-t", topic, "-X", f"transactional.id={unique('t')}", feed=b"a\nb\n")
    got = kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X",
               "isolation.level=read_committed")
    assert got == "a\nb\n"
