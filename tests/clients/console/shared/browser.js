// One headless Chromium, and pages in it that are watched for what must not happen.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import process from 'node:process'
import { chromium } from 'playwright-core'

export const BASE = process.env.HTTP_URL ?? 'http://127.0.0.1:15672'
const PATIENCE_MS = 15_000
/** Where pictures go, for whoever wants to look: `SCREENSHOTS=/tmp/shots node client.js looks`. */
const PICTURES = process.env.SCREENSHOTS

let browser = null
const watched = []
/** What each page has asked for and not yet got. */
const works = new Map()
const QUIET_MS = 150

export const ok = (behaviour) => console.log(`ok ${behaviour}`)

/** A page of its own, with nothing remembered. `expected` are errors that belong to the scenario. */
export async function open({ width = 1366, height = 900, dark = false, locale = 'en-GB', expected = [] } = {}) {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  })
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', locale, acceptDownloads: true, reducedMotion: 'reduce',
  })
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  const wrong = []
  watched.push({ page, wrong, expected })
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) wrong.push(`${message.text()} at ${page.url()}`)
  })
  page.on('pageerror', (error) => wrong.push(`${error.stack} at ${page.url()}`))
  page.on('dialog', (dialog) => { wrong.push(`a dialog of the browser's: ${dialog.message()}`); dialog.dismiss() })
  const busy = { asked: new Set(), since: 0 };
  works.set(page, busy);
  const begin = (request) => { busy.asked.add(request); busy.since = Date.now(); };
  const end = (request) => { busy.asked.delete(request); busy.since = Date.now(); };
  page.on('request', begin);
  page.on('requestfinished', end);
  page.on('requestfailed', end);
  context.on('request', (request) => {
    if (!request.url().startsWith(`${BASE}/`) && !request.url().startsWith(`blob:${BASE}/`)) wrong.push(`a request to ${request.url()}`)
  })
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))
  })
  return page
}

/** Logs in through the form. */
export async function enter(page, user = 'guest', password = 'guest') {
  await page.goto(`${BASE}/`)
  await page.fill('input[name=user]', user)
  await page.fill('input[name=password]', password)
  await page.press('input[name=password]', 'Enter')
  await page.waitForSelector('nav.side', { state: 'attached' })
}

/** Goes to what is behind a # and waits until the page is drawn. */
export async function go(page, hash) {
  await page.evaluate((to) => { location.hash = to }, hash)
  await page.waitForSelector('main h1')
  await settled(page)
}

/** Until all that was asked for is answered, and nothing more is asked for just now. The browser's
 *  own "network idle" is of documents: it stays so when a page behind another # asks. */
export async function settled(page) {
  const busy = works.get(page)
  busy.since = Date.now()
  await until(() => busy.asked.size === 0 && Date.now() - busy.since > QUIET_MS, 'a quiet page')
}

export async function picture(page, name) {
  if (!PICTURES) return
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: `${PICTURES}/${name}.png` })
}

/** That nothing went wrong so far but what the scenario expects. */
export function assertClean() {
  for (const { wrong, expected } of watched) {
    const rest = wrong.filter((text) => !expected.some((pattern) => pattern.test(text)))
    assert.deepEqual(rest, [], 'errors in the browser')
  }
}

/** Waits until `probe` gives something true. */
export async function until(probe, what) {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await probe()
    if (found) return found
    assert.ok(Date.now() < deadline, `${what} within ${PATIENCE_MS} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export async function close() {
  await browser?.close()
}
