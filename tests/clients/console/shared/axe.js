// axe-core over the page as it stands.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

const SOURCE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')

/** Asserts that axe finds nothing, at any of its levels. */
export async function assertAccessible(page, what) {
  await page.evaluate(SOURCE)
  const violations = await page.evaluate(async () => {
    const { violations: found } = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)
  })
  assert.deepEqual(violations, [], `accessibility of ${what}`)
}
