// The sentence why a queue delivers or does not, in the reader's language: in English as the
// broker says it, else built of the same facts. A cause without words here is said in English.

import { plain } from '../../lib/dom.js';
import { count, duration } from '../../lib/format.js';
import { language, t, word } from '../../lib/i18n.js';
import { badge } from '../../lib/parts.js';

/** Nothing is wrong when these are why nothing is delivered. */
const QUIET = new Set(['empty', 'all_leased', 'waiting_for_time', 'reading']);

const isQuiet = (why, kind) => QUIET.has(why.code) || (why.code === 'no_consumers' && kind === 'stream');

/** In a word whether records get out, and why not: a warning only where somebody is needed. */
export function whyBadge(why, kind) {
  if (!why?.code) return '';
  return badge(word('why', why.code), why.delivering ? 'good' : isQuiet(why, kind) ? '' : 'warn', plain(why.text));
}

/** The sentence, behind what it means for who waits. */
export function whyLine(why, kind) {
  if (!why?.code) return [];
  const mark = why.delivering ? badge(t('why.delivering'), 'good') : isQuiet(why, kind) ? null : badge(t('why.not_delivering'), 'warn');
  return [mark, mark && ' ', whyText(why)];
}

function whyText(why) {
  if (!why?.code) return '';
  if (language() === 'en') return plain(why.text ?? word('why', why.code));
  const { facts = {} } = why;
  const values = {
    ready: count(facts.ready), leased: count(facts.leased), waiting: count(facts.waiting), dying: count(facts.dying),
    consumers: count(facts.consumers), others: count(Math.max(0, (facts.consumers ?? 1) - 1)), slow: count(facts.slow),
    prefetch: facts.prefetch_min === facts.prefetch_max ? count(facts.prefetch_max) : `${count(facts.prefetch_min)}–${count(facts.prefetch_max)}`,
    keys: count((facts.locks ?? []).reduce((sum, lock) => sum + lock.keys, 0)),
    active: plain(facts.single_active_name), exchange: plain(facts.dead_letter_exchange), alarm: plain(facts.alarm),
  };
  const text = word('why_text', why.code, values, '');
  if (!text) return plain(why.text);
  const oldest = facts.oldest_lease?.leased_for_ms;
  return [
    text,
    why.code === 'waiting_for_time' && Number.isFinite(facts.next_in_ms) && t('why.next', { next: duration(facts.next_in_ms) }),
    HELD.has(why.code) && Number.isFinite(oldest) && t('why.oldest', { oldest: duration(oldest) }),
  ].filter(Boolean).join('; ');
}

/** The causes that end when somebody settles what they hold. */
const HELD = new Set(['all_leased', 'at_prefetch', 'single_active_idle', 'group_locked']);
