// Numbers, sizes and times as people of the chosen language write them.

import { h } from './dom.js';
import { locale, t } from './i18n.js';

const cache = new Map();

/** An Intl object, made once for each language. */
function intl(kind, options = {}) {
  const key = kind + locale() + JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl[kind](locale(), options));
  return cache.get(key);
}

export const DASH = '–';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

/** 12345 → 12,345 */
export const count = (value) =>
  isNumber(value) ? intl('NumberFormat', { maximumFractionDigits: 0 }).format(value) : DASH;

/** 12345 → 12.3K, for axes and tiles. */
export const short = (value) => {
  if (!isNumber(value)) return DASH;
  const compact = Math.abs(value) >= 10_000;
  return intl('NumberFormat', compact
    ? { notation: 'compact', maximumSignificantDigits: 3 }
    : Math.abs(value) < 10 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 }).format(value);
};

/** Records a second. */
export const rate = (value) => (isNumber(value) ? `${short(value)}/${t('unit.second')}` : DASH);

/** Bytes, in powers of 1024. */
export function bytes(value) {
  if (!isNumber(value)) return DASH;
  let power = 0;
  let rest = Math.abs(value);
  while (rest >= 1024 && power < UNITS.length - 1) {
    rest /= 1024;
    power += 1;
  }
  const digits = power === 0 || rest >= 100 ? 0 : 1;
  const number = intl('NumberFormat', { maximumFractionDigits: digits });
  return `${number.format(value < 0 ? -rest : rest)} ${UNITS[power]}`;
}
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Milliseconds in the largest one or two units that matter: 14m, 2h 5m. */
export function duration(ms) {
  if (!isNumber(ms)) return DASH;
  const sign = ms < 0 ? '−' : '';
  const size = Math.abs(ms);
  if (size < 1000) return sign + unit('millisecond', size < 10 ? Number(size.toPrecision(2)) : Math.round(size));
  for (const [index, [word, length]] of SPANS.entries()) {
    if (size < length) continue;
    const whole = Math.floor(size / length);
    const next = SPANS[index + 1];
    const rest = next && whole < 10 ? Math.floor((size % length) / next[1]) : 0;
    return sign + unit(word, whole) + (rest ? ` ${unit(next[0], rest)}` : '');
  }
  return DASH;
}
const SPANS = [['day', 86_400_000], ['hour', 3_600_000], ['minute', 60_000], ['second', 1000]];
const unit = (word, value) =>
  intl('NumberFormat', { style: 'unit', unit: word, unitDisplay: 'narrow', maximumFractionDigits: 2 }).format(value);

/** A moment (Unix ms) in full, in the reader's own time zone. */
export const moment = (ms) =>
  isNumber(ms) ? intl('DateTimeFormat', { dateStyle: 'medium', timeStyle: 'medium' }).format(ms) : DASH;

/** Hours and minutes, for axes. */
export const clock = (ms, seconds = false) =>
  intl('DateTimeFormat', {
    hour: '2-digit', minute: '2-digit', second: seconds ? '2-digit' : undefined, hourCycle: 'h23',
  }).format(ms);

/** How long ago, with the moment in full as title. */
export function ago(ms) {
  if (!isNumber(ms)) return h('span', {}, DASH);
  const stamp = new Date(ms);
  const known = !Number.isNaN(stamp.getTime());
  return h('time', { datetime: known ? stamp.toISOString() : undefined, title: known ? moment(ms) : String(ms) },
    known ? relative(ms - Date.now()) : String(ms));
}

function relative(ms) {
  const size = Math.abs(ms);
  if (size < 1500) return t('time.now');
  const [word, length] = SPANS.find(([, span]) => size >= span) ?? SPANS[SPANS.length - 1];
  return intl('RelativeTimeFormat', { numeric: 'auto', style: 'short' }).format(Math.round(ms / length), word);
}

/** 0.256 → 25.6 % */
export const percent = (part) =>
  isNumber(part) ? intl('NumberFormat', { style: 'percent', maximumFractionDigits: part < 0.1 ? 1 : 0 }).format(part) : DASH;

/** JSON for people: sorted as it came, never longer than asked for. */
export function json(value, limit = 20_000) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2) ?? '';
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
