"""What a Python user does with aio-pika under asyncio, one scenario a run.

Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/ python client.py SCENARIO
"""

import asyncio
import os
import sys
import uuid

import aio_pika
from aio_pika import DeliveryMode, ExchangeType, Message

PATIENCE = 20.0
URL = os.environ["AMQP_URL"]


async def soon(awaitable, what):
    try:
        return await asyncio.wait_for(awaitable, PATIENCE)
    except asyncio.TimeoutError:
        raise AssertionError(f"waited {PATIENCE} s for {what}") from None


def persistent(text):
    return Message(text.encode(), delivery_mode=DeliveryMode.PERSISTENT)


async def hello():
    connection = await aio_pika.connect(URL)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("logs", ExchangeType.FANOUT, durable=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange)
        received = asyncio.Queue()

        async def on_message(message):
            print(f"Received: {message.body.decode()}", flush=True)
            await received.put(message)

        await queue.consume(on_message, no_ack=True)
        await exchange.publish(Message(b"Hello, Broker!"), routing_key="")
        message = await soon(received.get(), "the greeting")
        assert message.body == b"Hello, Broker!", message
        assert (message.exchange, message.routing_key) == ("logs", ""), message
        assert message.redelivered is False, message


class Worker:
    """One consumer on a channel of its own, with a prefetch of one."""

    async def start(self, connection, queue):
        self.channel = await connection.channel()
        await self.channel.set_qos(prefetch_count=1)
        self.queue = await self.channel.get_queue(queue)
        self.held = asyncio.Queue()
        self.tag = await self.queue.consume(self.held.put)
        return self

    async def one(self, what):
        message = await soon(self.held.get(), what)
        assert self.held.empty(), "prefetch is 1, but holds two"
        assert message.delivery_mode == DeliveryMode.PERSISTENT, message
        return message


async def work_queue():
    connection = await aio_pika.connect(URL)
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        name = f"work-{uuid.uuid4()}"
        queue = await channel.declare_queue(name, durable=True)
        workers = [await Worker().start(connection, name) for _ in range(2)]
        # In flight together; each is awaited until its confirm is here.
        await soon(
            asyncio.gather(
                *(
                    channel.default_exchange.publish(persistent(f"task-{number}"), name)
                    for number in range(20)
                )
            ),
            "20 confirms",
        )
        for first in range(0, 20, 2):
            held = [await worker.one(f"round {first}") for worker in workers]
            tasks = [message.body.decode() for message in held]
            assert sorted(tasks) == sorted([f"task-{first}", f"task-{first + 1}"]), tasks
            if first == 0:
                assert tasks == ["task-0", "task-1"], f"not in turn: {tasks}"
            assert not any(message.redelivered for message in held), held
            # What is requeued comes back at once, to the only one with room for it.
            for index, worker in enumerate(workers):
                if tasks[index] == "task-9":
                    await held[index].reject(requeue=True)
                    held[index] = await worker.one("task-9 again")
                    assert held[index].body == b"task-9", held[index]
                    assert held[index].redelivered is True, held[index]
            for task, message in zip(tasks, held):
                if task == "task-6":
                    await message.reject(requeue=False)
                else:
                    await message.ack()
        for worker in workers:
            await worker.queue.cancel(worker.tag)
            assert worker.held.empty()
        found = (await channel.declare_queue(name, passive=True)).declaration_result
        assert (found.message_count, found.consumer_count) == (0, 0), found
        assert await queue.get(fail=False) is None
        for worker in workers:
            await worker.channel.close()
        assert (await queue.delete()).message_count == 0


async def reconnect():
    # The robust connection finds the broker, its channels and consumers again by itself.
    connection = await aio_pika.connect_robust(URL, reconnect_interval=0.25, timeout=5)
    lost = asyncio.Event()
    connection.close_callbacks.add(lambda *_: lost.set())
    async with connection:
        publisher = await connection.channel(publisher_confirms=True)
        name = f"reconnect-{uuid.uuid4()}"
        await publisher.declare_queue(name, durable=True)

        async def publish(start, end):
            for number in range(start, end):
                await soon(
                    publisher.default_exchange.publish(persistent(str(number)), name), "a confirm"
                )

        await publish(0, 200)
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        queue = await channel.get_queue(name)
        inbox = asyncio.Queue()
        tag = await queue.consume(inbox.put)
        for number in range(20):
            message = await soon(inbox.get(), "20 messages")
            assert message.body == str(number).encode(), message
            await message.ack()
        # Fifty more, in place of those acked; they stay unsettled.
        for number in range(20, 70):
            message = await soon(inbox.get(), "50 messages")
            assert message.body == str(number).encode(), message
        await queue.declare()  # Answered after the acks before it.
        await publish(200, 210)

        print("KILL ME", flush=True)
        await soon(lost.wait(), "the kill")

        # The consumer from before the kill goes on.
        message = await asyncio.wait_for(inbox.get(), 60)
        for number in range(20, 210):
            assert message.body == str(number).encode(), f"expected {number}, got {message}"
            await message.ack()
            if number < 209:
                message = await soon(inbox.get(), f"message {number + 1} after the restart")
        await queue.cancel(tag)
        assert inbox.empty(), inbox
        found = await queue.declare()
        assert (found.message_count, found.consumer_count) == (0, 0), found
        # And so does the publisher's channel.
        await publish(210, 211)
        assert (await queue.get(timeout=PATIENCE)).body == b"210"
        await queue.delete(if_unused=False, if_empty=False)


asyncio.run({"hello": hello, "work_queue": work_queue, "reconnect": reconnect}[sys.argv[1]]())
