"""confluent-kafka, that is librdkafka: what its users do."""

import time

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from helpers import eventually


@pytest.fixture
def producer(bootstrap):
    return lambda **options: Producer(dotted(bootstrap, options))


@pytest.fixture
def consumer(bootstrap, unique):
    opened = []

    def consumer(**options):
        common = {
            "group_id": unique("g"),
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_wait_max_ms": 50,
            "topic_metadata_refresh_interval_ms": 500,
        }
        opened.append(Consumer(dotted(bootstrap, common | options)))
        return opened[-1]

    yield consumer
    for one in opened:
        one.close()


def dotted(bootstrap, options):
    named = {name.replace("_", "."): value for name, value in options.items()}
    return {"bootstrap.servers": bootstrap} | named


def send(producer, topic, *values, **fields):
    for value in values:
        producer.produce(topic, value, on_delivery=raise_error, **fields)
    assert producer.flush(15) == 0


def raise_error(error, _message):
    if error is not None:
        raise KafkaException(error)


def take(consumer, count):
    """So many records, and not one more at hand."""
    taken = []

    def enough():
        message = consumer.poll(0.1)
        if message is not None:
            if message.error():
                raise KafkaException(message.error())
            taken.append(message)
        return len(taken) >= count

    eventually(enough, f"{count} records")
    return taken


def values(messages):
    return [message.value() for message in messages]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["all", "1"])
def test_codec(producer, consumer, topic, codec, acks):
    sender = producer(compression_type=codec, acks=acks, linger_ms=20)
    sent = [b"value %d " % at * 10 for at in range(300)]
    send(sender, topic, *sent)
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got = take(reader, 300)
    assert values(got) == sent
    assert [message.offset() for message in got] == list(range(300))


def test_content(producer, consumer, topic):
    sender = producer()
    headers = [("a", b"1"), ("a", b"\0"), ("n", None)]
    sender.produce(topic, b"v", b"k", headers=headers, timestamp=1234567)
    sender.produce(topic, None, b"k")
    sender.produce(topic, b"", b"")
    sender.produce(topic, "ü€".encode(), None)
    sender.flush(10)
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    first, null, empty, last = take(reader, 4)
    assert (first.key(), first.value(), first.headers()) == (b"k", b"v", headers)
    assert first.timestamp()[1] == 1234567
    assert null.value() is None
    assert (empty.key(), empty.value()) == (b"", b"")
    assert (last.key(), last.value().decode()) == (None, "ü€")


def test_a_megabyte(producer, consumer, topic):
    large = bytes(range(256)) * 3900
    sender = producer(message_max_bytes=1_000_000)
    send(sender, topic, large, b"after")
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    assert values(take(reader, 2)) == [large, b"after"]


def test_too_large(producer, topic):
    sender = producer(message_max_bytes=3_000_000)
    with pytest.raises(KafkaException) as refused:
        send(sender, topic, bytes(2_000_000))
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_idempotent(producer, consumer, topic):
    sender = producer(enable_idempotence=True, batch_num_messages=7, linger_ms=0)
    send(sender, topic, *[b"%d" % at for at in range(1000)])
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    assert values(take(reader, 1000)) == [b"%d" % at for at in range(1000)]


def test_auto_create(producer, unique):
    sender = producer()
    send(sender, unique("made-by-sending"), b"v")


def test_consumer_of_an_unknown_topic(consumer, unique):
    reader = consumer()
    reader.subscribe([unique("nowhere")])
    error = eventually(lambda: (found := reader.poll(0.1)) and found.error(), "an error")
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_seek_times_and_watermarks(producer, consumer, topic):
    sender = producer()
    for at in range(10):
        sender.produce(topic, b"%d" % at, timestamp=1000 * (at + 1))
    sender.flush(10)
    reader = consumer()
    place = TopicPartition(topic, 0, 4)
    assert reader.get_watermark_offsets(place, timeout=10) == (0, 10)
    for timestamp, offset in [(1, 0), (4500, 4), (10_000, 9), (10_001, OFFSET_END)]:
        (found,) = reader.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=10)
        assert found.offset == offset
    reader.assign([place])
    assert values(take(reader, 6))[0] == b"4"
    reader.seek(TopicPartition(topic, 0, 8))
    assert values(take(reader, 2)) == [b"8", b"9"]
    reader.seek(TopicPartition(topic, 0, OFFSET_END))
    assert reader.poll(0.2) is None
    send(sender, topic, b"new")
    assert values(take(reader, 1)) == [b"new"]


