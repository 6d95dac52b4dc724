// What a Node user does with amqplib, one scenario a run.
// Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/ node client.js SCENARIO
'use strict'

const assert = require('node:assert/strict')
const { randomUUID } = require('node:crypto')
const { setTimeout: pause } = require('node:timers/promises')
const amqp = require('amqplib')

const PATIENCE_MS = 20_000
const URL = process.env.AMQP_URL

/** Deliveries as a queue that can be awaited, each wait with a deadline. */
class Inbox {
  messages = []
  waiting = null

  push = (message) => {
    assert.notEqual(message, null, 'the consumer was cancelled by the broker')
    this.messages.push(message)
    this.waiting?.()
  }

  async next(what) {
    if (this.messages.length === 0) {
      await soon(new Promise((resolve) => (this.waiting = resolve)), what)
      this.waiting = null
    }
    return this.messages.shift()
  }
}

async function soon(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

const text = (message) => message.content.toString()

async function hello() {
  const connection = await amqp.connect(URL)
  const channel = await connection.createChannel()
  await channel.assertExchange('logs', 'fanout', { durable: true })
  const { queue } = await channel.assertQueue('', { exclusive: true })
  assert.match(queue, /^amq\.gen-/)
  await channel.bindQueue(queue, 'logs', '')
  const inbox = new Inbox()
  await channel.consume(queue, inbox.push, { noAck: true })
  channel.publish('logs', '', Buffer.from('Hello, Broker!'))
  const message = await inbox.next('the greeting')
  console.log(`Received: ${text(message)}`)
  assert.equal(text(message), 'Hello, Broker!')
  assert.equal(message.fields.exchange, 'logs')
  assert.equal(message.fields.routingKey, '')
  assert.equal(message.fields.redelivered, false)
  await connection.close()
}

async function worker(connection, queue) {
  const channel = await connection.createChannel()
  await channel.prefetch(1)
  const inbox = new Inbox()
  const { consumerTag } = await channel.consume(queue, inbox.push)
  return { channel, inbox, consumerTag }
}

async function one({ inbox }, what) {
  const message = await inbox.next(what)
  assert.equal(inbox.messages.length, 0, 'prefetch is 1, but holds two')
  assert.equal(message.properties.deliveryMode, 2)
  return message
}

async function work_queue() {
  const connection = await amqp.connect(URL)
  const channel = await connection.createConfirmChannel()
  channel.on('return', (message) => assert.fail(`returned: ${text(message)}`))
  const queue = `work-${randomUUID()}`
  await channel.assertQueue(queue, { durable: true })
  const workers = [await worker(connection, queue), await worker(connection, queue)]
  for (let number = 0; number < 20; number++) {
    channel.sendToQueue(queue, Buffer.from(`task-${number}`), { persistent: true, mandatory: true })
  }
  await soon(channel.waitForConfirms(), '20 confirms')

  for (let first = 0; first < 20; first += 2) {
    const held = []
    for (const each of workers) held.push(await one(each, `round ${first}`))
    const tasks = held.map(text)
    if (first === 0) assert.deepEqual(tasks, ['task-0', 'task-1'], 'not in turn')
    assert.deepEqual(new Set(tasks), new Set([`task-${first}`, `task-${first + 1}`]))
    assert.ok(held.every((message) => !message.fields.redelivered))
    // What is requeued comes back at once, to the only one with room for it.
    const index = tasks.indexOf('task-9')
    if (index >= 0) {
      workers[index].channel.nack(held[index], false, true)
      held[index] = await one(workers[index], 'task-9 again')
      assert.equal(text(held[index]), 'task-9')
      assert.equal(held[index].fields.redelivered, true)
    }
    held.forEach((message, index) => {
      const { channel } = workers[index]
      if (text(message) === 'task-6') channel.reject(message, false)
      else channel.ack(message)
    })
  }
  for (const { channel, inbox, consumerTag } of workers) {
    await channel.cancel(consumerTag)
    assert.equal(inbox.messages.length, 0)
  }
  const found = await channel.checkQueue(queue)
  assert.deepEqual([found.messageCount, found.consumerCount], [0, 0])
  assert.equal(await channel.get(queue), false)
  for (const { channel } of workers) await channel.close()
  assert.equal((await channel.deleteQueue(queue)).messageCount, 0)
  await connection.close()
}

async function reconnect() {
  let connection = await amqp.connect(URL)
  const publisher = await connection.createConfirmChannel()
  const queue = `reconnect-${randomUUID()}`
  await publisher.assertQueue(queue, { durable: true })
  const publish = async (start, end) => {
    for (let number = start; number < end; number++) {
      publisher.sendToQueue(queue, Buffer.from(String(number)), { persistent: true })
    }
    await soon(publisher.waitForConfirms(), 'confirms')
  }
  await publish(0, 200)
  const consumer = await connection.createChannel()
  await consumer.prefetch(50)
  const inbox = new Inbox()
  await consumer.consume(queue, inbox.push)
  for (let number = 0; number < 50; number++) {
    const message = await inbox.next('50 messages')
    assert.equal(text(message), String(number))
    if (number < 20) consumer.ack(message)
  }
  // Twenty more came in place of those acked; they stay unsettled.
  await consumer.checkQueue(queue)
  await publish(200, 210)

  const closed = new Promise((resolve) => {
    connection.on('error', () => {})
    connection.on('close', resolve)
    publisher.on('error', () => {})
    consumer.on('error', () => {})
  })
  console.log('KILL ME')
  await soon(closed, 'the kill')

  connection = await again()
  const channel = await connection.createChannel()
  const rest = new Inbox()
  await channel.consume(queue, rest.push)
  let message
  for (let number = 20; number < 210; number++) {
    message = await rest.next(`message ${number} after the restart`)
    assert.equal(text(message), String(number))
  }
  channel.ack(message, true)
  assert.equal((await channel.checkQueue(queue)).messageCount, 0)
  assert.equal(rest.messages.length, 0)
  await channel.close()
  const last = await connection.createChannel()
  assert.equal((await last.deleteQueue(queue)).messageCount, 0)
  await connection.close()
}

/** Connects to the restarted broker within a bounded number of attempts. */
async function again() {
  for (let attempt = 0; attempt < 240; attempt++) {
    try {
      return await amqp.connect(URL)
    } catch {
      await pause(250)
    }
  }
  throw new Error('the broker did not come back')
}

const scenarios = { hello, work_queue, reconnect }
scenarios[process.argv[2]]().catch((error) => {
  console.error(error)
  process.exit(1)
})
