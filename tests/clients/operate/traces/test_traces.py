"""Spans of the broker in the traces of its clients, as a collector gets them."""

import random
import socket
import time

import pika
import pytest
from collector import Collector
from confluent_kafka import Consumer, Producer, TopicPartition
from http_api import Api

STATE = "vendor=1,other=2"


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def traced(own_broker, collector):
    return own_broker(traces_endpoint=collector.url, traces_service="shop")


def new_trace(*, sampled=True):
    trace, span = f"{random.getrandbits(128) | 1:032x}", f"{random.getrandbits(64) | 1:016x}"
    return trace, span, f"00-{trace}-{span}-{'01' if sampled else '00'}"


def amqp_of(broker):
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", broker.amqp_port))
    channel = connection.channel()
    channel.confirm_delivery()
    return connection, channel


def producer_of(broker, **more):
    return Producer({"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}"} | more)


def consumer_of(broker):
    place = {"bootstrap.servers": f"127.0.0.1:{broker.kafka_port}"}
    own = {"group.id": "readers", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer(place | own)


def properties(parent, **more):
    return pika.BasicProperties(headers={"traceparent": parent, "tracestate": STATE}, **more)


def next_message(channel, queue):
    for method, found, body in channel.consume(queue, inactivity_timeout=20):
        channel.cancel()
        assert method, "nothing came"
        return method, found, body


def next_record(consumer):
    record = consumer.poll(20)
    assert record is not None, "nothing came"
    assert record.error() is None
    return record


def counts(broker):
    return Api(broker.http, "guest", "guest").json("/bongsu/v1/traces")


def by_operation(spans):
    found = {}
    for span in spans:
        found.setdefault(span["attributes"]["messaging.operation.name"], []).append(span)
    return found


def in_order(*spans):
    """Each ends when it began or later, and none begins before the one in front of it."""
    begun = [int(span["startTimeUnixNano"]) for span in spans]
    assert begun == sorted(begun)
    for span in spans:
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])


def test_from_publish_to_acknowledgement(traced, collector):
    connection, channel = amqp_of(traced)
    channel.queue_declare("orders", durable=True)
    trace, span, parent = new_trace()
    channel.basic_publish(
        "", "orders", b"one", properties(parent, message_id="m1", correlation_id="c1")
    )
    method, found, _body = next_message(channel, "orders")
    assert found.headers == {"traceparent": parent, "tracestate": STATE}, "as they came"
    channel.basic_ack(method.delivery_tag)
    spans = by_operation(collector.of(trace, 4))
    [published], [committed] = spans["publish"], spans["commit"]
    [delivered], [settled] = spans["deliver"], spans["settle"]
    assert published["parentSpanId"] == span
    assert committed["parentSpanId"] == delivered["parentSpanId"] == published["spanId"]
    assert settled["parentSpanId"] == delivered["spanId"]
    assert [of["name"] for of in (published, committed, delivered, settled)] == [
        "publish orders",
        "commit orders",
        "deliver orders",
        "settle orders",
    ]
    assert all(of["traceState"] == STATE for of in (published, committed, delivered, settled))
    in_order(published, delivered, settled)
    in_order(published, committed)
    facts = published["attributes"]
    assert facts["messaging.system"] == "bongsu"
    assert facts["messaging.operation.type"] == "send"
    assert facts["messaging.destination.name"] == "orders"
    assert facts["messaging.message.id"] == "m1"
    assert facts["messaging.message.conversation_id"] == "c1"
    assert facts["messaging.message.body.size"] == 3
    assert facts["bongsu.queues"] == 1
    assert facts["user.name"] == "guest"
    assert facts["network.peer.address"] == "127.0.0.1"
    assert delivered["attributes"]["messaging.operation.type"] == "receive"
    assert delivered["attributes"]["bongsu.redelivered"] is False
    assert settled["attributes"]["messaging.operation.type"] == "settle"
    assert settled["attributes"]["bongsu.outcome"] == "accept"
    assert collector.resources[0]["service.name"] == "shop"
    assert set(collector.requests) == {("/v1/traces", "application/json")}
    connection.close()


def test_fan_out_is_one_publish_and_a_delivery_for_each_queue(traced, collector):
    connection, channel = amqp_of(traced)
    channel.exchange_declare("news", "fanout")
    for queue in ("left", "right"):
        channel.queue_declare(queue)
        channel.queue_bind(queue, "news")
    trace, _span, parent = new_trace()
    channel.basic_publish("news", "all", b"x", properties(parent))
    assert channel.basic_get("left", auto_ack=True)[2] == b"x"
    assert channel.basic_get("right", auto_ack=True)[2] == b"x"
    spans = by_operation(collector.of(trace, 5))
    [published] = spans["publish"]
    assert published["name"] == "publish news"
    assert published["attributes"]["bongsu.queues"] == 2
    assert published["attributes"]["messaging.rabbitmq.destination.routing_key"] == "all"
    assert {of["name"] for of in spans["deliver"]} == {"deliver left", "deliver right"}
    assert {of["parentSpanId"] for of in spans["deliver"]} == {published["spanId"]}
    assert {of["parentSpanId"] for of in spans["settle"]} == {
        of["spanId"] for of in spans["deliver"]
    }
    connection.close()


