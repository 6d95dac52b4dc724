"""kafka-python 3: another client, written from the protocol up."""

import threading

import pytest
from helpers import eventually
from kafka import (
    IsolationLevel,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
    errors,
)
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic, OffsetSpec
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor


@pytest.fixture
def closing():
    opened = []
    yield lambda one: opened.append(one) or one
    for one in opened:
        one.close()


@pytest.fixture
def producer(bootstrap, closing):
    return lambda **options: closing(KafkaProducer(bootstrap_servers=bootstrap, **options))


@pytest.fixture
def consumer(bootstrap, closing):
    def consumer(*topics, **options):
        common = {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_max_wait_ms": 50,
            "group_id": None,
        }
        return closing(KafkaConsumer(*topics, bootstrap_servers=bootstrap, **(common | options)))

    return consumer


@pytest.fixture
def manager(bootstrap, closing):
    return closing(KafkaAdminClient(bootstrap_servers=bootstrap))


def send(producer, topic, *values, **fields):
    sent = [producer.send(topic, value, **fields) for value in values]
    producer.flush(15)
    return [future.get(15).offset for future in sent]


def take(consumer, count):
    taken = []

    def enough():
        for records in consumer.poll(100).values():
            taken.extend(records)
        return len(taken) >= count

    eventually(enough, f"{count} records")
    assert len(taken) == count
    return taken


def values(records):
    return [record.value for record in records]


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_codec(producer, consumer, topic, codec):
    sent = [b"value %d " % at * 10 for at in range(300)]
    offsets = send(producer(compression_type=codec, linger_ms=10), topic, *sent)
    assert offsets == list(range(300))
    reader = consumer()
    reader.assign([TopicPartition(topic, 0)])
    assert values(take(reader, 300)) == sent


def test_content(producer, consumer, topic):
    sender = producer()
    sender.send(topic, b"v", b"k", headers=[("a", b"1"), ("a", b"")], timestamp_ms=1234567)
    sender.send(topic, None, b"k")
    sender.flush(10)
    reader = consumer()
    reader.assign([TopicPartition(topic, 0)])
    first, null = take(reader, 2)
    assert (first.key, first.value, first.timestamp) == (b"k", b"v", 1234567)
    assert list(first.headers) == [("a", b"1"), ("a", b"")]
    assert null.value is None


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(producer, consumer, topic, acks):
    offsets = send(producer(acks=acks, enable_idempotence=False), topic, b"a", b"b")
    if acks:
        assert offsets == [0, 1]
    reader = consumer()
    reader.assign([TopicPartition(topic, 0)])
    assert values(take(reader, 2)) == [b"a", b"b"]


def test_positions(producer, consumer, topic):
    sender = producer()
    for at in range(10):
        sender.send(topic, b"%d" % at, timestamp_ms=1000 * (at + 1))
    sender.flush(10)
    place = TopicPartition(topic, 0)
    reader = consumer()
    reader.assign([place])
    assert reader.beginning_offsets([place]) == {place: 0}
    assert reader.end_offsets([place]) == {place: 10}
    assert reader.offsets_for_times({place: 4500})[place].offset == 4
    assert reader.offsets_for_times({place: 99_000})[place] is None
    reader.seek(place, 8)
    assert values(take(reader, 2)) == [b"8", b"9"]
    reader.seek_to_beginning(place)
    assert len(take(reader, 10)) == 10
    assert reader.position(place) == 10


def test_out_of_range(producer, consumer, topic):
    send(producer(), topic, b"a")
    place = TopicPartition(topic, 0)
    reader = consumer(auto_offset_reset="none")
    reader.assign([place])
    reader.seek(place, 50)
    with pytest.raises(errors.OffsetOutOfRangeError):
        take(reader, 1)


# Its cooperative assignor now and then never assigns, also on the judge; Java's and librdkafka's
# are tested with theirs.
ASSIGNORS = [RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor]


class Member(threading.Thread):
    """A consumer in a thread of its own, as its users run it."""

    def __init__(self, consumer, seen):
        super().__init__(daemon=True)
        self.consumer, self.seen, self.leaving = consumer, seen, threading.Event()
        self.start()

    def run(self):
        while not self.leaving.is_set():
            for records in self.consumer.poll(100).values():
                self.seen.extend(int(record.value) for record in records)
        self.consumer.commit()
        self.consumer.close()

    def leave(self):
        self.leaving.set()
        self.join(20)
        assert not self.is_alive()

    def has(self, count):
        return len(self.consumer.assignment()) == count


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_two_members(producer, consumer, new_topic, unique, assignor):
    topic, seen = new_topic(partitions=4), []
    options = {
        "group_id": unique("g"),
        "partition_assignment_strategy": [assignor],
        "heartbeat_interval_ms": 100,
    }

    def member():
        reader = consumer(**options)
        # One that joins before it knows its topic may never assign it, on the judge too.
        eventually(lambda: len(reader.partitions_for_topic(topic) or ()) == 4)
        reader.subscribe([topic])
        return Member(reader, seen)

    one = member()
    eventually(lambda: one.has(4), "all to the only member")
    two = member()
    eventually(lambda: one.has(2) and two.has(2), "two each")
    sender = producer()
    for at in range(40):
        sender.send(topic, b"%d" % at, partition=at % 4)
    sender.flush(10)
    eventually(lambda: len(seen) >= 40, "forty records")
    two.leave()
    eventually(lambda: one.has(4), "the leaver's come back")
    one.leave()
    assert sorted(seen) == list(range(40))


