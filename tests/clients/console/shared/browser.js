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

/** Until nothing more is asked for just now. */
export const settled = (page) => page.waitForLoadState('networkidle')

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
