// Real clients of the broker, which make what the console shows.

import { randomUUID } from 'node:crypto'
import process from 'node:process'
import amqp from 'amqplib'
import kafkajs from 'kafkajs'
import { BASE } from './browser.js'

const { Kafka, logLevel } = kafkajs
const ends = []

export const unique = (prefix) => `${prefix}-${randomUUID().slice(0, 8)}`

/** A connection with a channel, closed in the end. */
export async function connect() {
  const connection = await amqp.connect(process.env.AMQP_URL, { clientProperties: { connection_name: unique('tester') } })
  connection.on('error', () => {}) // A connection that the console closes ends with one.
  ends.push(() => connection.close())
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => {})
  return { connection, channel }
}

/** Publishes through the default exchange, confirmed. */
export async function publish(channel, queue, bodies, options = {}) {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.isBuffer(body) ? body : Buffer.from(body), options)
  await channel.waitForConfirms()
}

/** A consumer that holds what it gets: `held` are its messages. */
export async function hold(channel, queue, prefetch) {
  const held = []
  await channel.prefetch(prefetch)
  const { consumerTag } = await channel.consume(queue, (message) => { if (message) held.push(message) })
  return { held, consumerTag }
}

export function kafka() {
  return new Kafka({ clientId: 'tester', brokers: [process.env.KAFKA_BOOTSTRAP], logLevel: logLevel.NOTHING })
}

/** The API, for what a scenario needs beside the browser. */
export async function api(method, path, body) {
  const answer = await fetch(BASE + path, {
    method,
    headers: { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : null
}

export async function close() {
  for (const end of ends) await Promise.race([end().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 2000))])
}
