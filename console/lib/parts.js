// The pieces pages are made of.

import { Failure } from './api.js';
import { h, name, put } from './dom.js';
import { bytes, count, DASH, duration, json, rate, short } from './format.js';
import { t, word } from './i18n.js';

/** What went wrong, in the API's own words. */
export function failureText(failure) {
  if (!(failure instanceof Failure)) return String(failure?.message ?? failure);
  if (failure.code === 'unreachable') return t('error.unreachable');
  if (failure.status === 401 || failure.status === 403) return t('error.forbidden', { reason: failure.message });
  return t('error.reason', { status: failure.status, reason: failure.message });
}

/** A number with its name above, for the top of a page. */
export function tile(title, format = short) {
  const value = h('strong', {}, DASH);
  const below = h('small', {});
  return {
    element: h('div', { class: 'tile' }, h('span', {}, title), value, below),
    show(number, more) {
      put(value, typeof number === 'number' ? format(number) : number ?? DASH);
      put(below, more ?? '');
    },
  };
}

export const tiles = (...list) => h('div', { class: 'tiles' }, list.map((one) => one.element));

export const badge = (text, kind = '', title) => h('span', { class: `badge ${kind}`, title }, text);

/** How deep a queue is, by state: a bar, and the words for those who do not see it. */
export function depthBar(depth = {}) {
  const all = STATES.reduce((sum, state) => sum + (depth[state] ?? 0), 0);
  const text = STATES.map((state) => `${word('state', state)} ${count(depth[state] ?? 0)}`).join(', ');
  return h('span', { class: 'depth', role: 'img', 'aria-label': text, title: text },
    STATES.map((state) => share(`state-${state}`, all ? (depth[state] ?? 0) / all : 0)));
}
export const STATES = ['ready', 'leased', 'waiting', 'dying'];

/** A part of a bar. Widths go through the object model: a style attribute would be refused. */
function share(kind, part) {
  const piece = h('i', { class: kind, hidden: part === 0 });
  piece.style.flexGrow = String(part);
  return piece;
}

/** A bar of one value against the largest: lag by partition. */
export function bar(value, largest, kind = '') {
  const piece = h('i', { class: kind });
  piece.style.width = `${largest > 0 ? Math.max(value > 0 ? 1 : 0, (value / largest) * 100) : 0}%`;
  return h('span', { class: 'bar', 'aria-hidden': 'true' }, piece);
}

/** Names and values, one below the other. */
export const facts = (pairs) =>
  h('dl', { class: 'facts' }, pairs.filter(Boolean).map(([title, value]) => [h('dt', {}, title), h('dd', {}, value ?? DASH)]));

/** The heading of a column of buttons: only to be heard. */
export const actions = () => h('span', { class: 'unseen' }, t('field.actions'));

export const card = (title, ...content) =>
  h('section', { class: 'card' }, title && h('h2', {}, title), ...content);

export const empty = (title, hint) => [h('b', {}, title), hint && h('p', {}, hint)];

/** A labelled field of a form. */
export function field(label, control, hint) {
  const id = `f${(fields += 1)}`;
  control.id = id;
  if (hint) control.setAttribute('aria-describedby', `${id}-hint`);
  return h('div', { class: 'field' }, h('label', { for: id }, label), control,
    hint && h('small', { id: `${id}-hint` }, hint));
}
let fields = 0;

export const input = (fieldName, attributes) =>
  h('input', { name: fieldName, type: 'text', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', ...attributes });

export const check = (label, fieldName, checked = false) =>
  h('label', { class: 'check' }, h('input', { type: 'checkbox', name: fieldName, checked }), label);

export const choice = (fieldName, options, chosen) =>
  h('select', { name: fieldName }, options.map(([value, title]) => h('option', { value, selected: value === chosen }, title ?? value)));

/** A search field; typing settles for a moment before `changed` is called. */
export function search(label, initial, changed) {
  let timer = 0;
  return h('input', {
    type: 'search', class: 'search', placeholder: label, 'aria-label': label, value: initial ?? '', autocomplete: 'off', spellcheck: 'false',
    oninput: (event) => {
      clearTimeout(timer);
      const { value } = event.target;
      timer = setTimeout(() => changed(value), 250);
    },
  });
}

export const button = (text, onclick, attributes) => h('button', { type: 'button', onclick, ...attributes }, text);

/** Arguments, headers, definitions: a table of names and values. */
export function mapping(values) {
  const entries = Object.entries(values ?? {});
  if (entries.length === 0) return h('span', { class: 'faint nowrap' }, t('none'));
  return h('dl', { class: 'mapping' }, entries.map(([key, value]) => [
    h('dt', {}, name(key)), h('dd', {}, typeof value === 'object' && value !== null
      ? h('code', {}, json(value, 2000)) : name(shorten(String(value), 500)))]));
}

/** How long, and how much, a stream or a queue keeps. */
export const keptText = (retention) => [
  Number.isFinite(retention?.age_ms) && duration(retention.age_ms), Number.isFinite(retention?.bytes) && bytes(retention.bytes),
].filter(Boolean).join(' · ') || '∞';

const shorten = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

/** A rate, faint when nothing happens. */
export const rateText = (value) => h('span', { class: value ? undefined : 'faint' }, value === undefined ? DASH : rate(value));

export const size = (value) => h('span', { title: Number.isFinite(value) ? `${count(value)} B` : undefined }, bytes(value));

/** `key=value` lines as an object; a value that reads as JSON is that, anything else a string. */
export function parseLines(text) {
  const values = {};
  for (const line of text.split('\n').map((each) => each.trim()).filter(Boolean)) {
    const at = line.indexOf('=');
    if (at < 1) throw new Error(t('error.line', { line }));
    const value = line.slice(at + 1).trim();
    values[line.slice(0, at).trim()] = /^(-?\d{1,15}(\.\d+)?|true|false|null|".*"|\[.*\]|\{.*\})$/.test(value) ? JSON.parse(value) : value;
  }
  return values;
}