def test_out_of_range(producer, consumer, topic):
    send(producer(), topic, b"a", b"b")
    reader = consumer(auto_offset_reset="error")
    reader.assign([TopicPartition(topic, 0, 50)])
    error = eventually(lambda: (found := reader.poll(0.1)) and found.error(), "an error")
    assert error.code() == KafkaError._AUTO_OFFSET_RESET
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 50)])
    assert values(take(reader, 2)) == [b"a", b"b"]


STRATEGIES = ["range", "roundrobin", "cooperative-sticky"]


@pytest.mark.parametrize("strategy", [*STRATEGIES, "protocol uniform", "protocol range"])
def test_two_members(producer, consumer, admin, new_topic, unique, strategy):
    topic, group = new_topic(partitions=4), unique("g")
    options = {"group_id": group}
    if strategy.startswith("protocol"):
        configure_group(admin, group, "consumer.heartbeat.interval.ms", 200)
        options |= {
            "group_protocol": "consumer",
            "group_remote_assignor": strategy.removeprefix("protocol "),
        }
    else:
        options |= {"partition_assignment_strategy": strategy, "heartbeat_interval_ms": 200}
    one = consumer(**options)
    one.subscribe([topic])
    seen = []

    def poll(*readers):
        for reader in readers:
            if (message := reader.poll(0.02)) is not None and not message.error():
                seen.append(message.value())

    def share(reader, count):
        return len(reader.assignment()) == count

    eventually(lambda: poll(one) or share(one, 4), "all to the only member")
    two = consumer(**options)
    two.subscribe([topic])
    eventually(lambda: poll(one, two) or share(one, 2) and share(two, 2), "two each")
    sender = producer()
    for at in range(40):
        sender.produce(topic, b"%d" % at, partition=at % 4)
    sender.flush(10)
    eventually(lambda: poll(one, two) or len(seen) >= 40, "forty records")
    assert sorted(map(int, seen)) == list(range(40))
    for reader in (one, two):
        reader.commit(asynchronous=False)
    two.close()
    eventually(lambda: poll(one) or share(one, 4), "the leaver's come back")
    send(sender, topic, b"40")
    eventually(lambda: poll(one) or len(seen) >= 41, "the last")
    assert sorted(map(int, seen)) == list(range(41))


def configure_group(admin, group, name, value):
    entry = ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)


def test_commits(producer, consumer, topic, unique):
    group = unique("g")
    send(producer(), topic, b"a", b"b", b"c", b"d")
    place = TopicPartition(topic, 0)
    reader = consumer(group_id=group)
    reader.subscribe([topic])
    messages = take(reader, 4)
    reader.commit(message=messages[1], asynchronous=False)
    (found,) = reader.committed([place], timeout=10)
    assert found.offset == 2
    reader.close()
    reader = consumer(group_id=group)
    reader.subscribe([topic])
    assert values(take(reader, 2)) == [b"c", b"d"]
    (done,) = reader.commit(
        offsets=[TopicPartition(topic, 0, 3, metadata="three")], asynchronous=False
    )
    assert done.error is None
    reader.close()
    reader = consumer(group_id=group, enable_auto_commit=True, auto_commit_interval_ms=50)
    reader.subscribe([topic])
    assert values(take(reader, 1)) == [b"d"]
    reader.close()
    (found,) = consumer(group_id=group).committed([place], timeout=10)
    assert found.offset == 4


def test_static_member(consumer, new_topic, unique):
    topic, group = new_topic(partitions=2), unique("g")
    options = {"group_id": group, "group_instance_id": "one", "session_timeout_ms": 6000}
    first = consumer(**options)
    first.subscribe([topic])
    eventually(lambda: first.poll(0.05) or len(first.assignment()) == 2, "an assignment")
    second = consumer(**options)
    second.subscribe([topic])
    eventually(lambda: second.poll(0.05) or len(second.assignment()) == 2, "the successor's")
    # Found out by a heartbeat, within three seconds.
    fenced = eventually(lambda: fatal(first), "the first is fenced")
    assert fenced == KafkaError.FENCED_INSTANCE_ID


