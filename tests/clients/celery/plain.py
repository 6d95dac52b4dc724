"""kombu without Celery: what a program does that only wants its messages."""

import os
import queue
import socket
import threading

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.pidbox import Mailbox

from check import ok, unique, until


def plain(_directory):
    with Connection(os.environ["AMQP_URL"], heartbeat=10, transport_options={"confirm_publish": True}) as connection:
        serializers(connection)
        requeued_rejected_and_refused(connection)
        priorities(connection)
        expired_to_dead_letters(connection)
        simple_queue(connection)
        mailbox(connection)


def drain(connection, done, what):
    """Serves the connection's consumers until `done()`."""

    def step():
        try:
            connection.drain_events(timeout=0.5)
        except socket.timeout:
            connection.heartbeat_check()

    return until(done, what, step)


def serializers(connection):
    exchange = Exchange(unique("media"), type="topic", durable=True)
    videos = Queue(unique("videos"), exchange, routing_key="video.#")
    images = Queue(unique("images"), exchange, routing_key="*.image")
    producer = Producer(connection, exchange=exchange)
    lolcat = {"name": "/tmp/lolcat1.avi", "size": 1301013, "tags": ["a", "ü"]}
    for body, options in (
        (lolcat, {"serializer": "json", "compression": "zlib"}),
        (lolcat, {"serializer": "pickle"}),
        (b"\x00\xff", {"content_type": "application/x-own", "content_encoding": "binary"}),
    ):
        producer.publish(body, routing_key="video.image", declare=[videos, images], headers={"from": "here"}, **options)

    for source in (videos, images):
        got = []

        def receive(body, message, got=got):
            assert message.headers["from"] == "here", message.headers
            got.append((message.content_type, bytes(body) if isinstance(body, memoryview) else body))
            message.ack()

        with Consumer(connection, [source], accept=["json", "pickle", "application/x-own"], callbacks=[receive]):
            drain(connection, lambda got=got: len(got) == 3, "three messages")
        assert got == [
            ("application/json", lolcat),
            ("application/x-python-serialize", lolcat),
            ("application/x-own", b"\x00\xff"),
        ], got
    ok("one topic exchange, two queues: json compressed, pickle and raw bytes to both")


def requeued_rejected_and_refused(connection):
    source = Queue(unique("tasks"), Exchange(unique("tasks"), type="direct"), routing_key="task")
    producer = Producer(connection, source.exchange, routing_key="task", serializer="json")
    got, refused = [], []

    def receive(body, message):
        got.append((body, message.delivery_info["redelivered"]))
        if body == "again" and not message.delivery_info["redelivered"]:
            message.requeue()
        elif body == "bad":
            message.reject()
        else:
            message.ack()

    def refuse(message, error):
        refused.append(type(error).__name__)
        message.reject()

    consumer = Consumer(connection, [source], accept=["json"], callbacks=[receive], on_decode_error=refuse)
    consumer.qos(prefetch_count=1)
    for body in ("good", "again", "bad", "last"):
        producer.publish(body, declare=[source])
    producer.publish({"evil": True}, serializer="pickle")
    with consumer:
        drain(connection, lambda: len(got) == 5 and refused, "five deliveries and a refusal")
    assert got == [("good", False), ("again", False), ("again", True), ("bad", False), ("last", False)], got
    assert refused == ["ContentDisallowed"], refused
    assert source(connection.default_channel).get() is None
    ok("acked, requeued once and flagged, rejected; a pickle nobody asked for is refused")


def priorities(connection):
    source = Queue(unique("urgent"), max_priority=10)
    producer = Producer(connection, serializer="json")
    for priority in (0, 5, 10, 5, 255, None):
        producer.publish(priority, routing_key=source.name, priority=priority, declare=[source], retry=True)
    bound = source(connection.default_channel)
    got = []
    while message := bound.get(no_ack=True):
        got.append(message.decode())
    assert got == [10, 255, 5, 5, 0, None], got
    ok("x-max-priority: highest first, first come first within one, above the highest is the highest")


def expired_to_dead_letters(connection):
    buried = Queue(unique("buried"), Exchange(unique("buried"), type="fanout"))
    short = Queue(
        unique("short"),
        message_ttl=2.0,
        expires=60.0,
        max_length=2,
        queue_arguments={"x-dead-letter-exchange": buried.exchange.name},
    )
    producer = Producer(connection, serializer="json")
    for number in range(3):
        producer.publish(number, routing_key=short.name, declare=[buried, short])
    producer.publish("at once", routing_key=short.name, expiration=0)
    got = []

    def receive(body, message):
        death = message.headers["x-death"][0]
        assert (death["queue"], death["count"]) == (short.name, 1), death
        got.append((body, death["reason"], death.get("original-expiration")))
        message.ack()

    with Consumer(connection, [buried], callbacks=[receive]):
        drain(connection, lambda: len(got) == 4, "four dead letters")
    # The fourth pushes the second out, unless the first two have expired by then.
    assert sorted((str(body) for body, _, _ in got)) == ["0", "1", "2", "at once"], got
    assert got[0] == (0, "maxlen", None), got
    assert ("at once", "expired", "0") in got and (2, "expired", None) in got, got
    ok("message_ttl, expiration and max_length: dead letters with reason and count")


def simple_queue(connection):
    name = unique("simple")
    with connection.SimpleQueue(name, serializer="json") as simple:
        for number in range(5):
            simple.put({"number": number})
        assert simple.qsize() == 5, simple.qsize()
        assert simple.clear() == 5
        simple.put({"number": 5})
        # The first `get` starts a consumer, so what is given back comes back by itself.
        simple.get(block=True, timeout=20).requeue()
        message = simple.get(block=True, timeout=20)
        assert message.payload == {"number": 5} and message.delivery_info["redelivered"], message
        message.ack()
        try:
            simple.get(block=True, timeout=0.1)
            raise AssertionError("an empty queue gives nothing")
        except queue.Empty:
            pass
    with connection.SimpleBuffer(unique("buffer")) as buffer:
        buffer.put("gone with the broker")
        assert buffer.get(timeout=20).payload == "gone with the broker"
    ok("SimpleQueue and SimpleBuffer: put, get, give back, qsize, clear, Empty")


def mailbox(connection):
    """The shape of Celery's remote control: a fanout to every node, answers to a queue of one's own."""
    box = Mailbox(unique("control"), type="fanout", accept=["json"])
    stop = threading.Event()
    ready = threading.Barrier(3)

    def serve(name):
        with connection.clone() as own:
            channel = own.channel()
            node = box(own).Node(name, state={"name": name}, channel=channel)
            node.handlers["who"] = lambda state, ask: {"i_am": state["name"], "asked": ask}
            with node.listen(channel=channel, callback=node.handle_message):
                ready.wait(20)
                while not stop.is_set():
                    try:
                        own.drain_events(timeout=0.1)
                    except socket.timeout:
                        pass

    nodes = [threading.Thread(target=serve, args=(name,), daemon=True) for name in ("one", "two")]
    for node in nodes:
        node.start()
    ready.wait(20)
    client = box(connection)
    answers = client.multi_call("who", {"ask": 1}, timeout=20, limit=2)
    assert sorted(answers, key=str) == [
        {"one": {"asked": 1, "i_am": "one"}},
        {"two": {"asked": 1, "i_am": "two"}},
    ], answers
    answers = client.call(["two"], "who", {"ask": 2}, timeout=20)
    assert answers == [{"two": {"asked": 2, "i_am": "two"}}], answers
    stop.set()
    for node in nodes:
        node.join(20)
    ok("a pidbox mailbox: every node answers a broadcast, one answers a call by name")
