// A small shop that has been running for a while: what the pages are looked at with.

import { connect, hold, kafka, publish, unique } from './clients.js'

/** Names that try to be something else. */
export const EVIL = '<script>alert(1)</script>"\'&<img src=x onerror=alert(2)> \u202egnp.exe\u200b'

export async function shop() {
  const { channel } = await connect()
  const names = {
    exchange: unique('orders'), audit: unique('audit'), queue: unique('orders'), idle: unique('idle'),
    dead: unique('dead'), stream: unique('events'), evil: `${unique('evil')} ${EVIL}`, long: 'ü'.repeat(127), delayed: unique('later'),
    topic: unique('clicks'), group: unique('billing'),
  }
  await channel.assertExchange(names.exchange, 'topic')
  await channel.assertExchange(names.audit, 'fanout')
  await channel.bindExchange(names.audit, names.exchange, '#')
  await channel.assertQueue(names.dead)
  await channel.assertQueue(names.queue, { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': names.dead, 'x-max-length': 100_000 } })
  await channel.assertQueue(names.idle)
  await channel.assertQueue(names.evil)
  await channel.assertQueue(names.long)
  await channel.assertQueue(names.stream, { arguments: { 'x-queue-type': 'stream' } })
  await channel.bindQueue(names.queue, names.exchange, 'order.created')
  await channel.bindQueue(names.queue, names.exchange, EVIL)
  await channel.bindQueue(names.evil, names.exchange, 'order.#')
  await channel.bindQueue(names.stream, names.audit, '')
  await publish(channel, names.queue, Array.from({ length: 40 }, (_, at) => JSON.stringify({ order: at, customer: EVIL })), {
    contentType: 'application/json', headers: { 'x-tenant': 42, [EVIL]: EVIL },
  })
  await publish(channel, names.stream, Array.from({ length: 30 }, (_, at) => `event ${at}`))

  // A consumer that holds five, and has rejected three.
  const holder = await connect()
  const { held } = await hold(holder.channel, names.queue, 8)
  await until(() => held.length >= 8)
  for (const message of held.slice(0, 3)) holder.channel.reject(message, false)
  return { names, channel, holder }
}

/** A topic of three partitions that a group has read a part of. */
export async function clicks(names) {
  const client = kafka()
  const admin = client.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: names.topic, numPartitions: 3, replicationFactor: 1 }] })
  const producer = client.producer()
  await producer.connect()
  await producer.send({ topic: names.topic, messages: Array.from({ length: 60 }, (_, at) => ({ key: `k${at}`, value: `click ${at}`, partition: at % 3 })) })
  await producer.disconnect()
  await admin.setOffsets({ groupId: names.group, topic: names.topic, partitions: [{ partition: 0, offset: '20' }, { partition: 1, offset: '5' }, { partition: 2, offset: '0' }] })
  await admin.disconnect()
}

async function until(probe) {
  const deadline = Date.now() + 15_000
  while (!probe()) {
    if (Date.now() > deadline) throw new Error('the consumer got nothing within 15 s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
