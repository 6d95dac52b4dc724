// The broker dies while the console is open.

import { assertClean, enter, go, ok, open, until } from '../shared/browser.js'
import { connect, publish, unique } from '../shared/clients.js'

export async function run() {
  const { channel } = await connect()
  const queue = unique('survivor')
  await channel.assertQueue(queue)
  await publish(channel, queue, ['one', 'two'])
  const page = await open({ expected: [/ERR_(CONNECTION|EMPTY|SOCKET|NETWORK|INCOMPLETE|INTERNET_DISCONNECTED)/, /status of 401/] })
  await enter(page)
  await go(page, `#/queues/%2F/${queue}`)
  // The harness answers by a SIGKILL and a start on the same ports.
  await page.context().setOffline(true)
  await page.waitForSelector('.state.down')
  console.log('KILL ME')
  ok('it is told that the broker does not answer')
  await page.context().setOffline(false)
  await page.waitForSelector('.login', { timeout: 45_000 })
  await page.fill('input[name=user]', 'guest')
  await page.fill('input[name=password]', 'guest')
  await page.press('input[name=password]', 'Enter')
  await page.waitForSelector('.tabs')
  await until(async () => (await page.textContent('.tile:has-text("Ready") strong')) === '2', 'its records')
  ok('it comes back by itself: a login later the same page is there')
  assertClean()
}