def fatal(reader):
    try:
        message = reader.poll(0.1)
        error = message and message.error()
    except KafkaException as thrown:
        error = thrown.args[0]
    if error and error.code() == KafkaError._FATAL:
        return KafkaError.FENCED_INSTANCE_ID if "fenced" in error.str().lower() else error.code()
    return error and error.code()


def test_pattern(producer, consumer, admin, unique):
    prefix = unique("pattern")
    for name in ("a", "b"):
        admin.create_topics([NewTopic(f"{prefix}-{name}", 1, 1)])[f"{prefix}-{name}"].result(10)
    reader = consumer()
    reader.subscribe([f"^{prefix}-.*"])
    eventually(lambda: reader.poll(0.05) or len(reader.assignment()) == 2, "both topics")


def test_topics(admin, unique):
    name = unique("admin")
    admin.create_topics([NewTopic(name, 3, 1, config={"retention.ms": "3600000"})])[name].result(10)
    described = admin.list_topics(topic=name, timeout=10).topics[name]
    assert sorted(described.partitions) == [0, 1, 2]
    (found,) = admin.describe_topics(TopicCollection([name])).values()
    assert len(found.result(10).partitions) == 3
    with pytest.raises(KafkaException) as refused:
        admin.create_topics([NewTopic(name, 3, 1)])[name].result(10)
    assert refused.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    admin.create_partitions([NewPartitions(name, 5)])[name].result(10)
    eventually(lambda: len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5)
    with pytest.raises(KafkaException) as refused:
        admin.create_partitions([NewPartitions(name, 2)])[name].result(10)
    assert refused.value.args[0].code() == KafkaError.INVALID_PARTITIONS
    admin.delete_topics([name])[name].result(10)
    eventually(lambda: name not in admin.list_topics(timeout=10).topics)
    with pytest.raises(KafkaException) as refused:
        admin.delete_topics([name])[name].result(10)
    assert refused.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_configs(admin, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def config(name):
        return admin.describe_configs([resource])[resource].result(10)[name]

    assert config("cleanup.policy").value == "delete"
    assert config("cleanup.policy").is_default
    entry = ConfigEntry("retention.ms", "1000000", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([change])[change].result(10)
    eventually(lambda: config("retention.ms").value == "1000000")
    # The old request replaces all.
    whole = ConfigResource(ResourceType.TOPIC, topic, set_config={"max.message.bytes": "5000"})
    admin.alter_configs([whole])[whole].result(10)
    eventually(lambda: config("max.message.bytes").value == "5000")
    assert config("retention.ms").value == "604800000"
    entry = ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    with pytest.raises(KafkaException) as refused:
        admin.incremental_alter_configs([change])[change].result(10)
    assert refused.value.args[0].code() == KafkaError.INVALID_CONFIG


def test_delete_records_and_list_offsets(producer, admin, topic):
    send(producer(), topic, b"a", b"b", b"c")
    (future,) = admin.delete_records([TopicPartition(topic, 0, 2)]).values()
    assert future.result(10).low_watermark == 2
    for spec, offset in [(OffsetSpec.earliest(), 2), (OffsetSpec.latest(), 3)]:
        (future,) = admin.list_offsets({TopicPartition(topic, 0): spec}).values()
        assert future.result(10).offset == offset


def test_groups(producer, consumer, admin, topic, unique):
    group = unique("g")
    send(producer(), topic, b"a", b"b")
    reader = consumer(group_id=group)
    reader.subscribe([topic])
    take(reader, 2)
    reader.commit(asynchronous=False)
    (future,) = admin.describe_consumer_groups([group]).values()
    found = future.result(10)
    assert found.state == ConsumerGroupState.STABLE
    assert [len(row.assignment.topic_partitions) for row in found.members] == [1]
    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([group])[group].result(10)
    assert refused.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    reader.close()
    listed = admin.list_consumer_groups().result(10).valid
    assert group in [row.group_id for row in listed]
    place = TopicPartition(topic, 0, 1)
    rows = [ConsumerGroupTopicPartitions(group, [place])]
    admin.alter_consumer_group_offsets(rows)[group].result(10)
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    assert [row.offset for row in future.result(10).topic_partitions] == [1]
    reader = consumer(group_id=group)
    reader.subscribe([topic])
    assert values(take(reader, 1)) == [b"b"]
    reader.close()
    admin.delete_consumer_groups([group])[group].result(10)
    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([group])[group].result(10)
    assert refused.value.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND


def test_cluster(admin):
    found = admin.describe_cluster().result(10)
    assert len(found.nodes) == 1
    assert len(found.cluster_id) > 10


def reader_of(consumer, topic, isolation):
    reader = consumer(isolation_level=isolation)
    reader.assign([TopicPartition(topic, 0, 0)])
    return reader


def test_transactions(producer, consumer, topic, unique):
    sender = producer(transactional_id=unique("t"))
    sender.init_transactions(10)
    sender.begin_transaction()
    send(sender, topic, b"aborted")
    committed = reader_of(consumer, topic, "read_committed")
    every = reader_of(consumer, topic, "read_uncommitted")
    assert values(take(every, 1)) == [b"aborted"]
    assert committed.poll(0.2) is None
    sender.abort_transaction(10)
    sender.begin_transaction()
    send(sender, topic, b"committed")
    sender.commit_transaction(10)
    send(producer(), topic, b"plain")
    assert values(take(committed, 2)) == [b"committed", b"plain"]
    assert values(take(every, 2)) == [b"committed", b"plain"]


def test_offsets_in_a_transaction(producer, consumer, new_topic, unique):
    source, target, group = new_topic(), new_topic(), unique("g")
    send(producer(), source, b"1", b"2", b"3")
    reader = consumer(group_id=group)
    reader.subscribe([source])
    messages = take(reader, 3)
    sender = producer(transactional_id=unique("t"))
    sender.init_transactions(10)
    for end in ("abort", "commit"):
        sender.begin_transaction()
        for message in messages:
            sender.produce(target, message.value())
        sender.send_offsets_to_transaction(
            reader.position(reader.assignment()), reader.consumer_group_metadata(), 10
        )
        getattr(sender, f"{end}_transaction")(10)
        (found,) = reader.committed([TopicPartition(source, 0)], timeout=10)
        assert found.offset == (3 if end == "commit" else -1001)
    got = take(reader_of(consumer, target, "read_committed"), 3)
    assert values(got) == [b"1", b"2", b"3"]


def test_fenced(producer, consumer, topic, unique):
    name = unique("t")
    old, young = producer(transactional_id=name), producer(transactional_id=name)
    old.init_transactions(10)
    old.begin_transaction()
    old.produce(topic, b"old")
    old.flush(10)
    young.init_transactions(10)
    with pytest.raises(KafkaException) as refused:
        old.commit_transaction(10)
    assert refused.value.args[0].code() in (
        KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH
    )
    assert refused.value.args[0].fatal()
    young.begin_transaction()
    send(young, topic, b"young")
    young.commit_transaction(10)
    assert values(take(reader_of(consumer, topic, "read_committed"), 1)) == [b"young"]


def test_list_offsets_by_isolation(producer, admin, topic, unique):
    sender = producer(transactional_id=unique("t"))
    sender.init_transactions(10)
    sender.begin_transaction()
    send(sender, topic, b"a", b"b")
    for isolation, offset in [
        (IsolationLevel.READ_COMMITTED, 0), (IsolationLevel.READ_UNCOMMITTED, 2)
    ]:
        (future,) = admin.list_offsets(
            {TopicPartition(topic, 0): OffsetSpec.latest()}, isolation_level=isolation
        ).values()
        assert future.result(10).offset == offset
    sender.commit_transaction(10)


def test_latency_of_a_waiting_consumer(producer, consumer, topic):
    """A fetch that waits is woken by the record, not by its time."""
    reader = consumer(fetch_wait_max_ms=30_000)
    reader.assign([TopicPartition(topic, 0, 0)])
    assert reader.poll(0.3) is None
    start = time.monotonic()
    send(producer(), topic, b"v")
    assert values(take(reader, 1)) == [b"v"]
    assert time.monotonic() - start < 15
