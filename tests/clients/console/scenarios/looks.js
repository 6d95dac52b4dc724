// A phone, Korean, the keyboard alone, and a window that nobody looks at.

import assert from 'node:assert/strict'
import { assertAccessible } from '../shared/axe.js'
import { assertClean, BASE, enter, go, ok, open, picture, settled, until } from '../shared/browser.js'
import { publish, unique } from '../shared/clients.js'
import { clicks, shop } from '../shared/world.js'

export async function run() {
  const { names, channel } = await shop()
  await clicks(names)
  await phone(names)
  await korean(names)
  await keyboard(channel)
  await hidden()
  assertClean()
}

async function phone(names) {
  const page = await open({ width: 375, height: 812, dark: true })
  await enter(page)
  const queue = `#/queues/%2F/${names.queue}`
  const hashes = ['#/', '#/queues', queue, ...['consumers', 'records', 'publish', 'schedule'].map((tab) => `${queue}/${tab}`),
    `#/queues/%2F/${names.dead}/dead`, `#/queues/%2F/${names.stream}/replay`, `#/queues/%2F/${encodeURIComponent(names.evil)}/records`, '#/streams', '#/groups', `#/groups/%2F/${names.group}`,
    '#/exchanges', `#/exchanges/%2F/${names.exchange}`, '#/connections', '#/users', '#/users/guest', '#/spaces', '#/policies', '#/settings']
  for (const [index, hash] of hashes.entries()) {
    await go(page, hash)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.equal(width, 375, `${hash} is ${width} wide`)
    await picture(page, `phone-${String(index).padStart(2, '0')}`)
  }
  await page.click('.menu')
  await page.click('nav.side a:has-text("Groups")')
  await page.waitForSelector('h1:text-is("Groups")')
  assert.equal(await page.isVisible('nav.side'), false)
  await assertAccessible(page, 'a phone')
  ok(`${hashes.length} pages fit a phone, and its menu opens and closes`)
}

async function korean(names) {
  const page = await open({ locale: 'ko-KR' })
  await enter(page)
  await page.waitForSelector('h1:text-is("개요")')
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'ko')
  await go(page, `#/queues/%2F/${names.queue}`)
  await until(async () => /프리페치/.test(await page.textContent('.why')), 'the sentence in Korean')
  await picture(page, 'korean')
  await assertAccessible(page, 'Korean')
  await page.click('[data-action=language]')
  await page.waitForSelector('.tabs a:text-is("Dead letters")')
  await page.reload()
  await page.waitForSelector('.tabs a:text-is("Dead letters")')
  ok('Korean where the browser asks for it, English where somebody chooses it')
}

async function keyboard(channel) {
  const names = Array.from({ length: 3 }, (_, at) => `${unique('keys')}-${at}`)
  for (const name of names) await channel.assertQueue(name)
  await publish(channel, names[1], ['typed'])
  const page = await open()
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve())
  const focused = () => page.evaluate(() => document.activeElement.textContent)
  await page.goto(`${BASE}/`)
  await page.waitForSelector('input[name=user]')
  await page.keyboard.type('guest')
  await press('Tab')
  await page.keyboard.type('guest')
  await press('Enter')
  await page.waitForSelector('nav.side')
  await press('?')
  await page.waitForSelector('dialog')
  await press('Escape')
  await page.waitForSelector('dialog', { state: 'detached' })
  await press('g', 'q')
  await page.waitForSelector('h1:text-is("Queues")')
  await press('/')
  await page.keyboard.type('keys-')
  await until(async () => (await page.locator('tbody tr').count()) === 3, 'three rows')
  await press('Escape')
  await page.locator('tbody a').first().focus()
  const first = await focused()
  await press('ArrowDown')
  assert.notEqual(await focused(), first)
  await press('ArrowUp')
  assert.equal(await focused(), first)
  await press('End', 'ArrowUp')
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  assert.equal(outline, 'solid', 'the focus is seen')
  const chosen = await focused()
  await press('Enter')
  await page.waitForSelector('.tabs')
  assert.match(await page.textContent('h1'), new RegExp(chosen))
  for (let steps = 0; (await focused()) !== 'Purge'; steps += 1) {
    assert.ok(steps < 60, 'Tab comes to the buttons')
    await press('Tab')
  }
  await press('Enter')
  await page.waitForSelector('dialog')
  await press('Escape')
  assert.equal(await focused(), 'Purge', 'the focus comes back')
  await page.locator('.plot').first().focus()
  await press('End', 'ArrowLeft')
  await until(async () => /Published/.test(await page.textContent('.chart .unseen')), 'the value under the marker')
  ok('by the keyboard alone: log in, search, walk, open, ask, look at a chart')
}

async function hidden() {
  const page = await open()
  await enter(page)
  await settled(page)
  const asked = []
  page.on('request', (request) => asked.push(request.url()))
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })
    document.dispatchEvent(new Event('visibilitychange'))
  })
  // Whatever was on its way is answered; from then on nothing is asked, however long it takes.
  await page.waitForTimeout(6500)
  assert.ok(asked.length <= 2, `asked while nobody looked: ${asked}`)
  asked.length = 0
  await page.evaluate(() => {
    delete document.hidden
    document.dispatchEvent(new Event('visibilitychange'))
  })
  await until(() => asked.length > 0, 'it goes on')
  ok('nothing is asked while nobody looks, and it goes on at once')
}
