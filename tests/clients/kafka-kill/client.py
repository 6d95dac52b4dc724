"""A ledger over many deaths of the broker: what was confirmed is there, once, where it was said to be.

Usage: KAFKA_BOOTSTRAP=127.0.0.1:9092 client.py ledger

Prints `KILL ME` when it wants the broker killed (SIGKILL) and started again. Meanwhile an idempotent
producer numbers records, and a transactional one writes each number to two topics, or to neither.
"""

import os
import sys
import threading
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092")
KILLS = 8
BETWEEN_SECONDS = 1.2
CLIENT = {"bootstrap.servers": BOOTSTRAP, "reconnect.backoff.max.ms": 200, "log_level": 2}


class Numbers(threading.Thread):
    """Sends numbers, as fast as they are confirmed."""

    def __init__(self, topic):
        super().__init__(daemon=True)
        self.topic, self.stopping = topic, False
        self.sent, self.confirmed, self.failed = 0, {}, []

    def run(self):
        producer = Producer({**CLIENT, "enable.idempotence": True, "linger.ms": 2})

        def report(error, message):
            if error is None:
                self.confirmed[int(message.value())] = (message.partition(), message.offset())
            else:
                self.failed.append((int(message.value()), error))

        while not self.stopping:
            try:
                producer.produce(self.topic, b"%d" % self.sent, b"%d" % (self.sent % 7), on_delivery=report)
                self.sent += 1
            except BufferError:
                producer.poll(0.1)
            producer.poll(0)
            if self.sent % 500 == 0:
                time.sleep(0.02)
        if producer.flush(60):
            self.failed.append(("not flushed", len(producer)))


class Pairs(threading.Thread):
    """Writes each number to two topics in one transaction; every fifth is taken back."""

    def __init__(self, topics):
        super().__init__(daemon=True)
        self.topics, self.stopping = topics, False
        self.committed, self.aborted, self.unknown, self.failed = set(), set(), set(), []

    def producer(self):
        producer = Producer({**CLIENT, "transactional.id": self.id, "transaction.timeout.ms": 20_000})
        producer.init_transactions(60)
        return producer

    def run(self):
        self.id = f"pairs-{uuid.uuid4().hex[:8]}"
        try:
            producer = self.producer()
            number = 0
            while not self.stopping:
                number += 1
                try:
                    producer.begin_transaction()
                    for topic in self.topics:
                        producer.produce(topic, b"%d" % number)
                    if number % 5 == 0:
                        producer.flush(30)
                        self.retried(lambda: producer.abort_transaction(30))
                        self.aborted.add(number)
                    else:
                        self.retried(lambda: producer.commit_transaction(30))
                        self.committed.add(number)
                except KafkaException as error:
                    cause = error.args[0]
                    self.unknown.add(number)
                    if cause.txn_requires_abort():
                        self.retried(lambda: producer.abort_transaction(30))
                        self.unknown.discard(number)
                        self.aborted.add(number)
                    else:
                        producer = self.producer()
        except Exception as error:  # Told at the end; a thread has nobody else to tell.
            self.failed.append(error)

    def retried(self, what):
        while True:
            try:
                return what()
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise


def read_all(topic, partitions, isolation):
    consumer = Consumer({**CLIENT, "group.id": uuid.uuid4().hex, "isolation.level": isolation,
                         "enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, at, 0) for at in range(partitions)])
    found, ended = [], set()
    deadline = time.monotonic() + 60
    while len(ended) < partitions:
        assert time.monotonic() < deadline, "the end was not reached"
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add(message.partition())
        else:
            found.append((int(message.value()), message.partition(), message.offset()))
    consumer.close()
    return found


def ledger():
    run = uuid.uuid4().hex[:8]
    numbers, left, right = f"numbers-{run}", f"left-{run}", f"right-{run}"
    admin = AdminClient(CLIENT)
    rows = [NewTopic(numbers, 3, 1), NewTopic(left, 1, 1), NewTopic(right, 1, 1)]
    for made in admin.create_topics(rows).values():
        made.result(20)
    one, two = Numbers(numbers), Pairs([left, right])
    one.start()
    two.start()
    for _ in range(KILLS):
        time.sleep(BETWEEN_SECONDS)
        print("KILL ME", flush=True)
    time.sleep(BETWEEN_SECONDS)
    one.stopping = two.stopping = True
    one.join(90)
    two.join(90)
    assert not one.is_alive() and not two.is_alive(), "a producer hangs"
    assert not one.failed and not two.failed, (one.failed[:5], two.failed)
    assert len(one.confirmed) == one.sent and one.sent > 1000, (len(one.confirmed), one.sent)

    found = read_all(numbers, 3, "read_uncommitted")
    counts = {}
    for number, partition, offset in found:
        counts[number] = counts.get(number, 0) + 1
        told = one.confirmed[number]
        assert told[1] in (-1, offset) and told[0] == partition, (number, told, partition, offset)
    lost = set(one.confirmed) - set(counts)
    twice = {number for number, count in counts.items() if count > 1}
    assert not lost and not twice, (sorted(lost)[:5], sorted(twice)[:5])
    for partition in range(3):
        order = [number for number, at, _ in found if at == partition]
        assert order == sorted(order), "out of order"
    print(f"ok {one.sent} numbers over {KILLS} kills: each once, in order, where it was said to be")

    on_left = {number for number, _, _ in read_all(left, 1, "read_committed")}
    on_right = {number for number, _, _ in read_all(right, 1, "read_committed")}
    assert on_left == on_right, sorted(on_left ^ on_right)[:5]
    assert two.committed <= on_left, sorted(two.committed - on_left)[:5]
    assert not two.aborted & on_left, sorted(two.aborted & on_left)[:5]
    assert on_left <= two.committed | two.unknown, "nobody wrote that"
    assert len(two.committed) > 20, len(two.committed)
    print(f"ok {len(two.committed)} transactions committed, {len(two.aborted)} aborted: whole or absent")


if __name__ == "__main__":
    assert sys.argv[1:] == ["ledger"]
    ledger()