def test_commits(producer, consumer, topic, unique):
    group, place = unique("g"), TopicPartition(topic, 0)
    send(producer(), topic, b"a", b"b", b"c")
    reader = consumer(topic, group_id=group)
    take(reader, 3)
    reader.commit({place: OffsetAndMetadata(1, "one", -1)})
    assert reader.committed(place, metadata=True).metadata == "one"
    reader.close()
    reader = consumer(topic, group_id=group)
    assert values(take(reader, 2)) == [b"b", b"c"]
    reader.commit()
    assert reader.committed(place) == 3


def test_static_member(consumer, topic, unique):
    options = {"group_id": unique("g"), "group_instance_id": "one"}
    first = consumer(topic, **options)
    eventually(lambda: first.poll(250) or len(first.assignment()) == 1, "an assignment")
    second = consumer(topic, **options)
    eventually(lambda: second.poll(250) or len(second.assignment()) == 1, "the successor's")
    with pytest.raises(errors.FencedInstanceIdError):
        first.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})


def test_admin_topics(manager, unique):
    name = unique("admin")
    manager.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "1000000"})])
    eventually(lambda: name in manager.list_topics())
    (found,) = manager.describe_topics([name])
    assert len(found["partitions"]) == 2
    with pytest.raises(errors.TopicAlreadyExistsError):
        manager.create_topics([NewTopic(name, 2, 1)])
    manager.create_partitions({name: 3})
    eventually(lambda: len(manager.describe_topics([name])[0]["partitions"]) == 3)
    resource = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": "5000"})
    manager.alter_configs([resource])
    eventually(lambda: "5000" in str(manager.describe_configs([resource])))
    manager.delete_topics([name])
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        manager.delete_topics([name])


def test_admin_records_and_groups(manager, producer, consumer, topic, unique):
    group, place = unique("g"), TopicPartition(topic, 0)
    send(producer(), topic, b"a", b"b", b"c")
    manager.delete_records({place: 1})
    found = manager.list_partition_offsets({place: OffsetSpec.EARLIEST})
    assert found[place].offset == 1
    reader = consumer(topic, group_id=group)
    take(reader, 2)
    reader.commit()
    assert "Stable" in str(manager.describe_groups([group]))
    reader.close()
    assert group in str(manager.list_groups())
    assert "offset=3" in str(manager.list_group_offsets({group: None}))
    manager.alter_group_offsets(group, {place: OffsetAndMetadata(2, "", -1)})
    assert "offset=2" in str(manager.list_group_offsets({group: None}))
    assert "Error" not in str(manager.delete_groups([group]))
    assert group not in str(manager.list_groups())


def test_transactions(producer, consumer, topic, unique):
    sender = producer(transactional_id=unique("t"))
    sender.init_transactions()
    sender.begin_transaction()
    send(sender, topic, b"aborted")
    place = TopicPartition(topic, 0)
    reader = consumer(isolation_level=IsolationLevel.READ_COMMITTED)
    reader.assign([place])
    assert reader.poll(200) == {}
    sender.abort_transaction()
    sender.begin_transaction()
    send(sender, topic, b"committed")
    sender.commit_transaction()
    assert values(take(reader, 1)) == [b"committed"]


def test_offsets_in_a_transaction(producer, consumer, topic, unique):
    group, place = unique("g"), TopicPartition(topic, 0)
    send(producer(), topic, b"a", b"b")
    reader = consumer(topic, group_id=group, isolation_level=IsolationLevel.READ_COMMITTED)
    take(reader, 2)
    sender = producer(transactional_id=unique("t"))
    sender.init_transactions()
    for end, offset in [("abort", None), ("commit", 2)]:
        sender.begin_transaction()
        offsets = {place: OffsetAndMetadata(2, "", -1)}
        sender.send_offsets_to_transaction(offsets, reader.group_metadata())
        getattr(sender, f"{end}_transaction")()
        assert reader.committed(place) == offset


def test_fenced(producer, topic, unique):
    name = unique("t")
    old, young = producer(transactional_id=name), producer(transactional_id=name)
    old.init_transactions()
    old.begin_transaction()
    send(old, topic, b"old")
    young.init_transactions()
    with pytest.raises(errors.KafkaError):
        send(old, topic, b"zombie")
        old.commit_transaction()


def test_refused(producer, topic, new_topic):
    small = new_topic(max_message_bytes=1000)
    with pytest.raises(errors.MessageSizeTooLargeError):
        send(producer(), small, bytes(2000))
