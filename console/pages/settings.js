// How the broker is set, how much it logs, what its own check-up says, and its definitions.

import { find, get, path, post, put as send, query } from '../lib/api.js';
import { ask, attempt, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { ago, count } from '../lib/format.js';
import { t, word } from '../lib/i18n.js';
import { badge, bar, button, card, choice, empty, field, input, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

const LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'];

export async function draw(view) {
  view.title(t('nav.settings'));
  const doctor = h('div', {});
  const levels = h('div', {});
  const jobs = h('div', {});
  let all = [];
  let filter = '';
  const settings = table({
    label: t('settings.settings'), sort: 'key', size: 100, identify: (one) => one.key, empty: () => empty(t('queues.no_match'), t('queues.no_match_hint')),
    columns: [
      { key: 'key', title: t('settings.key'), head: true, value: (one) => one.key, cell: (one) => h('code', {}, plain(one.key)) },
      { key: 'value', title: t('field.value'), cell: (one) => h('span', { class: one.is_default === false ? 'changed' : undefined }, name(one.value)) },
      { key: 'default', title: t('settings.default'), narrow: false, cell: (one) => h('span', { class: 'faint' }, name(one.default ?? '')) },
      { key: 'meaning', title: t('settings.meaning'), narrow: false, class: 'prose', cell: (one) => one.meaning ?? '' },
    ],
  });
  const showSettings = () => settings.show(all.filter((one) => `${one.key} ${one.meaning ?? ''}`.toLowerCase().includes(filter)));
  const mayChange = view.may('settings');
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.settings')), h('span', { class: 'push' }), search(t('settings.search'), '', (value) => { filter = value.toLowerCase(); settings.first(); showSettings(); })),
    card(t('settings.doctor'), doctor, button(t('settings.check'), check)),
    h('div', { class: 'columns' },
      card(t('settings.logs'), h('p', { class: 'faint' }, t('settings.logs_about')), levels),
      card(t('settings.definitions'), h('p', { class: 'faint' }, t('settings.definitions_about')), h('div', { class: 'row' },
        button(t('settings.export'), download, { disabled: !mayChange }), button(t('settings.import'), upload, { disabled: !mayChange })))),
    card(t('settings.jobs'), jobs),
    card(t('settings.settings'), h('p', { class: 'faint' }, t('settings.settings_about')), settings.element));

  all = listOf(await find('/bongsu/v1/settings', { signal: view.signal }));
  showSettings();
  await Promise.all([check(), showLevels()]);
  view.poll(async (signal) => {
    const answer = await find('/bongsu/v1/jobs', { signal });
    const list = answer?.items ?? answer ?? [];
    put(jobs, list.length === 0 ? h('p', { class: 'faint' }, t('settings.no_jobs')) : h('ul', { class: 'plain' }, list.map((job) =>
      h('li', {}, badge(word('job_kind', job.kind)), ' ', t('job.progress', { state: word('job', job.state), done: count(job.done), total: count(job.total ?? NaN) }),
        ' · ', ago(job.started_at ?? NaN), job.error ? [' ', badge(plain(job.error), 'warn')] : null, bar(job.done, job.total ?? job.done)))));
  }, 3000);

  /** What the broker finds about itself, and what can be seen from here: alarms, stuck queues. */
  async function check() {
    try {
      const [own, now, stuck] = await Promise.all([
        find('/bongsu/v1/doctor', { signal: view.signal }), find('/bongsu/v1/overview', { signal: view.signal }),
        find(query('/bongsu/v1/queues', { state: 'stuck', page_size: 1, space: view.space }), { signal: view.signal }),
      ]);
      const alarms = (now?.alarms ?? []).map((one) => ({ check: 'alarms', state: 'FAIL', found: word('alarm', one.kind, {}, one.reason) }));
      const queues = stuck?.total > 0 ? [{ check: 'queues', state: 'WARN', found: t('settings.stuck', { count: count(stuck.total) }), href: '#/queues?state=stuck' }] : [];
      const all = [...(own?.items ?? []), ...alarms, ...queues].sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
      put(doctor,
        own ? null : h('p', { class: 'faint' }, t('settings.no_doctor')),
        own && all.every((one) => one.state === 'OK') ? h('p', {}, t('settings.healthy')) : null,
        h('ul', { class: 'plain findings' }, all.map(finding)));
    } catch (failure) {
      if (failure.name !== 'AbortError') view.failed(failure);
    }
  }

  async function showLevels() {
    const answer = await find('/bongsu/v1/log-levels', { signal: view.signal });
    const entries = Object.entries(answer?.levels ?? answer ?? {}).filter(([, value]) => typeof value === 'string');
    const set = (module, level) => attempt(async () => {
      await send('/bongsu/v1/log-levels', { [module]: level || null });
      await showLevels();
    }, t('done.saved'));
    put(levels,
      entries.length ? h('dl', { class: 'facts' }, entries.map(([module, level]) => {
        const select = choice('level', [...(module === 'default' ? [] : [['', t('settings.as_default')]]), ...[...new Set([...LEVELS, level])].map((each) => [each])], level);
        select.setAttribute('aria-label', t('settings.level_of', { module: plain(module) }));
        select.disabled = !mayChange;
        select.addEventListener('change', () => set(module, select.value));
        return [h('dt', {}, name(module)), h('dd', {}, select)];
      })) : h('p', { class: 'faint' }, t('none')),
      h('p', {}), button(t('settings.add_level'), async () => {
        await ask({
          title: t('settings.add_level'), verb: t('dialog.save'),
          fields: [field(t('settings.module'), input('module', { required: true, value: 'bongsu_broker', class: 'code' })), field(t('settings.level'), choice('level', LEVELS.map((each) => [each]), 'debug'))],
          act: (form) => send('/bongsu/v1/log-levels', { [form.module]: form.level }),
        });
        showLevels();
      }, { disabled: !mayChange }));
  }

  async function download() {
    await attempt(async () => {
      const definitions = await get(view.space ? path`/api/definitions/${view.space}` : '/api/definitions');
      const link = h('a', { download: 'definitions.json' });
      link.href = URL.createObjectURL(new Blob([JSON.stringify(definitions, null, 2)], { type: 'application/json' }));
      link.click();
      URL.revokeObjectURL(link.href);
    });
  }

  async function upload() {
    const file = h('input', { type: 'file', name: 'file', accept: '.json,application/json', required: true });
    const done = await ask({
      title: t('settings.import'), verb: t('settings.import'), text: t('settings.import_text'), fields: [field(t('settings.file'), file)],
      act: async () => {
        const definitions = JSON.parse(await file.files[0].text());
        await post(view.space ? path`/api/definitions/${view.space}` : '/api/definitions', definitions);
      },
    });
    if (done) note(t('done.saved'));
  }
}

/** The worst first. */
const ORDER = ['FAIL', 'WARN', 'OK'];
const KINDS = { OK: 'good', WARN: 'warn', FAIL: 'bad' };

const finding = (one) => h('li', {}, badge(word('finding', one.state), KINDS[one.state]), h('b', {}, word('check', one.check)), h('div', {},
  one.href ? h('a', { href: one.href }, one.found) : plain(one.found),
  one.advice ? h('p', { class: 'faint' }, plain(one.advice)) : null));

function listOf(answer) {
  const list = answer?.items ?? answer?.settings ?? answer ?? [];
  return Array.isArray(list) ? list.map(shape) : Object.entries(list).map(([key, value]) => shape({ key, value }));
}

const shape = (one) => ({ ...one, value: typeof one.value === 'object' ? JSON.stringify(one.value) : String(one.value) });