def test_a_record_that_comes_back_and_one_that_dies(traced, collector):
    connection, channel = amqp_of(traced)
    channel.queue_declare("dead")
    channel.queue_declare(
        "work",
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
    )
    trace, _span, parent = new_trace()
    channel.basic_publish("", "work", b"x", properties(parent))
    method, _found, _body = next_message(channel, "work")
    channel.basic_nack(method.delivery_tag, requeue=True)
    method, _found, _body = next_message(channel, "work")
    assert method.redelivered
    channel.basic_reject(method.delivery_tag, requeue=False)
    method, found, _body = next_message(channel, "dead")
    assert found.headers["traceparent"] == parent
    channel.basic_ack(method.delivery_tag)
    spans = by_operation(collector.of(trace, 8))
    of_work = [of for of in spans["deliver"] if of["name"] == "deliver work"]
    assert [of["attributes"]["bongsu.redelivered"] for of in of_work] == [False, True]
    [forwarded] = spans["forward"]
    assert forwarded["name"] == "forward dead"
    [of_dead] = [of for of in spans["deliver"] if of["name"] == "deliver dead"]
    assert of_dead["parentSpanId"] == forwarded["spanId"]
    outcomes = [of["attributes"]["bongsu.outcome"] for of in spans["settle"]]
    assert outcomes[1:] == ["reject", "accept"]
    assert outcomes[0] in ("fail", "release")
    connection.close()


def test_from_kafka_to_kafka(traced, collector):
    producer, consumer = producer_of(traced), consumer_of(traced)
    trace, span, parent = new_trace()
    headers = [("traceparent", parent.encode()), ("tracestate", STATE.encode())]
    producer.produce("payments", b"value", b"key", headers=headers)
    assert producer.flush(20) == 0
    consumer.subscribe(["payments"])
    record = next_record(consumer)
    assert record.headers() == headers, "as they came"
    consumer.commit(record, asynchronous=False)
    consumer.commit(record, asynchronous=False)
    consumer.close()
    spans = by_operation(collector.of(trace, 4))
    [published], [committed] = spans["publish"], spans["commit"]
    delivered, [settled] = spans["deliver"][0], spans["settle"]
    assert published["parentSpanId"] == span
    assert published["name"] == "publish payments"
    assert published["attributes"]["messaging.destination.partition.id"] == "0"
    assert published["attributes"]["network.protocol.name"] == "Kafka"
    assert committed["parentSpanId"] == delivered["parentSpanId"] == published["spanId"]
    assert settled["parentSpanId"] in {of["spanId"] for of in spans["deliver"]}
    assert settled["attributes"]["messaging.consumer.group.name"] == "readers"
    assert settled["attributes"]["bongsu.offset"] == 0
    in_order(published, delivered, settled)


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_across_protocols(traced, collector, compression):
    """Published by Kafka's client, consumed by AMQP's; and the other way round."""
    connection, channel = amqp_of(traced)
    producer = producer_of(traced, **{"compression.type": compression})
    channel.queue_declare("work", durable=True)
    trace, _span, parent = new_trace()
    producer.produce("work", b"x" * 500, headers=[("traceparent", parent.encode())])
    assert producer.flush(20) == 0
    method, found, _body = next_message(channel, "work")
    assert found.headers["traceparent"] == parent
    channel.basic_ack(method.delivery_tag)
    spans = by_operation(collector.of(trace, 4))
    assert set(spans) == {"publish", "commit", "deliver", "settle"}
    assert spans["publish"][0]["attributes"]["network.protocol.name"] == "Kafka"
    assert spans["settle"][0]["attributes"]["network.protocol.name"] == "AMQP 0-9-1"

    channel.queue_declare("log", durable=True, arguments={"x-queue-type": "stream"})
    trace, _span, parent = new_trace()
    channel.basic_publish("", "log", b"y", properties(parent))
    consumer = consumer_of(traced)
    consumer.assign([TopicPartition("log", 0, 0)])
    record = next_record(consumer)
    assert dict(record.headers())["traceparent"] == parent.encode()
    consumer.commit(record, asynchronous=False)
    consumer.close()
    spans = by_operation(collector.of(trace, 4))
    assert set(spans) == {"publish", "commit", "deliver", "settle"}
    assert spans["publish"][0]["attributes"]["network.protocol.name"] == "AMQP 0-9-1"
    assert spans["deliver"][0]["attributes"]["network.protocol.name"] == "Kafka"
    connection.close()


