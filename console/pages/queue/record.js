// One record as people look at it: a line in a list, and all of it when opened. Payloads are
// text in a box of their own; nothing of them is ever interpreted.

import { h, name, plain } from '../../lib/dom.js';
import { ago, bytes, count, json } from '../../lib/format.js';
import { t, word } from '../../lib/i18n.js';
import { badge, facts, mapping } from '../../lib/parts.js';

const SHOWN_MAX = 20_000;
const LINE_MAX = 160;

/** A record in a list: opened by its summary. `lead` stands before it: a box to tick, for instance. */
export function recordView(record, lead) {
  const details = h('details', { class: 'record', ontoggle: (event) => {
    // What is inside is made when it is opened first: a page may hold a hundred large payloads.
    const body = event.target.querySelector('.body');
    if (event.target.open && !body.hasChildNodes()) body.append(whole(record));
  } },
  h('summary', {},
    h('span', { class: 'offset' }, count(record.offset)),
    badge(word('state', record.state ?? (record.dead ? 'dead' : 'ready')), `state-${record.state}`),
    record.reason && badge(word('reason', record.reason), 'warn'),
    record.tries > 1 && badge(t('record.tries', { count: count(record.tries) })),
    record.routing_key && h('span', { class: 'key' }, name(record.routing_key)),
    h('span', { class: 'peek' }, line(record)),
    h('span', { class: 'faint nowrap' }, bytes(record.size), ' · ', ago(record.at))),
  h('div', { class: 'body' }));
  return lead ? h('div', { class: 'record-line' }, lead, details) : details;
}

function line(record) {
  if (record.payload_encoding === 'base64') return t('record.binary');
  const text = plain(String(record.payload ?? '').slice(0, LINE_MAX).replace(/\s+/g, ' '));
  return h('bdi', {}, text);
}

function whole(record) {
  return h('div', {},
    facts([
      [t('record.at'), ago(record.at)],
      record.exchange !== undefined && [t('field.exchange'), record.exchange === '' ? t('exchange.default') : name(record.exchange)],
      [t('field.routing_key'), name(record.routing_key ?? '')],
      record.key !== undefined && record.key !== null && [t('record.key'), name(record.key)],
      record.from_queue && [t('record.from_queue'), name(record.from_queue)],
      record.reason && [t('record.reason'), word('reason', record.reason)],
      [t('record.redelivered'), record.redelivered ? t('yes') : t('no')],
      Number.isFinite(record.tries) && [t('record.tried'), count(record.tries)],
      record.origin && [t('record.origin'), name(typeof record.origin === 'object' ? json(record.origin) : record.origin)],
      Number.isFinite(record.until) && [t('record.until'), ago(record.until)],
      record.unreadable && [t('record.unreadable'), name(record.unreadable)],
    ]),
    record.deaths?.length ? [h('h2', { class: 'minor' }, t('record.deaths')), h('ul', { class: 'plain' }, record.deaths.map(death))] : null,
    h('h2', { class: 'minor' }, t('record.properties')), mapping(record.properties),
    h('h2', { class: 'minor' }, t('record.headers')), mapping(record.headers),
    h('h2', { class: 'minor' }, t('record.payload'), ' ', h('small', { class: 'faint' }, bytes(record.size))),
    payload(record));
}

const death = (one) => h('li', {}, badge(word('reason', one.reason), 'warn'), ' ', name(one.queue), ' · ',
  t('record.times', { count: count(one.count) }), ' · ', ago(one.time ?? NaN));

function payload(record) {
  const hexed = record.payload_encoding === 'base64';
  const text = hexed ? hexdump(record.payload ?? '') : pretty(String(record.payload ?? ''));
  const cut = text.length > SHOWN_MAX;
  return [
    h('pre', { class: 'payload', tabindex: '0', dir: 'ltr', 'aria-label': t('record.payload') }, cut ? text.slice(0, SHOWN_MAX) : text),
    cut || record.payload_truncated ? h('p', { class: 'faint' }, t('record.cut')) : null,
  ];
}

/** Small JSON is laid out; everything else stays as it came. */
function pretty(text) {
  if (text.length > SHOWN_MAX || !/^\s*[[{]/.test(text)) return text;
  try {
    return json(JSON.parse(text));
  } catch {
    return text;
  }
}

const DUMP_MAX = 2048;

function hexdump(encoded) {
  let raw;
  try {
    raw = atob(encoded.slice(0, Math.ceil(DUMP_MAX / 3) * 4));
  } catch {
    return encoded;
  }
  const lines = [];
  for (let at = 0; at < raw.length; at += 16) {
    const part = [...raw.slice(at, at + 16)].map((each) => each.charCodeAt(0));
    const hex = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join('\n');
}
