// Replay: what was already settled, delivered again from a time on. First the count, then the run.

import { get, post, query } from '../../lib/api.js';
import { note, valuesOf } from '../../lib/dialog.js';
import { h, plain, put, say } from '../../lib/dom.js';
import { bytes, count, moment } from '../../lib/format.js';
import { t } from '../../lib/i18n.js';
import { button, empty, field, input, parseLines } from '../../lib/parts.js';
import { follow } from './job.js';

const STEPS = 1000;
const HOUR_MS = 3_600_000;

export async function draw(view) {
  const [oldest] = (await get(query(`${view.own}/records`, { from: 'first', count: 1 }), { signal: view.signal })).items ?? [];
  if (!oldest) {
    put(view.root, h('div', { class: 'empty' }, empty(t('replay.nothing'), t('replay.nothing_hint'))));
    return;
  }
  const end = Date.now();
  const start = Math.min(oldest.at, end - 1000);
  const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  const slider = h('input', { type: 'range', min: '0', max: String(STEPS), value: String(Math.round(STEPS * Math.max(0, 1 - HOUR_MS / (end - start)))), 'aria-label': t('replay.from') });
  const exact = input('from', { type: 'datetime-local', step: '1', min: local(start), max: local(end) });
  const chosen = h('output', { class: 'chosen' });
  const result = h('p', { class: 'result', role: 'status' });
  const run = button(t('replay.run'), go, { class: 'primary', disabled: true, 'data-action': 'run' });
  let from = 0;

  const set = (ms, bySlider) => {
    from = ms;
    say(chosen, moment(ms));
    slider.setAttribute('aria-valuetext', moment(ms));
    if (bySlider) exact.value = local(ms);
    else slider.value = String(Math.round(((ms - start) / (end - start)) * STEPS));
    stale();
  };
  const stale = () => {
    run.disabled = true;
    say(result, '');
  };
  slider.addEventListener('input', () => set(start + ((end - start) * Number(slider.value)) / STEPS, true));
  exact.addEventListener('input', () => { if (exact.value) set(new Date(exact.value).getTime(), false); });

  const form = h('form', { class: 'card stack', onsubmit: (event) => { event.preventDefault(); dry(); }, oninput: stale },
    h('div', { class: 'field' }, h('div', { class: 'ends' }, h('span', {}, moment(start)), chosen, h('span', {}, t('time.now'))), slider),
    field(t('replay.from'), exact),
    field(t('replay.until'), input('until', { type: 'datetime-local', step: '1' }), t('replay.until_hint')),
    field(t('replay.to'), input('to', { placeholder: view.queue }), t('replay.to_hint')),
    field(t('replay.filter'), h('textarea', { name: 'filter', rows: '2', placeholder: 'x-tenant=42' }), t('replay.filter_hint')),
    field(t('replay.rate'), input('rate', { type: 'number', min: '1', placeholder: '∞' })),
    h('div', { class: 'row' }, h('button', { type: 'submit', 'data-action': 'dry-run' }, t('replay.dry_run')), run), result);
  put(view.root, h('p', { class: 'faint' }, t('replay.about')), form);
  set(start + ((end - start) * Number(slider.value)) / STEPS, true);

  function body(dry_run) {
    const values = valuesOf(form);
    const filter = Object.fromEntries(Object.entries(parseLines(values.filter)).map(([key, value]) => [key, String(value)]));
    return {
      from: new Date(from).toISOString(), until: values.until ? new Date(values.until).toISOString() : undefined,
      to: values.to || undefined, filter: Object.keys(filter).length ? filter : undefined,
      rate: values.rate ? Number(values.rate) : undefined, dry_run,
    };
  }

  async function dry() {
    try {
      const answer = await post(`${view.own}/replay`, body(true), { signal: view.signal });
      view.failed(null);
      say(result, t('replay.would', { count: count(answer.count), bytes: bytes(answer.bytes) }));
      run.disabled = !(answer.count > 0) || !view.may('work');
    } catch (failure) {
      if (failure.name !== 'AbortError') view.failed(failure);
    }
  }

  async function go() {
    run.disabled = true;
    try {
      const answer = await post(`${view.own}/replay`, body(false));
      const job = answer.state === 'running' ? await follow(answer.job, t('queue.replay'), view.signal) : answer;
      if (!job) return;
      const done = t('replay.done', { count: count(job.moved) }) + (job.error ? ` ${plain(job.error)}` : '');
      say(result, done);
      note(done, Boolean(job.error));
    } catch (failure) {
      view.failed(failure);
    }
  }
}
