// The dictionaries and the sources, without a browser: what a person would overlook.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { ok } from '../shared/browser.js'

const CONSOLE = new URL('../../../../console/', import.meta.url)

const files = (folder) => readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? files(new URL(`${entry.name}/`, folder)) : [new URL(entry.name, folder)])

export async function run() {
  const sources = files(CONSOLE).filter(({ pathname }) => pathname.endsWith('.js')).map((file) => [file.pathname, readFileSync(file, 'utf8')])
  const [en, ko] = ['en', 'ko'].map((language) => JSON.parse(readFileSync(new URL(`locales/${language}.json`, CONSOLE))))
  assert.deepEqual(Object.keys(ko), Object.keys(en))
  for (const key of Object.keys(en)) {
    const places = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort()
    assert.deepEqual(places(ko[key]), places(en[key]), key)
  }
  ok('both languages have the same words, with the same gaps')

  const all = sources.map(([, text]) => text).join('\n')
  const used = new Set([...all.matchAll(/\bt\(\s*'([\w.]+)'/g), ...all.matchAll(/'(nav\.\w+)'/g)].map(([, key]) => key))
  const families = new Set([...all.matchAll(/\bword\(\s*'(\w+)'/g)].map(([, family]) => family))
  assert.deepEqual([...used].filter((key) => !(key in en)), [])
  assert.deepEqual(Object.keys(en).filter((key) => !used.has(key) && !families.has(key.split('.')[0])), [])
  ok('every word that is used is there, and no other')

  const dangerous = /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|DOMParser|createContextualFragment)\b|new Function|javascript:|https?:\/\/(?!www\.w3\.org\/)/
  for (const [path, text] of sources) assert.doesNotMatch(text, dangerous, path)
  for (const file of files(CONSOLE)) {
    const text = readFileSync(file, 'utf8')
    if (file.pathname.endsWith('.html')) assert.doesNotMatch(text, /<style|style=|onload|<script(?![^>]*src=)/, file.pathname)
    if (file.pathname.endsWith('.css')) assert.doesNotMatch(text, /url\(|@import/, file.pathname)
  }
  ok('nothing makes markup of data, and nothing is fetched from elsewhere')
}
