// Names, headers and payloads that would like to be more than text.

import assert from 'node:assert/strict'
import { assertClean, enter, go, ok, open, picture, until } from '../shared/browser.js'
import { api, publish } from '../shared/clients.js'
import { EVIL, shop } from '../shared/world.js'

const MEGABYTE = 1 << 20

export async function run() {
  const { names, channel } = await shop()
  const evil = encodeURIComponent(names.evil)
  const random = Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 131) % 256))
  await publish(channel, names.evil, [EVIL, random, Buffer.alloc(MEGABYTE, '<b>x</b>'), '\u0000\u202e\u2066\ud83d\udd25', ''], { headers: { [EVIL]: EVIL }, contentType: EVIL, correlationId: EVIL.slice(0, 60) })
  const page = await open()
  await enter(page)

  for (const hash of ['#/queues', `#/queues/%2F/${evil}`, `#/queues/%2F/${encodeURIComponent(names.long)}`, `#/exchanges/%2F/${names.exchange}`, '#/exchanges', '#/connections']) {
    await go(page, hash)
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${hash} is not wider than the window`)
  }
  await go(page, `#/queues/%2F/${evil}`)
  assert.match(await page.textContent('h1'), /<script>alert\(1\)<\/script>/)
  assert.match(await page.textContent('h1'), /‹202E›gnp\.exe‹200B›/)
  assert.match(await page.title(), /‹202E›/)
  await page.click('.tabs a:has-text("Records")')
  await until(async () => (await page.locator('.record').count()) === 5, 'five records')
  for (const record of await page.locator('.record summary').all()) await record.click()
  // A record is drawn when the browser says that it was opened, which is a moment later.
  await until(async () => (await page.locator('.payload').count()) === 5, 'five payloads')
  const payloads = await page.locator('.payload').allTextContents()
  assert.equal(payloads[0], EVIL)
  assert.match(payloads[1], /^000000  00 83 06/)
  assert.ok(payloads[2].length <= 20_001 && payloads[2].startsWith('<b>x</b>'))
  assert.equal(payloads[4], '')
  assert.equal(await page.locator('main script, main img, main b:text-is("x"), .payload *').count(), 0)
  await picture(page, 'hostile')
  ok('names, headers and payloads are text, cut, and do what text does')

  await go(page, `#/exchanges/%2F/${names.exchange}`)
  await page.waitForSelector('.graph a')
  assert.equal(await page.locator('.graph script').count(), 0)
  assert.ok((await page.locator('.graph text').allTextContents()).some((text) => text.includes('<script>')))
  await page.click(`.graph a[aria-label*="${names.evil.slice(0, 13)}"]`)
  await page.waitForSelector('.tabs')
  ok('the drawing too, and its nodes lead where they say')

  const user = `u ${EVIL}`.slice(0, 60)
  await api('PUT', `/api/users/${encodeURIComponent(user)}`, { password: 'x', tags: '' })
  await go(page, `#/users/${encodeURIComponent(user)}`)
  assert.match(await page.textContent('h1'), /<script>/)
  await api('DELETE', `/api/users/${encodeURIComponent(user)}`)
  for (const hash of ['#/queues/%2F/%E0%A4%A', '#/nothing/of/the/kind/at/all', '#/queues/%2F/"><script>alert(1)</script>']) {
    await page.evaluate((to) => { location.hash = to }, hash)
    await page.waitForSelector('main h1, main > .trouble:not([hidden])')
  }
  ok('users, and addresses that are none')
  await new Promise((resolve) => setTimeout(resolve, 0))
  const { length } = await page.evaluate(() => document.querySelectorAll('script:not([src])'))
  assert.equal(length ?? 0, 0)
  assertCleanBut404()
}

/** The last address names a queue that is not there. */
function assertCleanBut404() {
  try {
    assertClean()
  } catch (error) {
    const rest = (error.actual ?? [error]).filter((text) => !/status of 404/.test(text))
    assert.deepEqual(rest, [])
  }
}
