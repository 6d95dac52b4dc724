"""A ledger of pika's publishers and consumers, over whatever happens to the broker.

Two publishers number their messages: one publishes to a queue, the other to a fanout that reaches
that queue and a second one. A consumer for each queue acks in batches and hands one in a hundred
back. Both go on as any program would: what breaks is opened again, what was not confirmed is not
sent again. Always,

- a message is delivered as it was sent, and was sent;
- the first deliveries of one publisher's messages from one queue are in the order of their sending;
- a delivery that is not the first says so;
- a message does not come back once its ack is durable: a consumer's connection publishes to a queue
  of its own after its acks, and the confirm of that waits for what came before it;

and in the end each confirmed message was delivered from each queue that it was routed to.

Usage: AMQP_URL=amqp://… [SOAK_RATE=400] amqp.py, as `told` says.
"""

import os
import random
import threading
import time
import uuid
import zlib

import pika
from pika.adapters.select_connection import SelectConnection
from told import Told

URL = os.environ["AMQP_URL"]
# Messages a second of each publisher.
RATE = int(os.environ.get("SOAK_RATE") or 400)
RUN = uuid.uuid4().hex[:8]
ONE, BOTH, EXCHANGE = f"one-{RUN}", f"both-{RUN}", f"fan-{RUN}"
HEARTBEAT_SECONDS = 10
IN_FLIGHT_MAX = 1000
# Whoever is not heard would have the publishers fill the disk.
BEHIND_MAX = 100_000
RECONNECT_PAUSE_SECONDS = 0.1
END_SECONDS_MAX = 90
SEEN, SETTLED = 1, 2
AMQP_ERRORS = (pika.exceptions.AMQPError, OSError, AssertionError, KeyError)

told = Told()


def parameters():
    one = pika.URLParameters(URL)
    one.heartbeat = HEARTBEAT_SECONDS
    one.blocked_connection_timeout = None
    one.socket_timeout = one.stack_timeout = 5
    return one


def connect():
    """A connection, sooner or later."""
    while True:
        try:
            return pika.BlockingConnection(parameters())
        except Exception:  # pika has a dozen for a broker that is not there, of no common kind.
            time.sleep(RECONNECT_PAUSE_SECONDS)


