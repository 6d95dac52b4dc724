// The pictures of docs/console.md: a shop with traffic, looked at after it has run for a while.
// Not a test. For a fresh broker: the names are what the pictures shall show.
//
//   SCREENSHOTS=docs/console HTTP_URL=… AMQP_URL=… KAFKA_BOOTSTRAP=… node client.js screenshots

import { assertClean, enter, go, ok, open, picture, settled } from '../shared/browser.js'
import { connect, hold, kafka } from '../shared/clients.js'

const RUNS_MS = 100_000
const WIDE = { width: 1280, height: 840 }

export async function run() {
  const { channel } = await shop()
  const stop = traffic(channel)
  const page = await open(WIDE)
  const dark = await open({ ...WIDE, dark: true })
  const phone = await open({ width: 390, height: 800, locale: 'ko-KR' })
  for (const each of [page, dark, phone]) await enter(each)
  // Queues are drawn from when their page is opened.
  await dark.bringToFront()
  await go(dark, '#/queues/%2F/payments')
  await new Promise((resolve) => setTimeout(resolve, RUNS_MS))
  await take(dark, 'queue')
  await go(dark, '#/exchanges/%2F/shop')
  await dark.waitForSelector('.graph a')
  await take(dark, 'routing')

  await page.bringToFront()
  await go(page, '#/?minutes=5')
  await take(page, 'overview')
  await go(page, '#/queues/%2F/orders.dead/dead')
  await page.locator('.record-line input').nth(1).check()
  await page.locator('.record summary').nth(2).click()
  await page.waitForSelector('.payload')
  await take(page, 'dead-letters')
  await go(page, '#/queues/%2F/orders/replay')
  await page.locator('input[type=range]').fill('400')
  await page.click('[data-action=dry-run]')
  await page.waitForSelector('.result:not(:empty)')
  await page.setViewportSize({ width: 1280, height: 900 })
  await page.evaluate(() => scrollTo(0, 0))
  await take(page, 'replay')
  await page.setViewportSize(WIDE)
  await phone.bringToFront()
  await go(phone, '#/queues/%2F/payments')
  await take(phone, 'phone')
  await stop()
  ok('six pictures')
  assertClean()
}

async function take(page, name) {
  await settled(page)
  await picture(page, name)
}

async function shop() {
  const { channel } = await connect()
  await channel.assertExchange('shop', 'topic')
  await channel.assertExchange('audit', 'fanout')
  await channel.bindExchange('audit', 'shop', '#')
  await channel.assertQueue('orders.dead')
  const dying = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'orders.dead' }
  await channel.assertQueue('orders', { arguments: { ...dying, 'x-retention': '1h' } })
  await channel.assertQueue('payments', { arguments: { ...dying, 'x-max-length': 100_000 } })
  await channel.assertQueue('emails', { arguments: { ...dying, 'x-message-ttl': 60_000 } })
  await channel.assertQueue('reports')
  await channel.assertQueue('history', { arguments: { 'x-queue-type': 'stream' } })
  await channel.bindQueue('orders', 'shop', 'order.*')
  await channel.bindQueue('payments', 'shop', 'order.paid')
  await channel.bindQueue('emails', 'shop', 'order.created')
  await channel.bindQueue('emails', 'shop', 'order.cancelled')
  await channel.bindQueue('history', 'audit', '')
  await channel.bindQueue('reports', 'audit', '')

  const client = kafka()
  const admin = client.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'clicks', numPartitions: 6, replicationFactor: 1 }] })
  const producer = client.producer()
  await producer.connect()
  await producer.send({ topic: 'clicks', messages: Array.from({ length: 240 }, (_, at) => ({ value: `click ${at}`, partition: at % 6 })) })
  await producer.disconnect()
  await admin.setOffsets({ groupId: 'billing', topic: 'clicks', partitions: [40, 31, 38, 12, 40, 25].map((offset, partition) => ({ partition, offset: String(offset) })) })
  await admin.disconnect()
  return { channel }
}

/** Publishers of a rate that comes and goes, and consumers: quick, picky, and one that holds on. */
function traffic(channel) {
  const stopped = new AbortController()
  const begun = Date.now()
  let order = 1000
  const consumers = (async () => {
    const quick = await connect()
    await quick.channel.prefetch(50)
    await quick.channel.consume('orders', (message) => {
      if (message) setTimeout(() => (message.content.toString().includes('"total":13') ? quick.channel.reject(message, false) : quick.channel.ack(message)), 40)
    }, { consumerTag: 'shipping' })
    const slow = await connect()
    await hold(slow.channel, 'payments', 20)
  })()
  const publisher = (async () => {
    while (!stopped.signal.aborted) {
      const many = Math.round(60 + 35 * Math.sin((Date.now() - begun) / 9000) + 10 * Math.random())
      for (let each = 0; each < many; each += 1) {
        order += 1
        const kind = ['created', 'paid', 'shipped', 'created', 'cancelled'][order % 5]
        channel.publish('shop', `order.${kind}`, Buffer.from(JSON.stringify({ order, customer: `c${order % 97}`, total: order % 240, currency: 'EUR' })), {
          contentType: 'application/json', messageId: String(order), headers: { 'x-tenant': order % 4 },
        })
      }
      await channel.waitForConfirms()
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  })()
  return async () => {
    stopped.abort()
    await Promise.all([publisher, consumers])
  }
}
