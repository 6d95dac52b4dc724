// Logging in, and every page: drawn, clean, and without anything that axe finds.

import assert from 'node:assert/strict'
import { assertAccessible } from '../shared/axe.js'
import { assertClean, enter, go, ok, open, picture } from '../shared/browser.js'
import { api } from '../shared/clients.js'
import { clicks, shop } from '../shared/world.js'

export async function run() {
  const { names } = await shop()
  await clicks(names)
  const page = await open({ expected: [/status of 401/] })

  await enter(page, 'guest', 'wrong').catch(() => {})
  await page.waitForSelector('.login [role=alert]:not([hidden])')
  assert.equal(await page.inputValue('input[name=password]'), '')
  await assertAccessible(page, 'the login')
  ok('a wrong password is told, and nobody gets in')

  await enter(page)
  const { value } = (await page.context().cookies()).find(({ httpOnly, sameSite }) => httpOnly && sameSite === 'Strict') ?? {}
  assert.ok(value, 'a cookie that scripts cannot read')
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).includes('guest'))
  await page.reload()
  await page.waitForSelector('nav.side', { state: 'attached' })
  ok('who has logged in stays so over a reload, by a cookie alone')

  const queue = `#/queues/%2F/${names.queue}`
  const places = {
    overview: '#/', queues: '#/queues', queue, consumers: `${queue}/consumers`, records: `${queue}/records`,
    dead: `#/queues/%2F/${names.dead}/dead`, publish: `${queue}/publish`, replay: `#/queues/%2F/${names.stream}/replay`, schedule: `${queue}/schedule`,
    streams: '#/streams', groups: '#/groups', group: `#/groups/%2F/${names.group}`,
    exchanges: '#/exchanges', exchange: `#/exchanges/%2F/${names.exchange}`, default: '#/exchanges/%2F/amq.default',
    connections: '#/connections', users: '#/users', user: '#/users/guest', spaces: '#/spaces', policies: '#/policies', settings: '#/settings',
  }
  const [connection] = await api('GET', '/api/connections')
  places.connection = `#/connections/${encodeURIComponent(connection.name)}`
  for (const [name, hash] of Object.entries(places)) {
    await go(page, hash)
    assert.equal(await page.locator('main > .trouble:not([hidden])').count(), 0, `${name}: ${await page.locator('main > .trouble').textContent()}`)
    await picture(page, `light-${name}`)
    await assertAccessible(page, name)
  }
  ok(`${Object.keys(places).length} pages are drawn, and axe finds nothing in them`)

  await page.emulateMedia({ colorScheme: 'dark' })
  for (const [name, hash] of Object.entries(places)) {
    await go(page, hash)
    await picture(page, `dark-${name}`)
    await assertAccessible(page, `${name}, dark`)
  }
  await page.click(`[title="Dark or light"]`)
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light')
  ok('the same in the dark, as the system asks; a choice overrides it')

  await page.click('[data-action=logout]')
  await page.waitForSelector('.login')
  assert.equal(await page.evaluate(async () => (await fetch('/api/whoami', { headers: { 'X-Bongsu-Console': '1' } })).status), 401)
  ok('logging out ends the session for good')
  assertClean()
}
