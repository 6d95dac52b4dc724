// Streams and groups: partitions, lag, and moving an offset.

import assert from 'node:assert/strict'
import { assertClean, enter, go, ok, open, until } from '../shared/browser.js'
import { api, unique } from '../shared/clients.js'
import { clicks } from '../shared/world.js'

export async function run() {
  const names = { topic: unique('clicks'), group: unique('billing') }
  await clicks(names)
  const page = await open()
  await enter(page)

  await go(page, '#/streams')
  await page.fill('main input[type=search]', names.topic)
  await until(async () => (await page.locator('tbody tr').count()) === 1, 'the topic')
  assert.match(await page.textContent('tbody tr'), /60/)
  await page.click('tbody button')
  await until(async () => (await page.locator('dialog tbody tr').count()) === 3, 'three partitions')
  await page.keyboard.press('Escape')
  await page.waitForSelector('dialog', { state: 'detached' })
  ok('a topic is a stream, with its partitions')

  await go(page, '#/groups')
  await page.fill('main input[type=search]', names.group)
  await page.click(`tbody a:has-text("${names.group}")`)
  await until(async () => (await page.locator('.card:has-text("Lag by partition") tbody tr').count()) === 3, 'three partitions')
  await until(async () => (await page.textContent('.tile:has-text("Lag") strong')) === '35', 'the lag')
  const lags = await page.locator('.card:has-text("Lag by partition") tbody tr').allTextContents()
  assert.match(lags[0], /20/)
  assert.match(lags[2], /0/)
  ok('lag by partition, the largest first')

  await page.click('[data-action=move]')
  await page.fill('dialog input[name=partition]', '2')
  await page.selectOption('dialog select[name=to]', 'offset')
  await page.fill('dialog input[name=offset]', '15')
  await page.click('dialog [data-action=dry-run]')
  await page.waitForSelector('dialog [role=status] li')
  assert.match(await page.textContent('dialog [role=status]'), /0.*15/)
  const committed = async () => (await api('GET', `/bongsu/v1/groups/${names.group}`)).partitions.find(({ partition }) => partition === 2).committed
  assert.equal(await committed(), 0)
  await page.click('dialog button[type=submit]')
  await page.waitForSelector('dialog', { state: 'detached' })
  assert.equal(await committed(), 15)
  ok('an offset is moved, after it was seen what would become of it')
  assertClean()
}
