"""aiokafka: asyncio."""

import asyncio
import contextlib

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor


class Clients(contextlib.AsyncExitStack):
    """Producers and consumers that are stopped at the end."""

    def __init__(self, bootstrap):
        super().__init__()
        self.bootstrap = bootstrap

    async def producer(self, **options):
        return await self._start(AIOKafkaProducer(bootstrap_servers=self.bootstrap, **options))

    async def consumer(self, *topics, **options):
        common = {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_max_wait_ms": 50,
        }
        return await self._start(
            AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, **(common | options))
        )

    async def _start(self, client):
        self.push_async_callback(client.stop)
        await client.start()
        return client


def run(bootstrap, scenario):
    async def whole():
        async with Clients(bootstrap) as clients:
            await asyncio.wait_for(scenario(clients), 35)

    asyncio.run(whole())


async def take(consumer, count):
    return [await consumer.getone() for _ in range(count)]


def values(records):
    return [record.value for record in records]


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_codec(bootstrap, topic, codec):
    async def scenario(clients):
        sender = await clients.producer(compression_type=codec, linger_ms=10)
        sent = [b"value %d " % at * 10 for at in range(200)]
        futures = [await sender.send(topic, value) for value in sent]
        assert [(await future).offset for future in futures] == list(range(200))
        reader = await clients.consumer(topic)
        assert values(await take(reader, 200)) == sent

    run(bootstrap, scenario)


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(bootstrap, topic, acks):
    async def scenario(clients):
        sender = await clients.producer(acks=acks)
        await sender.send_and_wait(topic, b"v", b"k", headers=[("a", b"1")], timestamp_ms=1234567)
        (record,) = await take(await clients.consumer(topic), 1)
        assert (record.key, record.value, record.timestamp) == (b"k", b"v", 1234567)
        assert record.headers == (("a", b"1"),)

    run(bootstrap, scenario)


def test_idempotent(bootstrap, topic):
    async def scenario(clients):
        sender = await clients.producer(enable_idempotence=True, max_batch_size=100)
        futures = [await sender.send(topic, b"%d" % at) for at in range(500)]
        assert [(await future).offset for future in futures] == list(range(500))

    run(bootstrap, scenario)


def test_positions(bootstrap, topic):
    async def scenario(clients):
        sender = await clients.producer()
        for at in range(5):
            await sender.send_and_wait(topic, b"%d" % at, timestamp_ms=1000 * (at + 1))
        place = TopicPartition(topic, 0)
        reader = await clients.consumer()
        reader.assign([place])
        assert await reader.beginning_offsets([place]) == {place: 0}
        assert await reader.end_offsets([place]) == {place: 5}
        assert (await reader.offsets_for_times({place: 2500}))[place].offset == 2
        reader.seek(place, 3)
        assert values(await take(reader, 2)) == [b"3", b"4"]

    run(bootstrap, scenario)


def test_out_of_range(bootstrap, topic):
    async def scenario(clients):
        place = TopicPartition(topic, 0)
        reader = await clients.consumer(auto_offset_reset="none")
        reader.assign([place])
        reader.seek(place, 50)
        with pytest.raises(errors.OffsetOutOfRangeError):
            await reader.getone()

    run(bootstrap, scenario)


ASSIGNORS = [RangePartitionAssignor, RoundRobinPartitionAssignor, StickyPartitionAssignor]


@pytest.mark.parametrize("assignor", ASSIGNORS)
def test_two_members(bootstrap, new_topic, unique, assignor):
    topic, group = new_topic(partitions=4), unique("g")

    async def scenario(clients):
        options = {
            "group_id": group,
            "partition_assignment_strategy": [assignor],
            "heartbeat_interval_ms": 100,
        }
        one = await clients.consumer(topic, **options)
        two = await clients.consumer(topic, **options)

        async def until(holds):
            while not holds():
                await one.getmany(timeout_ms=20)
                await two.getmany(timeout_ms=20)

        await until(lambda: len(one.assignment()) == len(two.assignment()) == 2)
        assert one.assignment() | two.assignment() == {TopicPartition(topic, at) for at in range(4)}
        sender = await clients.producer()
        for at in range(20):
            await sender.send(topic, b"%d" % at, partition=at % 4)
        await sender.flush()
        seen = []
        while len(seen) < 20:
            for reader in (one, two):
                for records in (await reader.getmany(timeout_ms=20)).values():
                    seen += [int(record.value) for record in records]
        assert sorted(seen) == list(range(20))
        await one.commit()
        await two.stop()
        while len(one.assignment()) < 4:
            await one.getmany(timeout_ms=20)

    run(bootstrap, scenario)


def test_commits(bootstrap, topic, unique):
    async def scenario(clients):
        group, place = unique("g"), TopicPartition(topic, 0)
        sender = await clients.producer()
        for value in (b"a", b"b", b"c"):
            await sender.send_and_wait(topic, value)
        reader = await clients.consumer(topic, group_id=group)
        await take(reader, 3)
        await reader.commit({place: 1})
        await reader.stop()
        reader = await clients.consumer(topic, group_id=group)
        assert values(await take(reader, 2)) == [b"b", b"c"]
        await reader.commit()
        assert await reader.committed(place) == 3

    run(bootstrap, scenario)


def test_transactions(bootstrap, topic, unique):
    async def scenario(clients):
        group, place = unique("g"), TopicPartition(topic, 0)
        sender = await clients.producer(transactional_id=unique("t"))
        reader = await clients.consumer(topic, isolation_level="read_committed", group_id=group)
        with contextlib.suppress(ValueError):
            async with sender.transaction():
                await sender.send_and_wait(topic, b"aborted")
                raise ValueError
        async with sender.transaction():
            await sender.send_and_wait(topic, b"committed")
            await sender.send_offsets_to_transaction({place: 2}, group)
        assert values(await take(reader, 1)) == [b"committed"]
        assert await reader.committed(place) == 2

    run(bootstrap, scenario)


def test_fenced(bootstrap, topic, unique):
    async def scenario(clients):
        name = unique("t")
        old = await clients.producer(transactional_id=name)
        await old.begin_transaction()
        await old.send_and_wait(topic, b"old")
        await clients.producer(transactional_id=name)
        with pytest.raises(errors.KafkaError):
            await old.send_and_wait(topic, b"zombie")
            await old.commit_transaction()

    run(bootstrap, scenario)


def test_admin(bootstrap, unique):
    async def scenario(clients):
        name = unique("admin")
        manager = await clients._start(Closing(bootstrap))
        await manager.create_topics([NewTopic(name, 2, 1)])
        while name not in await manager.list_topics():
            await asyncio.sleep(0.02)
        (found,) = await manager.describe_topics([name])
        assert len(found["partitions"]) == 2
        await manager.delete_topics([name])

    class Closing(AIOKafkaAdminClient):
        def __init__(self, bootstrap):
            super().__init__(bootstrap_servers=bootstrap)

        async def stop(self):
            await self.close()

    run(bootstrap, scenario)