def test_each_record_of_a_batch_has_its_own_trace(traced, collector):
    producer = producer_of(traced)
    traces = [new_trace() for _ in range(20)]
    for trace, _span, parent in traces:
        producer.produce("many", trace.encode(), headers=[("traceparent", parent.encode())])
        producer.produce("many", b"without")
    assert producer.flush(20) == 0
    for trace, span, _parent in traces:
        published = by_operation(collector.of(trace, 2))["publish"]
        assert [of["parentSpanId"] for of in published] == [span]
    assert {span["traceId"] for span in collector.spans} == {trace for trace, _, _ in traces}


def test_only_what_is_sampled_is_traced(traced, collector):
    connection, channel = amqp_of(traced)
    channel.queue_declare("quiet")
    _trace, _span, unsampled = new_trace(sampled=False)
    channel.basic_publish("", "quiet", b"1", properties(unsampled))
    channel.basic_publish("", "quiet", b"2")
    channel.basic_publish("", "quiet", b"3", properties("00-nonsense"))
    for _ in range(3):
        channel.basic_ack(channel.basic_get("quiet")[0].delivery_tag)
    trace, _span, parent = new_trace()
    channel.basic_publish("", "quiet", b"4", properties(parent))
    collector.of(trace, 1)
    assert {span["traceId"] for span in collector.spans} == {trace}
    connection.close()


def test_all_may_be_sampled(own_broker, collector):
    broker = own_broker(traces_endpoint=collector.url, traces_sample="1")
    connection, channel = amqp_of(broker)
    channel.queue_declare("all")
    _trace, _span, unsampled = new_trace(sampled=False)
    channel.basic_publish("", "all", b"not this", properties(unsampled))
    channel.basic_publish("", "all", b"this")
    for _ in range(2):
        channel.basic_get("all", auto_ack=True)
    deadline = time.monotonic() + 20
    while counts(broker)["exported"] < 3:
        assert time.monotonic() < deadline, counts(broker)
        time.sleep(0.05)
    spans = by_operation(collector.spans)
    [published] = spans["publish"]
    assert "parentSpanId" not in published
    assert published["attributes"]["messaging.message.body.size"] == len(b"this")
    assert {span["traceId"] for span in collector.spans} == {published["traceId"]}
    connection.close()


def test_nobody_waits_for_a_collector_that_is_away(own_broker):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        broker = own_broker(traces_endpoint=away)
        producer = producer_of(broker)
        count = 12_000
        for number in range(count):
            _trace, _span, parent = new_trace()
            producer.produce("many", str(number), headers=[("traceparent", parent.encode())])
            producer.poll(0)
        assert producer.flush(40) == 0, "all are taken"
        told = counts(broker)
        assert told["made"] >= count
        assert told["dropped"] > 0
        assert told["exported"] == 0
        assert broker.stop() == 0
    log = broker.log()
    assert log.count("spans are not taken") == 1, "said once"


def test_what_may_pass_is_sent_again(traced, collector):
    collector.answers = [503]
    connection, channel = amqp_of(traced)
    channel.queue_declare("again")
    trace, _span, parent = new_trace()
    channel.basic_publish("", "again", b"x", properties(parent))
    collector.of(trace, 1)
    assert len(collector.requests) >= 2
    assert counts(traced)["dropped"] == 0
    connection.close()


def test_off_nothing_is_made(own_broker):
    broker = own_broker()
    connection, channel = amqp_of(broker)
    channel.queue_declare("off")
    _trace, _span, parent = new_trace()
    channel.basic_publish("", "off", b"x", properties(parent))
    _method, found, _body = channel.basic_get("off", auto_ack=True)
    assert found.headers["traceparent"] == parent, "as it came"
    assert counts(broker) == {
        "enabled": False,
        "made": 0,
        "exported": 0,
        "dropped": 0,
        "records_followed": 0,
        "records_forgotten": 0,
    }
    connection.close()


def test_settled_records_are_followed_no_longer(traced, collector):
    connection, channel = amqp_of(traced)
    channel.queue_declare("once")
    traces = [new_trace() for _ in range(10)]
    for _trace, _span, parent in traces:
        channel.basic_publish("", "once", b"x", properties(parent))
    assert counts(traced)["records_followed"] == 10
    for _ in traces:
        channel.basic_get("once", auto_ack=True)
    assert counts(traced)["records_followed"] == 0
    for trace, _span, _parent in traces:
        collector.of(trace, 3)
    connection.close()
