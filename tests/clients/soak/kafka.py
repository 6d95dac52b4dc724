"""A ledger of librdkafka's producer and consumer, over whatever happens to the broker.

An idempotent producer numbers its records, over three partitions; a member of a group reads them and
commits what it has read. Always,

- an offset holds the same record whenever it is read, and the one whose producer was told it;
- offsets are dense, and a partition's records are in the order of their sending, each once;
- a group comes back where it has committed, or at an earlier record that it had not;

and in the end each record was confirmed and read, and all of the topic is read once more from its start.

Usage: KAFKA_BOOTSTRAP=127.0.0.1:9092 [SOAK_RATE=400] kafka.py, as `told` says.
"""

import os
import threading
import time
import uuid
import zlib
from array import array

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from told import Told

RATE = int(os.environ.get("SOAK_RATE") or 400)
TOPIC = f"soak-{uuid.uuid4().hex[:8]}"
PARTITIONS = 3
CLIENT = {
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"],
    "reconnect.backoff.max.ms": 200,
    "socket.connection.setup.timeout.ms": 5000,
    "log_level": 0,
}
CONFIG = {
    # A topic of hours must not be the disk.
    "retention.bytes": str(256 << 20),
    # The broker's clock is what jumps. By the producer's, records an hour ahead of it are refused, as Kafka does.
    "message.timestamp.type": "LogAppendTime",
}
BEHIND_MAX = 100_000
COMMIT_SECONDS = 0.5
END_SECONDS_MAX = 90

told = Told()


def value_of(number):
    seed = zlib.crc32(b"%d" % number)
    return b"%d:" % number + seed.to_bytes(4, "big") * (seed % 250)


class Ledger:
    """What each offset holds, by its number: 0 where nobody has said or read it yet."""

    def __init__(self):
        self.lock = threading.Lock()
        self.told = [array("L") for _ in range(PARTITIONS)]
        self.read = [array("L") for _ in range(PARTITIONS)]
        self.committed = [0] * PARTITIONS
        self.sent = self.confirms = self.deliveries = self.again = 0

    @property
    def behind(self):
        return self.confirms - (self.deliveries - self.again)

    def confirm(self, partition, offset, number):
        with self.lock:
            self.confirms += 1
            if offset < 0:
                return  # It was stored before, and where is not said again.
            self.hold(self.told[partition], "was told", partition, offset, number)
            read = self.read[partition]
            if offset < len(read) and read[offset] not in (0, number):
                told.violation(f"offset {offset} of partition {partition} holds {read[offset]}, its producer was told {number}")

    def hold(self, numbers, how, partition, offset, number):
        if offset >= len(numbers):
            numbers.extend([0] * (offset + 1 - len(numbers)))
        if numbers[offset] not in (0, number):
            told.violation(f"offset {offset} of partition {partition} {how} {numbers[offset]} before, and {number} now")
        numbers[offset] = number

    def deliver(self, partition, offset, value):
        number = int(value.split(b":", 1)[0])
        what = f"offset {offset} of partition {partition} with record {number}"
        with self.lock:
            self.deliveries += 1
            read = self.read[partition]
            if value != value_of(number):
                told.violation(f"{what} is not as it was sent")
            if offset < len(read):
                self.again += 1
            elif offset > len(read):
                told.violation(f"{what} comes after offset {len(read) - 1}")
            elif read and number <= read[-1]:
                told.violation(f"{what} comes after record {read[-1]}")
            self.hold(read, "held", partition, offset, number)
            sent = self.told[partition]
            if offset < len(sent) and sent[offset] not in (0, number):
                told.violation(f"{what} is where its producer was told {sent[offset]} is")

    def commit(self, partition, offset):
        with self.lock:
            self.committed[partition] = max(self.committed[partition], offset)


class Sender(threading.Thread):
    def __init__(self, ledger):
        super().__init__(daemon=True)
        self.ledger, self.finished = ledger, False
        self.start()

    def run(self):
        # No record is given up: what a broker that comes back says is what counts.
        producer = Producer({**CLIENT, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 0,
                             "error_cb": self.failed, "partitioner": "murmur2"})

        def report(error, message):
            if error is not None:
                told.violation(f"a record was not taken: {error}")
                return
            number = int(message.value().split(b":", 1)[0])
            self.ledger.confirm(message.partition(), message.offset(), number)

        since, count = time.monotonic(), 0
        while not told.stopping.is_set():
            due = int((time.monotonic() - since) * RATE)
            if self.ledger.behind < BEHIND_MAX and len(producer) < 10_000:
                for _ in range(due - count):
                    self.ledger.sent += 1
                    number = self.ledger.sent
                    producer.produce(TOPIC, value_of(number), b"%d" % (number % 17), on_delivery=report)
            count = due
            producer.poll(0.02)
        if left := producer.flush(END_SECONDS_MAX):
            told.violation(f"{left} records were not confirmed {END_SECONDS_MAX} s after the last")
        self.finished = True

    def failed(self, error):
        if error.fatal():
            told.violation(f"the producer cannot go on: {error}")


