"""Kills the broker again and again under load, and holds it to what it confirmed.

Two publishers write down each message before they send it and again when it is confirmed. One
publishes to a queue, the other to a fanout that reaches that queue and a second one. A consumer for
each queue writes down what it gets, acks most of it in batches and requeues some. The broker dies by
SIGKILL at moments drawn from a seed: this program prints `KILL ME`, and whoever runs it kills and
restarts. In the end the queues are drained, and

- each confirmed message was delivered from every queue it was routed to, as it was sent;
- no message was delivered that was not sent;
- the first deliveries of one publisher's messages from one queue are in the order of their sending;
- a delivery that is not the first says so. It may be of a message that was acked: an ack is not
  confirmed, and the broker may die before it is on disk.

The fanout also reaches a stream (ours: RabbitMQ 3.10 has no tracking). A tracked reader goes through it,
from where it was at each death, and

- an offset holds the same message whenever it is read, before a death and after it;
- the reader passes over nothing: it comes back at or before what it has acknowledged;
- in the end each confirmed message is in the stream once, in the order of their sending.

BONGSU_SEED repeats a run as far as the machine does; BONGSU_KILLS is how many.
"""

import os
import random
import select
import sys
import threading
import time
import uuid
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from wire import Closed, Connection, Gone  # noqa: E402

JUDGE = os.environ.get("BONGSU_JUDGE", "bongsu")
SEED = int(os.environ.get("BONGSU_SEED") or time.time_ns() % 1_000_000)
# RabbitMQ takes seconds to start.
KILLS = int(os.environ.get("BONGSU_KILLS") or (30 if JUDGE == "bongsu" else 5))
RUN = uuid.uuid4().hex[:8]
ONE, BOTH, EXCHANGE = f"one-{RUN}", f"both-{RUN}", f"fan-{RUN}"
STREAM = f"stream-{RUN}" if JUDGE == "bongsu" else None
IN_FLIGHT_MAX = 500
AHEAD_MAX = 5_000
RECONNECT_SECONDS_MAX = 60
STUCK_SECONDS_MAX = 30
LOST = (Gone, OSError, Closed)


