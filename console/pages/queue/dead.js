// Dead letters: why each died and where, and the way back for one, some or all of them.

import { find, get, post, query } from '../../lib/api.js';
import { ask, note, valuesOf } from '../../lib/dialog.js';
import { h, name, put } from '../../lib/dom.js';
import { ago, count } from '../../lib/format.js';
import { t, word } from '../../lib/i18n.js';
import { actions, badge, button, card, choice, empty, field, input } from '../../lib/parts.js';
import { table } from '../../lib/table.js';
import { follow } from './job.js';
import { recordView } from './record.js';

const REASONS = ['rejected', 'expired', 'maxlen', 'delivery_limit'];

export async function draw(view) {
  const picked = new Set();
  const summary = table({
    label: t('dead.summary'), size: 25, sort: 'count', reverse: true, identify: (one) => `${one.queue}\n${one.reason}`,
    empty: () => empty(t('dead.none'), t('dead.none_hint')),
    columns: [
      { key: 'queue', title: t('dead.from'), head: true, value: (one) => one.queue, cell: (one) => name(one.queue) },
      { key: 'reason', title: t('record.reason'), value: (one) => one.reason, cell: (one) => badge(word('reason', one.reason), 'warn') },
      { key: 'count', title: t('field.records'), number: true, value: (one) => one.count, cell: (one) => count(one.count) },
      { key: 'oldest', title: t('dead.oldest'), number: true, value: (one) => one.oldest, cell: (one) => ago(one.oldest ?? NaN) },
      { key: 'act', title: actions(), cell: (one) => button(t('dead.only'), () => narrow(one), { class: 'small' }) },
    ],
  });
  const form = h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); load(); } },
    field(t('record.reason'), choice('reason', [['', t('records.any')], ...REASONS.map((each) => [each, word('reason', each)])])),
    field(t('dead.from'), input('queue')),
    field(t('records.search'), input('search', { type: 'search', maxlength: '500' })),
    field(t('dead.since'), input('since', { type: 'datetime-local', step: '1' })),
    h('button', { type: 'submit', class: 'primary', 'data-action': 'search' }, t('keys.search')));
  const list = h('div', { class: 'records', 'aria-live': 'polite' });
  const more = button(t('records.more'), () => load(next), { hidden: true });
  const some = button('', () => redrive({ offsets: [...picked] }, picked.size), { 'data-action': 'redrive', disabled: true });
  const all = button(t('dead.redrive_all'), () => redrive({ all: true, ...filter() }), { 'data-action': 'redrive-all', disabled: !view.may('work') });
  let next = null;
  put(view.root, h('p', { class: 'faint' }, t('dead.about')), card(t('dead.summary'), summary.element), form,
    h('div', { class: 'row' }, some, all), list, more);
  counted();
  await Promise.all([load(), outline()]);

  function counted() {
    put(some, t('dead.redrive_some', { count: count(picked.size) }));
    some.disabled = picked.size === 0 || !view.may('work');
  }

  function narrow(one) {
    form.elements.queue.value = one.queue ?? '';
    form.elements.reason.value = one.reason ?? '';
    load();
  }

  function filter() {
    const values = valuesOf(form);
    return {
      reason: values.reason || undefined, queue: values.queue || undefined, search: values.search || undefined,
      since: values.since ? new Date(values.since).toISOString() : undefined,
    };
  }

  async function outline() {
    const answer = await find(`${view.own}/dead/summary`, { signal: view.signal });
    summary.show(answer?.by ?? []);
  }

  async function load(start) {
    try {
      const answer = await get(query(`${view.own}/dead`, { ...filter(), from: start, count: 50 }), { signal: view.signal });
      view.failed(null);
      if (start === undefined) {
        picked.clear();
        counted();
        put(list);
      }
      list.append(...(answer.items ?? []).map((record) => recordView(record, h('input', {
        type: 'checkbox', 'aria-label': t('dead.pick', { offset: count(record.offset) }),
        onchange: (event) => {
          if (event.target.checked) picked.add(record.offset);
          else picked.delete(record.offset);
          counted();
        },
      }))));
      if (!list.hasChildNodes()) put(list, h('div', { class: 'empty' }, empty(t('dead.no_match'))));
      next = answer.next;
      more.hidden = next === null || next === undefined;
    } catch (failure) {
      if (failure.name !== 'AbortError') view.failed(failure);
    }
  }

  /** Asks first what would be moved, and says so. */
  async function redrive(what, known) {
    const matched = h('p', { role: 'status' });
    const check = async () => {
      const answer = await post(`${view.own}/redrive`, { ...what, dry_run: true });
      put(matched, t('dead.would', { count: count(answer.matched ?? known) }));
    };
    const where = choice('where', [['back', t('dead.back')], ['else', t('dead.else')]]);
    const exchange = input('exchange');
    const key = input('routing_key');
    const elsewhere = h('div', { hidden: true }, field(t('field.exchange'), exchange, t('publish.exchange_hint')), field(t('field.routing_key'), key));
    where.addEventListener('change', () => { elsewhere.hidden = where.value !== 'else'; });
    check().catch(() => put(matched, t('dead.would', { count: known === undefined ? '?' : count(known) })));
    const done = await ask({
      title: t('dead.redrive'), verb: t('dead.redrive'), text: matched, fields: [field(t('dead.where'), where), elsewhere],
      act: (form) => post(`${view.own}/redrive`, {
        ...what, to: form.where === 'else' ? { exchange: form.exchange, routing_key: form.routing_key } : null,
      }),
    });
    if (!done) return;
    if (done.state === 'running') await follow(done.job, t('dead.redrive'), view.signal);
    else {
      const failed = done.failed_count ?? 0;
      note(t('dead.moved', { count: count(done.moved) }) + (failed ? ` ${t('dead.failed', { count: count(failed) })}` : ''), failed > 0);
    }
    await Promise.all([load(), outline()]);
  }
}
