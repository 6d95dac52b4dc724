"""What service buses of the MassTransit kind declare and do, by hand with pika, one scenario a run.

Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python client.py SCENARIO

A message type is a fanout exchange, bound to the exchanges of what it extends; an endpoint is an exchange of its
name before a queue of its name, bound to the types it takes; what fails goes to `_error`, what nobody there knows
to `_skipped`.
"""

import json
import os
import sys
import time
import uuid

import pika

PATIENCE = 30.0
RUN = uuid.uuid4().hex[:12]


def ok(behaviour):
    print(f"ok {behaviour}", flush=True)


def named(name):
    return f"{name}-{RUN}"


class Bus:
    """One service's connection: a channel to publish with confirms, and a channel for each endpoint."""

    def __init__(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def message_type(self, name, *extends, arguments=None):
        """`Contracts:OrderSubmitted`, an exchange bound to those of the interfaces it has."""
        self.channel.exchange_declare(named(name), "fanout", durable=True, arguments=arguments)
        for base in extends:
            self.channel.exchange_bind(named(base), named(name))

    def endpoint(self, name, *takes, arguments=None, **options):
        self.channel.exchange_declare(named(name), "fanout", durable=True)
        self.channel.queue_declare(named(name), durable=True, arguments=arguments, **options)
        self.channel.queue_bind(named(name), named(name))
        for message_type in takes:
            self.channel.exchange_bind(named(name), named(message_type))
        for suffix in ("_error", "_skipped"):
            self.channel.exchange_declare(named(name + suffix), "fanout", durable=True)
            self.channel.queue_declare(named(name + suffix), durable=True)
            self.channel.queue_bind(named(name + suffix), named(name + suffix))

    def publish(self, message_type, message, exchange=None, **properties):
        """An envelope, confirmed; raises when no queue takes it."""
        body = {"messageId": uuid.uuid4().hex, "messageType": [f"urn:message:{message_type}"], "message": message}
        properties = pika.BasicProperties(
            content_type="application/vnd.masstransit+json",
            delivery_mode=2,
            message_id=body["messageId"],
            **properties,
        )
        self.channel.basic_publish(exchange or named(message_type), "", json.dumps(body).encode(), properties, mandatory=True)

    def receive(self, name, handlers, prefetch=16, tag=None, arguments=None):
        """Consumes as an endpoint does: `_skipped` for what has no handler, `_error` for what throws."""
        channel = self.connection.channel()
        channel.basic_qos(prefetch_count=prefetch)

        def on_message(_channel, method, properties, body):
            envelope = json.loads(body)
            [urn] = envelope["messageType"]
            handler = handlers.get(urn.removeprefix("urn:message:"))
            try:
                if handler is None:
                    self.move(name, "_skipped", properties, body, {"MT-Reason": "skipped"})
                else:
                    handler(envelope["message"], method, properties)
            except ValueError as error:
                fault = {"MT-Reason": "fault", "MT-Fault-Message": str(error), "MT-Fault-InputAddress": named(name)}
                self.move(name, "_error", properties, body, fault)
            except Requeue:
                # Not nacked: since RabbitMQ 4.3 only what is rejected counts as an attempt that failed.
                channel.basic_reject(method.delivery_tag, requeue=True)
                return
            channel.basic_ack(method.delivery_tag)

        channel.basic_consume(named(name), on_message, consumer_tag=tag, arguments=arguments)
        return channel

    def move(self, name, suffix, properties, body, headers):
        """Confirmed where it goes before it is acked where it was: at worst it is there twice."""
        properties.headers = (properties.headers or {}) | headers
        self.channel.basic_publish(named(name + suffix), "", body, properties, mandatory=True)

    def until(self, done, what):
        deadline = time.monotonic() + PATIENCE
        while not (result := done()):
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
            self.connection.process_data_events(time_limit=0.1)
        return result

    def take(self, name):
        """The next message of a queue, as properties and message, within the deadline."""
        method, properties, body = self.until(lambda: found_one(self.channel, named(name)), f"a message in {name}")
        self.channel.basic_ack(method.delivery_tag)
        return properties, json.loads(body)["message"]

    def count(self, name):
        return self.channel.queue_declare(named(name), passive=True).method.message_count

    def close(self):
        self.connection.close()


class Requeue(Exception):
    """A handler's wish to see the message again."""


def found_one(channel, queue):
    found = channel.basic_get(queue)
    return found if found[0] else None


def publishing():
    """Types and endpoints: one publish reaches whoever takes the type, or what it extends, once."""
    bus = Bus()
    bus.message_type("Contracts:Event")
    bus.message_type("Contracts:OrderSubmitted", "Contracts:Event")
    bus.message_type("Contracts:OrderCancelled", "Contracts:Event")
    bus.endpoint("billing", "Contracts:OrderSubmitted")
    bus.endpoint("audit", "Contracts:Event")
    bus.endpoint("both", "Contracts:Event", "Contracts:OrderSubmitted")
    billed, audited, both = [], [], []

    def keep(into):
        return {
            kind: lambda message, *_: into.append(message["order"])
            for kind in ("Contracts:OrderSubmitted", "Contracts:OrderCancelled")
        }

    consumers = [bus.receive(*pair) for pair in (("billing", keep(billed)), ("audit", keep(audited)), ("both", keep(both)))]
    for order in range(10):
        bus.publish("Contracts:OrderSubmitted", {"order": order})
    bus.publish("Contracts:OrderCancelled", {"order": 10})
    bus.until(lambda: len(billed) == 10 and len(audited) == len(both) == 11, "32 messages")
    assert billed == list(range(10)) and audited == both == list(range(11)), (billed, audited, both)
    ok("types that extend types: every endpoint has each message once, however many ways lead to it")
    for channel in consumers:
        channel.close()

    bus.message_type("Contracts:Unheard")
    try:
        bus.publish("Contracts:Unheard", {})
        raise AssertionError("nobody takes it, and nobody says so")
    except pika.exceptions.UnroutableError:
        pass
    bus.channel.exchange_declare(named("unheard"), "fanout", durable=True)
    bus.channel.queue_declare(named("unheard"), durable=True)
    bus.channel.queue_bind(named("unheard"), named("unheard"))
    bus.message_type("Contracts:Heard", arguments={"alternate-exchange": named("unheard")})
    bus.publish("Contracts:Heard", {"kept": True})
    assert bus.take("unheard")[1] == {"kept": True}
    ok("what no endpoint takes is returned, or goes to the type's alternate exchange")
    bus.close()


def failing():
    """_error, _skipped, faults, and the broker's own limit of attempts."""
    bus = Bus()
    bus.message_type("Contracts:Pay")
    bus.message_type("Contracts:Unknown")
    bus.endpoint("payment", "Contracts:Pay", "Contracts:Unknown")
    seen = []

    def pay(message, method, _properties):
        seen.append((message["amount"], method.redelivered))
        if message["amount"] < 0:
            raise ValueError("a negative amount")
        if message["amount"] == 0 and not method.redelivered:
            raise Requeue

    consumer = bus.receive("payment", {"Contracts:Pay": pay}, prefetch=1)
    for amount in (1, 0, -1, 2):
        bus.publish("Contracts:Pay", {"amount": amount})
    bus.publish("Contracts:Unknown", {"what": "ever"})
    bus.until(lambda: (2, False) in seen, "the last payment")
    assert seen == [(1, False), (0, False), (0, True), (-1, False), (2, False)], seen
    properties, message = bus.take("payment_error")
    assert message == {"amount": -1} and properties.headers["MT-Fault-Message"] == "a negative amount", properties
    properties, message = bus.take("payment_skipped")
    assert message == {"what": "ever"} and properties.headers["MT-Reason"] == "skipped", properties
    consumer.close()
    assert bus.count("payment") == 0
    ok("a fault goes to _error with its reason, a type without a handler to _skipped")

    bus.endpoint(
        "durable",
        "Contracts:Pay",
        arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 2,
            "x-dead-letter-exchange": named("durable_error"),
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    counts = []

    def never(_message, _method, properties):
        counts.append((properties.headers or {}).get("x-delivery-count", 0))
        raise Requeue

    consumer = bus.receive("durable", {"Contracts:Pay": never}, prefetch=1)
    bus.publish("Contracts:Pay", {"amount": 3}, headers={"MT-Activity": "kept"})
    properties, message = bus.take("durable_error")
    assert counts == [0, 1, 2], counts
    assert message == {"amount": 3} and properties.headers["MT-Activity"] == "kept", properties
    [death] = properties.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"]) == ("delivery_limit", named("durable"), 1), death
    assert properties.headers["x-first-death-queue"] == named("durable")
    consumer.close()
    ok("a quorum endpoint counts attempts itself, and moves what has had too many to _error")
    bus.close()


def requesting():
    """A request with the address to answer to: an exchange and queue of the caller's own, which go with it."""
    server, caller = Bus(), Bus()
    server.message_type("Contracts:GetPrice")
    server.endpoint("prices", "Contracts:GetPrice")

    def get_price(message, _method, properties):
        answer = {"price": len(message["item"])}
        server.publish("Contracts:Price", answer, exchange=properties.reply_to, correlation_id=properties.correlation_id)

    server.receive("prices", {"Contracts:GetPrice": get_price})
    name = "host_bus_temporary"
    caller.channel.exchange_declare(named(name), "fanout", durable=False, auto_delete=True)
    caller.channel.queue_declare(named(name), durable=False, auto_delete=True, arguments={"x-expires": 60_000})
    caller.channel.queue_bind(named(name), named(name))
    answers = {}

    def price(message, _method, properties):
        answers[properties.correlation_id] = message["price"]

    consumer = caller.receive(name, {"Contracts:Price": price})
    for item in ("tea", "coffee", "a"):
        caller.publish("Contracts:GetPrice", {"item": item}, reply_to=named(name), correlation_id=item)

    def served():
        server.connection.process_data_events(time_limit=0)
        return len(answers) == 3

    caller.until(served, "three answers")
    assert answers == {"tea": 3, "coffee": 6, "a": 1}, answers
    ok("three requests answered to a bus address of the caller's own")

    consumer.close()
    gone = caller.connection.channel()
    try:
        gone.queue_declare(named(name), passive=True)
        raise AssertionError("an auto-delete queue outlived its consumer")
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404, error
    gone = caller.connection.channel()
    try:
        gone.exchange_declare(named(name), passive=True)
        raise AssertionError("an auto-delete exchange outlived its binding")
    except pika.exceptions.ChannelClosedByBroker as error:
        assert error.reply_code == 404, error
    ok("the queue goes with its consumer, and its exchange with the queue")
    server.close()
    caller.close()


def ordering():
    """Endpoints with an order: by priority, by one active consumer among several instances."""
    bus = Bus()
    bus.message_type("Contracts:Job")
    bus.endpoint("jobs", "Contracts:Job", arguments={"x-max-priority": 10})
    for priority in (0, 3, 9, 3):
        bus.publish("Contracts:Job", {"priority": priority}, priority=priority)
    done = []
    jobs = bus.receive("jobs", {"Contracts:Job": lambda message, *_: done.append(message["priority"])}, prefetch=1)
    bus.until(lambda: len(done) == 4, "four jobs")
    assert done == [9, 3, 3, 0], done
    jobs.close()
    ok("an endpoint with priorities")

    bus.message_type("Contracts:Step")
    bus.endpoint("saga", "Contracts:Step", arguments={"x-single-active-consumer": True})
    steps = []

    def instance(name):
        return {"Contracts:Step": lambda message, *_: steps.append((name, message["step"]))}

    first = bus.receive("saga", instance("first"), tag="first")
    bus.receive("saga", instance("second"), tag="second")
    for step in range(5):
        bus.publish("Contracts:Step", {"step": step})
    bus.until(lambda: len(steps) == 5, "five steps")
    assert steps == [("first", step) for step in range(5)], steps
    first.close()
    for step in range(5, 8):
        bus.publish("Contracts:Step", {"step": step})
    bus.until(lambda: len(steps) == 8, "three more steps")
    assert steps[5:] == [("second", step) for step in range(5, 8)], steps
    ok("a single active consumer: one instance has all, and the next takes over when it goes")
    bus.close()


def delaying():
    """Redelivery later, by an exchange of the delayed kind before the endpoint's own."""
    if os.environ.get("BONGSU_JUDGE") == "rabbitmq":
        print("skipped as Debian's RabbitMQ has no x-delayed-message to judge by", flush=True)
        return
    bus = Bus()
    bus.message_type("Contracts:Remind")
    bus.endpoint("reminders", "Contracts:Remind")
    delay = named("reminders_delay")
    bus.channel.exchange_declare(delay, "x-delayed-message", durable=True, arguments={"x-delayed-type": "fanout"})
    bus.channel.exchange_bind(named("reminders"), delay)
    heard = []

    def remind(message, _method, properties):
        now = time.monotonic()
        heard.append((message["attempt"], now))
        if message["attempt"] < 3:
            again = {"attempt": message["attempt"] + 1}
            body = {"messageType": ["urn:message:Contracts:Remind"], "message": again}
            bus.channel.basic_publish(
                delay, "", json.dumps(body).encode(), pika.BasicProperties(delivery_mode=2, headers={"x-delay": 400})
            )

    bus.receive("reminders", {"Contracts:Remind": remind})
    bus.publish("Contracts:Remind", {"attempt": 1})
    bus.until(lambda: len(heard) == 3, "three attempts")
    assert [attempt for attempt, _ in heard] == [1, 2, 3], heard
    gaps = [later - sooner for (_, sooner), (_, later) in zip(heard, heard[1:])]
    assert all(gap >= 0.39 for gap in gaps), gaps
    ok("a message is redelivered later, twice, through an x-delayed-message exchange")

    order = []
    last = bus.connection.channel()
    last.queue_declare(named("scheduled"), durable=True)
    last.queue_bind(named("scheduled"), delay)
    for milliseconds in (1500, 500, 1000, 0):
        body = {"messageType": ["urn:message:none"], "message": milliseconds}
        properties = pika.BasicProperties(delivery_mode=2, headers={"x-delay": milliseconds})
        # Without waiting for confirms, so that all are given at about the same time.
        last.basic_publish(delay, "", json.dumps(body).encode(), properties)
    days = pika.BasicProperties(delivery_mode=2, headers={"x-delay": 2**31 - 1})
    bus.channel.basic_publish(delay, "", b"{}", days)
    for _ in range(4):
        order.append(bus.take("scheduled")[1])
    assert order == [0, 500, 1000, 1500], order
    assert bus.count("scheduled") == 0
    ok("scheduled messages come in the order of their times, and one of 24 days does not come")

    body = json.dumps({"messageType": ["urn:message:none"], "message": "survivor"}).encode()
    published = time.monotonic()
    bus.channel.basic_publish(delay, "", body, pika.BasicProperties(delivery_mode=2, headers={"x-delay": 1500}))
    print("KILL ME", flush=True)
    try:
        bus.until(lambda: False, "the broker to be killed")
    except pika.exceptions.AMQPConnectionError:
        pass
    bus = again()
    assert bus.take("scheduled")[1] == "survivor"
    assert time.monotonic() - published >= 1.5
    ok("a scheduled message survives the broker's death and comes at its time")
    bus.close()


def again():
    """Connects to the restarted broker within a bounded number of attempts."""
    for _ in range(240):
        try:
            return Bus()
        except pika.exceptions.AMQPConnectionError:
            time.sleep(0.25)
    raise AssertionError("the broker did not come back")


SCENARIOS = (publishing, failing, requesting, ordering, delaying)
{scenario.__name__: scenario for scenario in SCENARIOS}[sys.argv[1]]()