def body_of(publisher, number):
    """What a message says: who, which, and filling that follows from both. Some are large."""
    name = f"{publisher}:{number}:"
    seed = zlib.crc32(name.encode())
    size = 200_000 if seed % 500 == 0 else seed % 1500
    return name.encode() + (seed.to_bytes(4, "big") * (size // 4 + 1))[:size]


class Ledger:
    """What was sent, confirmed and delivered. All access is under one lock."""

    def __init__(self):
        self.lock = threading.Condition()
        self.sent = {"a": 0, "b": 0}
        self.confirmed = {"a": set(), "b": set()}
        self.seen = {ONE: {"a": set(), "b": set()}, BOTH: {"b": set()}}
        self.last_first = {}
        self.deliveries = self.again = 0
        # What the stream has at each offset: the number of b's message.
        self.stream, self.in_stream = {}, set()
        self.failures = []

    def fail(self, text):
        with self.lock:
            self.failures.append(text)
            self.lock.notify_all()

    def send(self, publisher):
        with self.lock:
            self.sent[publisher] += 1
            return self.sent[publisher]

    def confirm(self, publisher, numbers):
        with self.lock:
            self.confirmed[publisher].update(numbers)

    def deliver(self, queue, message):
        publisher, number, _ = message.body.split(b":", 2)
        publisher, number = publisher.decode(), int(number)
        what = f"message {publisher}:{number} from {queue}"
        with self.lock:
            self.deliveries += 1
            seen = self.seen[queue].get(publisher)
            if seen is None or not 0 < number <= self.sent[publisher]:
                self.failures.append(f"{what} was never sent there")
            elif message.body != body_of(publisher, number):
                self.failures.append(f"{what} is not as it was sent")
            elif number in seen:
                self.again += 1
                if not message.redelivered:
                    self.failures.append(f"{what} came again without redelivered")
            else:
                last = self.last_first.get((queue, publisher), 0)
                if number < last:
                    self.failures.append(f"{what} came first after {last}")
                self.last_first[queue, publisher] = number
                seen.add(number)

    def read(self, offset, message):
        """A message of the stream: always the same one at its offset."""
        number = int(message.body.split(b":", 2)[1])
        what = f"message b:{number} at offset {offset} of the stream"
        with self.lock:
            if message.body != body_of("b", number):
                self.failures.append(f"{what} is not as it was sent")
            elif self.stream.setdefault(offset, number) != number:
                self.failures.append(f"{what} was b:{self.stream[offset]} before")
            self.in_stream.add(number)

    def stream_behind(self):
        """Messages confirmed and not yet read from the stream."""
        with self.lock:
            return len(self.confirmed["b"] - self.in_stream) if STREAM else 0

    def behind(self):
        """Messages confirmed and not yet delivered."""
        with self.lock:
            return sum(
                len(self.confirmed[publisher] - seen)
                for queue in self.seen.values()
                for publisher, seen in queue.items()
            )

    def progress(self):
        with self.lock:
            return {publisher: len(numbers) for publisher, numbers in self.confirmed.items()}


class Worker(threading.Thread):
    """A connection that is made again whenever it breaks, until `stop`."""

    def __init__(self, ledger):
        super().__init__(daemon=True)
        self.ledger, self.stopping = ledger, False
        self.reconnects = 0

    def run(self):
        try:
            while not self.stopping:
                connection = self.connect()
                try:
                    self.work(connection)
                    if self.stopping:
                        connection.close()
                except Closed as closed:
                    if closed.channel != 0:
                        raise
                except LOST:
                    pass
                finally:
                    connection.abort()
        except BaseException as error:
            self.ledger.fail(f"{self.name}: {error!r}")
            raise

    def connect(self):
        self.reconnects += 1
        deadline = time.monotonic() + RECONNECT_SECONDS_MAX
        while True:
            try:
                return Connection(capabilities={"consumer_cancel_notify": True})
            except (Gone, OSError) as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"the broker did not come back: {error}") from None
                time.sleep(0.01)


def readable(connection, seconds):
    return bool(connection.buffer) or bool(select.select([connection.socket], [], [], seconds)[0])


class Publisher(Worker):
    """Publishes with confirms; what is in flight when the broker dies is not sent again."""

    def __init__(self, ledger, name, exchange, key):
        super().__init__(ledger)
        self.name, self.exchange, self.key = name, exchange, key
        self.pending = {}
        self.paused = False

    def work(self, connection):
        channel = connection.channel()
        channel.call("confirm.select")
        self.pending, tag = {}, 0
        while not (self.stopping and not self.pending):
            room = IN_FLIGHT_MAX - len(self.pending)
            if room and not self.stopping and not self.paused:
                out = []
                for _ in range(min(room, 50)):
                    number, tag = self.ledger.send(self.name), tag + 1
                    self.pending[tag] = number
                    body = body_of(self.name, number)
                    out.append(channel.publish_bytes(self.exchange, self.key, body, {"delivery_mode": 2}))
                connection.send_bytes(b"".join(out))
            idle = not room or self.stopping or self.paused
            if readable(connection, 0.05 if idle else 0):
                connection.pump()
                self.take(channel)

    def take(self, channel):
        confirmed = []
        while channel.inbox:
            ack = channel.event()
            assert ack.name == "basic.ack", ack
            if ack.multiple:
                tags = [tag for tag in self.pending if tag <= ack.delivery_tag]
            else:
                tags = [ack.delivery_tag]
            confirmed += [self.pending.pop(tag) for tag in tags]
        self.ledger.confirm(self.name, confirmed)


class Consumer(Worker):
    def __init__(self, ledger, queue, seed):
        super().__init__(ledger)
        self.name, self.queue, self.random = f"consumer of {queue}", queue, random.Random(seed)

    def work(self, connection):
        channel = connection.channel()
        channel.call("basic.qos", prefetch_count=300)
        channel.call("basic.consume", queue=self.queue)
        unsettled, batch, last = 0, self.random.randint(1, 100), 0

        def settle():
            # By tag, not 0: that would also settle what is on its way here.
            if unsettled:
                channel.send("basic.ack", delivery_tag=last, multiple=True)

        while not self.stopping:
            if not readable(connection, 0.1):
                settle()
                unsettled = 0
                continue
            connection.pump()
            while channel.inbox:
                message = channel.event()
                assert message.name == "basic.deliver", message
                self.ledger.deliver(self.queue, message)
                if self.random.random() < 0.01:
                    channel.send("basic.nack", delivery_tag=message.delivery_tag, requeue=True)
                    continue
                unsettled, last = unsettled + 1, message.delivery_tag
                if unsettled >= batch:
                    settle()
                    unsettled, batch = 0, self.random.randint(1, 100)
        settle()


class Reader(Worker):
    """Reads the stream, tracked by the broker."""

    def __init__(self, ledger):
        super().__init__(ledger)
        self.name, self.acked = "reader of the stream", 0

    def work(self, connection):
        channel = connection.channel()
        channel.call("basic.qos", prefetch_count=200)
        arguments = {"x-stream-offset": "first", "x-stream-automatic-offset-tracking": True}
        channel.call("basic.consume", queue=STREAM, consumer_tag="tracked", arguments=arguments)
        expected = None
        while not self.stopping:
            if not readable(connection, 0.1):
                continue
            connection.pump()
            last = None
            while channel.inbox:
                message = channel.event()
                assert message.name == "basic.deliver", message
                offset = message.properties["headers"]["x-stream-offset"].value
                if expected is None and offset > self.acked:
                    self.ledger.fail(f"the reader comes back at {offset}, and had come to {self.acked}")
                elif expected is not None and offset != expected:
                    self.ledger.fail(f"offset {offset} of the stream comes after {expected - 1}")
                expected, last = offset + 1, message.delivery_tag
                self.ledger.read(offset, message)
            if last is not None:
                channel.send("basic.ack", delivery_tag=last, multiple=True)
                self.acked = max(self.acked, expected)


def check_stream(ledger):
    """The whole stream, read once more."""
    connection = Connection(capabilities={"consumer_cancel_notify": True})
    channel = connection.channel()
    channel.call("basic.qos", prefetch_count=500)
    arguments = {"x-stream-offset": "first", "x-stream-until": "next"}
    channel.call("basic.consume", queue=STREAM, arguments=arguments)
    numbers = []
    while (event := channel.wait("basic.deliver", "basic.cancel")).name == "basic.deliver":
        offset = event.properties["headers"]["x-stream-offset"].value
        assert offset == len(numbers), f"offset {offset} of the stream comes after {len(numbers) - 1}"
        ledger.read(offset, event)
        numbers.append(int(event.body.split(b":", 2)[1]))
        channel.send("basic.ack", delivery_tag=event.delivery_tag)
    assert numbers == sorted(set(numbers)), "the stream has messages twice, or out of order"
    lost = ledger.confirmed["b"] - set(numbers)
    assert not lost, f"{len(lost)} confirmed messages are not in the stream, {min(lost)} first"
    channel.call("queue.delete", queue=STREAM)
    connection.close()
    return len(numbers)


def wait(ledger, holds, what, on_tick=lambda: None):
    """Waits while messages move; fails when all stand still for too long."""
    last, since = None, time.monotonic()
    while not holds():
        if ledger.failures:
            raise AssertionError(ledger.failures[0])
        on_tick()
        now = (ledger.progress(), ledger.deliveries)
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > STUCK_SECONDS_MAX:
            raise AssertionError(f"nothing moves: waiting for {what}, {ledger.behind()} behind")
        time.sleep(0.01)


def main():
    print(f"seed {SEED}, {KILLS} kills", flush=True)
    chance = random.Random(SEED)
    setup = Connection()
    channel = setup.channel()
    channel.call("exchange.declare", exchange=EXCHANGE, type="fanout", durable=True)
    for queue in (ONE, BOTH):
        channel.call("queue.declare", queue=queue, durable=True)
        channel.call("queue.bind", queue=queue, exchange=EXCHANGE)
    if STREAM:
        channel.call("queue.declare", queue=STREAM, durable=True, arguments={"x-queue-type": "stream"})
        channel.call("queue.bind", queue=STREAM, exchange=EXCHANGE)
    setup.close()

    ledger = Ledger()
    publishers = [Publisher(ledger, "a", "", ONE), Publisher(ledger, "b", EXCHANGE, "")]
    consumers = [Consumer(ledger, queue, chance.random()) for queue in (ONE, BOTH)]
    readers = [Reader(ledger)] if STREAM else []
    workers = publishers + consumers + readers
    for worker in workers:
        worker.start()

    def throttle():
        # The broker is tried by dying, not by a backlog: that is another test's.
        paused = ledger.behind() + ledger.stream_behind() > AHEAD_MAX
        for publisher in publishers:
            publisher.paused = paused

    kills = 0
    start = time.monotonic()
    while kills < KILLS:
        before, deliveries = ledger.progress(), ledger.deliveries

        def moves():
            now = ledger.progress()
            return ledger.deliveries > deliveries and all(now[name] > before[name] for name in now)

        wait(ledger, moves, "confirms and deliveries after a start", throttle)
        until = time.monotonic() + chance.uniform(0, 0.8)
        wait(ledger, lambda: time.monotonic() >= until, "the moment", throttle)
        reconnects = [worker.reconnects for worker in workers]
        # Sometimes it dies again as soon as it listens.
        for _ in range(min(KILLS - kills, 2 if chance.random() < 0.2 else 1)):
            print("KILL ME", flush=True)
            kills += 1
        wait(
            ledger,
            lambda: all(worker.reconnects > was for worker, was in zip(workers, reconnects)),
            "everyone to notice the kill",
        )

    for publisher in publishers:
        publisher.stopping = True
    for publisher in publishers:
        publisher.join(RECONNECT_SECONDS_MAX)
        assert not publisher.is_alive(), f"publisher {publisher.name} waits for {len(publisher.pending)} confirms"
    wait(ledger, lambda: ledger.behind() == 0, "the drain")
    wait(ledger, lambda: ledger.stream_behind() == 0, "the stream to be read")
    channel = Connection().channel()

    def empty():
        found = [channel.call("queue.declare", queue=queue, passive=True) for queue in (ONE, BOTH)]
        return not any(one.message_count for one in found)

    wait(ledger, empty, "empty queues")
    for consumer in consumers + readers:
        consumer.stopping = True
    for consumer in consumers + readers:
        consumer.join(RECONNECT_SECONDS_MAX)
    if ledger.failures:
        raise AssertionError(ledger.failures[0])
    for queue in (ONE, BOTH):
        # Whatever was still out when its consumer left comes back flagged, or not at all.
        left = channel.call("queue.delete", queue=queue).message_count
        assert left == 0, f"{left} messages came back to {queue} though all were acked"
    in_stream = f", {check_stream(ledger)} in the stream" if STREAM else ""
    if ledger.failures:
        raise AssertionError(ledger.failures[0])
    channel.call("exchange.delete", exchange=EXCHANGE)

    confirmed = sum(len(numbers) for numbers in ledger.confirmed.values())
    print(
        f"{kills} kills in {time.monotonic() - start:.0f} s: {sum(ledger.sent.values())} sent, "
        f"{confirmed} confirmed, {ledger.deliveries} delivered, {ledger.again} of them again{in_stream}, none lost",
        flush=True,
    )


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        print(f"FAILED with seed {SEED}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