class Reader(threading.Thread):
    def __init__(self, ledger):
        super().__init__(daemon=True)
        self.ledger, self.finished, self.stopped = ledger, False, False
        self.start()

    def run(self):
        consumer = Consumer({**CLIENT, "group.id": TOPIC, "auto.offset.reset": "earliest",
                             "enable.auto.commit": False, "session.timeout.ms": 10_000})
        consumer.subscribe([TOPIC], on_assign=self.assigned)
        last, first = time.monotonic(), set()
        self.first = first
        while not self.finished:
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                at, offset = message.partition(), message.offset()
                if at in first:
                    first.discard(at)
                    if offset < self.ledger.committed[at]:
                        told.violation(f"the group comes back to partition {at} at {offset}, and had committed {self.ledger.committed[at]}")
                self.ledger.deliver(at, offset, message.value())
            if time.monotonic() - last > COMMIT_SECONDS:
                last = time.monotonic()
                try:
                    for one in consumer.commit(asynchronous=False) or []:
                        if not one.error and one.offset >= 0:
                            self.ledger.commit(one.partition, one.offset)
                except KafkaException:
                    pass  # Nothing to commit, or nobody there: what is read again is counted.
        consumer.close()
        self.stopped = True

    def assigned(self, _, partitions):
        self.first.update(one.partition for one in partitions)


def read_again(ledger):
    """All that is kept, from its start; what was trimmed is passed over once, at the front."""
    consumer = Consumer({**CLIENT, "group.id": f"{TOPIC}-again", "enable.partition.eof": True,
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(TOPIC, at, OFFSET_BEGINNING) for at in range(PARTITIONS)])
    expected, ended, count = {}, set(), 0
    deadline = time.monotonic() + END_SECONDS_MAX
    while len(ended) < PARTITIONS and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        at, offset = message.partition(), message.offset()
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(at)
                if expected.get(at, offset) != len(ledger.read[at]):
                    told.violation(f"partition {at} ends at {expected.get(at)} and was read up to {len(ledger.read[at])}")
            continue
        if expected.setdefault(at, offset) != offset:
            told.violation(f"offset {offset} of partition {at} comes after {expected[at] - 1}")
        number = int(message.value().split(b":", 1)[0])
        if offset >= len(ledger.read[at]) or ledger.read[at][offset] != number:
            told.violation(f"offset {offset} of partition {at} holds {number} when it is read again")
        expected[at], count = offset + 1, count + 1
    if len(ended) < PARTITIONS:
        told.violation("the topic could not be read again to its end")
    consumer.close()
    return count


def topic():
    admin = AdminClient(CLIENT)
    made = admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1, config=CONFIG)])
    made[TOPIC].result(30)
    return admin


def main():
    admin = topic()
    told.say(f"topic {TOPIC}")
    ledger = Ledger()
    sender, reader = Sender(ledger), Reader(ledger)

    def tick():
        told.tick(confirmed=ledger.confirms, delivered=ledger.deliveries, again=ledger.again, behind=ledger.behind)

    while not told.stopping.is_set():
        tick()
        time.sleep(0.1)
    told.until(lambda: sender.finished, "confirms", END_SECONDS_MAX + 5, tick)
    if ledger.confirms != ledger.sent:
        told.violation(f"{ledger.sent - ledger.confirms} records were neither confirmed nor refused")
    if not told.until(lambda: ledger.behind <= 0, "confirmed records", END_SECONDS_MAX, tick):
        told.violation(f"{ledger.behind} records were confirmed and not read")
    reader.finished = True
    told.until(lambda: reader.stopped, "the group's leave", 30, tick)
    once = sum(len(read) for read in ledger.read)
    if once != ledger.sent:
        told.violation(f"{ledger.sent} records were sent and there are {once} offsets")
    kept = read_again(ledger)
    for deleted in admin.delete_topics([TOPIC]).values():
        deleted.result(30)
    told.say(
        f"done {ledger.sent:,} records sent, {ledger.confirms:,} confirmed, {ledger.deliveries:,} read, "
        f"{ledger.again:,} of them again; {kept:,} read once more from the start"
    )
    raise SystemExit(1 if told.violations else 0)


if __name__ == "__main__":
    main()
