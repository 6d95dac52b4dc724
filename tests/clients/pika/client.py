"""What a Python user does with pika's blocking connection, one scenario a run.

Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/ python client.py SCENARIO
"""

import os
import sys
import time
import uuid

import pika

PATIENCE = 20.0
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def connect():
    return pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))


def until(connection, done, what):
    """Serves the connection until `done()`, or fails naming `what` was awaited."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        connection.process_data_events(time_limit=0.5)


def hello():
    connection = connect()
    channel = connection.channel()
    channel.exchange_declare("logs", exchange_type="fanout", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    assert queue.startswith("amq.gen-"), queue
    channel.queue_bind(queue, "logs")
    received = []

    def on_message(_channel, method, _properties, body):
        received.append((method.exchange, method.routing_key, method.redelivered, body))
        print(f"Received: {body.decode()}", flush=True)

    channel.basic_consume(queue, on_message, auto_ack=True)
    channel.basic_publish("logs", "", b"Hello, Broker!")
    until(connection, lambda: received, "the greeting")
    assert received == [("logs", "", False, b"Hello, Broker!")], received
    connection.close()


class Worker:
    """One consumer on a channel of its own; holds what it has not settled yet."""

    def __init__(self, connection, queue):
        self.held = []
        self.channel = connection.channel()
        self.channel.basic_qos(prefetch_count=1)
        self.tag = self.channel.basic_consume(queue, self.on_message)

    def on_message(self, _channel, method, properties, body):
        assert properties.delivery_mode == 2, properties
        self.held.append((method.delivery_tag, method.redelivered, body.decode()))

    def one(self):
        assert len(self.held) == 1, f"prefetch is 1, but holds {self.held}"
        return self.held.pop()


def work_queue():
    connection = connect()
    channel = connection.channel()
    channel.confirm_delivery()
    queue = f"work-{uuid.uuid4()}"
    channel.queue_declare(queue, durable=True)
    workers = [Worker(connection, queue), Worker(connection, queue)]
    for number in range(20):
        # Raises when the broker returns the message or does not confirm it.
        channel.basic_publish("", queue, f"task-{number}".encode(), PERSISTENT, mandatory=True)

    def both_hold():
        return all(worker.held for worker in workers)

    for first in range(0, 20, 2):
        until(connection, both_hold, f"task-{first} and task-{first + 1}")
        round_ = [(worker, *worker.one()) for worker in workers]
        tasks = [task for _, _, _, task in round_]
        assert sorted(tasks) == sorted([f"task-{first}", f"task-{first + 1}"]), tasks
        if first == 0:
            assert tasks == ["task-0", "task-1"], f"not in turn: {tasks}"
        assert not any(redelivered for _, _, redelivered, _ in round_), round_
        # What is requeued comes back at once, to the only one with room for it.
        for worker, tag, _, task in round_:
            if task == "task-9":
                worker.channel.basic_nack(tag, requeue=True)
                until(connection, lambda worker=worker: worker.held, "task-9 again")
                tag, redelivered, task = worker.one()
                assert (redelivered, task) == (True, "task-9"), (redelivered, task)
                worker.channel.basic_ack(tag)
        for worker, tag, _, task in round_:
            if task == "task-6":
                worker.channel.basic_reject(tag, requeue=False)
            elif task != "task-9":
                worker.channel.basic_ack(tag)

    for worker in workers:
        # A cancel is answered after the settles before it on the same channel.
        worker.channel.basic_cancel(worker.tag)
        assert worker.held == [], worker.held
    found = channel.queue_declare(queue, passive=True).method
    assert (found.message_count, found.consumer_count) == (0, 0), found
    assert channel.basic_get(queue)[0] is None
    # Unsettled messages would come back when their channel closes.
    for worker in workers:
        worker.channel.close()
    assert channel.queue_delete(queue).method.message_count == 0
    connection.close()


def reconnect():
    connection = connect()
    publisher = connection.channel()
    publisher.confirm_delivery()
    queue = f"reconnect-{uuid.uuid4()}"
    publisher.queue_declare(queue, durable=True)
    for number in range(200):
        publisher.basic_publish("", queue, str(number).encode(), PERSISTENT, mandatory=True)

    consumer = connection.channel()
    consumer.basic_qos(prefetch_count=50)
    held = []
    consumer.basic_consume(queue, lambda _c, method, _p, body: held.append((method.delivery_tag, body)))
    until(connection, lambda: len(held) == 50, "50 messages")
    assert [body for _, body in held] == [str(n).encode() for n in range(50)], held
    for tag, _ in held[:20]:
        consumer.basic_ack(tag)
    consumer.queue_declare(queue, passive=True)  # the acks were taken
    for number in range(200, 210):
        publisher.basic_publish("", queue, str(number).encode(), PERSISTENT, mandatory=True)

    print("KILL ME", flush=True)
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            connection.process_data_events(time_limit=0.5)
        raise AssertionError("the broker was not killed")
    except pika.exceptions.AMQPConnectionError:
        pass

    connection = again()
    channel = connection.channel()
    got = []
    channel.basic_consume(queue, lambda _c, method, _p, body: got.append((method.delivery_tag, int(body))))
    until(connection, lambda: len(got) >= 190, "190 messages after the restart")
    assert [number for _, number in got] == list(range(20, 210)), got
    channel.basic_ack(got[-1][0], multiple=True)
    assert channel.queue_declare(queue, passive=True).method.message_count == 0
    channel.close()
    assert connection.channel().queue_delete(queue).method.message_count == 0
    connection.close()


def again():
    """Connects to the restarted broker within a bounded number of attempts."""
    for _ in range(240):
        try:
            return connect()
        except pika.exceptions.AMQPConnectionError:
            time.sleep(0.25)
    raise AssertionError("the broker did not come back")


{"hello": hello, "work_queue": work_queue, "reconnect": reconnect}[sys.argv[1]]()