def body_of(publisher, number):
    """What a message says: who, which, and filling that follows from both. Some are large."""
    name = b"%s:%d:" % (publisher.encode(), number)
    seed = zlib.crc32(name)
    size = 60_000 if seed % 500 == 0 else seed % 1500
    return name + (seed.to_bytes(4, "big") * (size // 4 + 1))[:size]


class Flags:
    """A byte for each number, so that hours fit in memory."""

    def __init__(self):
        self.bytes = bytearray()

    def __getitem__(self, number):
        return self.bytes[number] if number < len(self.bytes) else 0

    def add(self, number, flag):
        if number >= len(self.bytes):
            self.bytes.extend(bytes(number + 1 - len(self.bytes)))
        self.bytes[number] |= flag


class Ledger:
    """What was sent, confirmed and delivered. All access is under one lock."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {"a": 0, "b": 0}
        self.confirmed = {"a": Flags(), "b": Flags()}
        self.seen = {(ONE, "a"): Flags(), (ONE, "b"): Flags(), (BOTH, "b"): Flags()}
        self.last_first = {}
        self.confirms = self.unknown = self.deliveries = self.again = self.behind = 0

    def send(self, publisher):
        with self.lock:
            self.sent[publisher] += 1
            return self.sent[publisher]

    def confirm(self, publisher, numbers):
        with self.lock:
            self.confirms += len(numbers)
            for number in numbers:
                self.confirmed[publisher].add(number, SEEN)
                for (_, of), seen in self.seen.items():
                    self.behind += of == publisher and not seen[number]

    def deliver(self, queue, body, redelivered):
        """Who published it, and its number."""
        publisher, number, _ = body.split(b":", 2)
        publisher, number = publisher.decode(), int(number)
        what = f"message {publisher}:{number} from {queue}"
        with self.lock:
            self.deliveries += 1
            seen = self.seen.get((queue, publisher))
            if seen is None or not 0 < number <= self.sent[publisher]:
                told.violation(f"{what} was never sent there")
                return publisher, number
            if body != body_of(publisher, number):
                told.violation(f"{what} is not as it was sent")
            if seen[number]:
                self.again += 1
                if seen[number] & SETTLED:
                    told.violation(f"{what} came back after its ack was durable")
                elif not redelivered:
                    told.violation(f"{what} came again without redelivered")
            else:
                if not redelivered:
                    last = self.last_first.get((queue, publisher), 0)
                    if number < last:
                        told.violation(f"{what} came first after {last}")
                    self.last_first[queue, publisher] = number
                seen.add(number, SEEN)
                self.behind -= bool(self.confirmed[publisher][number])
            return publisher, number

    def settled(self, queue, messages):
        with self.lock:
            for publisher, number in messages:
                self.seen[queue, publisher].add(number, SETTLED)

    def missing(self):
        """Confirmed messages that never came, the first of each queue and publisher."""
        found = []
        for (queue, publisher), seen in self.seen.items():
            confirmed = self.confirmed[publisher].bytes
            lost = [at for at, one in enumerate(confirmed) if one and not seen[at]]
            if lost:
                found.append(f"{len(lost)} of {publisher} from {queue}, {lost[0]} first, {lost[-1]} last")
        return found


class Publisher(threading.Thread):
    """pika's asynchronous connection, opened again whenever it is gone."""

    def __init__(self, ledger, name, exchange, key):
        super().__init__(daemon=True, name=f"publisher {name}")
        self.ledger, self.publisher, self.exchange, self.key = ledger, name, exchange, key
        self.pending, self.tag, self.blocked, self.finished = {}, 0, False, False
        self.start()

    def run(self):
        while not self.finished:
            try:
                self.connection = SelectConnection(
                    parameters(),
                    on_open_callback=self.opened,
                    on_open_error_callback=lambda connection, _: connection.ioloop.stop(),
                    on_close_callback=lambda connection, _: connection.ioloop.stop(),
                )
                self.connection.ioloop.start()
            except AMQP_ERRORS:
                pass
            self.blocked = False
            self.ledger.unknown += len(self.pending)
            self.pending = {}
            time.sleep(RECONNECT_PAUSE_SECONDS)

    def opened(self, connection):
        connection.add_on_connection_blocked_callback(lambda *_: setattr(self, "blocked", True))
        connection.add_on_connection_unblocked_callback(lambda *_: setattr(self, "blocked", False))
        connection.channel(on_open_callback=self.ready)

    def ready(self, channel):
        self.channel, self.tag, self.since, self.count = channel, 0, time.monotonic(), 0
        channel.confirm_delivery(self.confirmed)
        self.step()

    def confirmed(self, frame):
        method = frame.method
        if method.NAME != "Basic.Ack":
            told.violation(f"a publish of {self.publisher} was answered {method}")
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self.pending if tag <= method.delivery_tag]
        self.ledger.confirm(self.publisher, [self.pending.pop(tag) for tag in tags])

    def step(self):
        if not self.channel.is_open:
            return
        now = time.monotonic()
        due = int((now - self.since) * RATE)
        if told.stopping.is_set():
            if not self.pending:
                self.finished = True
                self.connection.close()
                return
        elif self.ledger.behind < BEHIND_MAX and not self.blocked:
            room = IN_FLIGHT_MAX - len(self.pending)
            for _ in range(min(due - self.count, room)):
                number = self.ledger.send(self.publisher)
                self.tag += 1
                self.pending[self.tag] = number
                body = body_of(self.publisher, number)
                self.channel.basic_publish(self.exchange, self.key, body, PERSISTENT)
        # What could not be sent in its time is not made up for.
        self.count = due
        self.connection.ioloop.call_later(0.02, self.step)


class Consumer(threading.Thread):
    """pika's blocking connection, opened again whenever it is gone."""

    def __init__(self, ledger, queue):
        super().__init__(daemon=True, name=f"consumer of {queue}")
        self.ledger, self.queue, self.random = ledger, queue, random.Random(queue)
        self.finished = False
        self.start()

    def run(self):
        while not self.finished:
            try:
                self.consume(connect())
            except AMQP_ERRORS:
                time.sleep(RECONNECT_PAUSE_SECONDS)

    def consume(self, connection):
        channel = connection.channel()
        channel.basic_qos(prefetch_count=300)
        witness = connection.channel()
        witness.confirm_delivery()
        own = witness.queue_declare("", exclusive=True, arguments={"x-max-length": 1}).method.queue
        batch, acked, last = [], [], time.monotonic()

        def settle():
            if batch:
                channel.basic_ack(batch[-1][0], multiple=True)
                acked.extend(message for _, message in batch)
                batch.clear()

        size = 1
        for method, _, body in channel.consume(self.queue, inactivity_timeout=0.2):
            if method is not None:
                message = self.ledger.deliver(self.queue, body, method.redelivered)
                if self.random.random() < 0.01:
                    channel.basic_nack(method.delivery_tag, requeue=True)
                else:
                    batch.append((method.delivery_tag, message))
            if method is None or len(batch) >= size:
                settle()
                size = self.random.randint(1, 100)
            if time.monotonic() - last > 0.5:
                # On one connection, what was said first is done first.
                settled, acked[:] = acked[:], []
                witness.basic_publish("", own, b"", PERSISTENT)
                self.ledger.settled(self.queue, settled)
                last = time.monotonic()
            if self.finished:
                settle()
                break
        channel.cancel()
        connection.close()


def topology():
    """As often as it takes."""
    while True:
        try:
            connection = connect()
            channel = connection.channel()
            channel.exchange_declare(EXCHANGE, "fanout", durable=True)
            for queue in (ONE, BOTH):
                channel.queue_declare(queue, durable=True)
                channel.queue_bind(queue, EXCHANGE)
            connection.close()
            return
        except AMQP_ERRORS:
            time.sleep(RECONNECT_PAUSE_SECONDS)


def main():
    topology()
    # Others may want to be in the way.
    told.say(f"queue {ONE}")
    ledger = Ledger()
    publishers = [Publisher(ledger, "a", "", ONE), Publisher(ledger, "b", EXCHANGE, "")]
    consumers = [Consumer(ledger, queue) for queue in (ONE, BOTH)]

    def tick():
        told.tick(
            confirmed=ledger.confirms, delivered=ledger.deliveries, again=ledger.again, behind=ledger.behind,
            unknown=ledger.unknown, blocked=sum(one.blocked for one in publishers),
        )

    while not told.stopping.is_set():
        tick()
        time.sleep(0.1)
    told.until(lambda: all(one.finished for one in publishers), "confirms", END_SECONDS_MAX, tick)
    if not told.until(lambda: ledger.behind == 0, "confirmed messages", END_SECONDS_MAX, tick):
        for lost in ledger.missing():
            told.violation(f"confirmed and not delivered: {lost}")
    # What came back to a queue late is still on its way through.
    connection = connect()
    channel = connection.channel()

    def empty():
        counts = [channel.queue_declare(queue, passive=True).method.message_count for queue in (ONE, BOTH)]
        return not any(counts)

    told.until(empty, "empty queues", END_SECONDS_MAX, tick)
    for consumer in consumers:
        consumer.finished = True
    for consumer in consumers:
        consumer.join(10)
    for queue in (ONE, BOTH):
        left = channel.queue_delete(queue).method.message_count
        if left:
            told.violation(f"{left} messages came back to {queue} though all were acked")
    channel.exchange_delete(EXCHANGE)
    connection.close()
    sent = sum(ledger.sent.values())
    told.say(
        f"done {sent:,} messages sent, {ledger.confirms:,} confirmed, {ledger.deliveries:,} delivered, "
        f"{ledger.again:,} of them again; {ledger.unknown:,} were not answered before their connection broke"
    )
    raise SystemExit(1 if told.violations else 0)


PERSISTENT = pika.BasicProperties(delivery_mode=2)

if __name__ == "__main__":
    main()
