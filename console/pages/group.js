// One group: lag by partition, its members, and moving its offsets.

import { get, path, post, query, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { count, duration, json } from '../lib/format.js';
import { t, word } from '../lib/i18n.js';
import { badge, bar, button, card, choice, empty, field, input, tile, tiles } from '../lib/parts.js';
import { table } from '../lib/table.js';
import { groupState } from './groups.js';

export async function draw(view) {
  view.title(view.group);
  const base = path`/bongsu/v1/groups/${view.group}`;
  const own = query(base, { space: view.space });
  const offsets = query(`${base}/offsets`, { space: view.space });
  const about = h('span', { class: 'badges' });
  const lag = tile(t('groups.lag'));
  const members = tile(t('groups.members'));
  const oldest = tile(t('groups.oldest'), duration);
  let most = 0;
  let latest = null;
  const partitions = table({
    label: t('groups.lag_by_partition'), sort: 'lag', reverse: true, identify: (one) => `${one.topic}\n${one.partition}`,
    empty: () => empty(t('groups.no_offsets'), t('groups.no_offsets_hint')),
    columns: [
      { key: 'topic', title: t('groups.topic'), head: true, class: 'main', value: (one) => one.topic, cell: (one) => name(one.topic) },
      { key: 'partition', title: t('streams.partition'), number: true, value: (one) => one.partition, cell: (one) => count(one.partition) },
      { key: 'lag', title: t('groups.lag'), number: true, value: (one) => one.lag, cell: (one) => h('span', { class: 'measure' }, bar(one.lag ?? 0, most, one.lag > 0 ? 'hot' : ''), count(one.lag)) },
      { key: 'age', title: t('groups.behind'), number: true, value: (one) => one.oldest_lag_ms, cell: (one) => duration(one.oldest_lag_ms ?? NaN) },
      { key: 'committed', title: t('groups.committed'), number: true, narrow: false, value: (one) => one.committed, cell: (one) => count(one.committed) },
      { key: 'end', title: t('streams.end'), number: true, narrow: false, value: (one) => one.end, cell: (one) => count(one.end) },
      { key: 'member', title: t('groups.member'), narrow: false, value: (one) => one.member, cell: (one) => name(one.member ?? '') },
    ],
  });
  const people = table({
    label: t('groups.members'), size: 25, sort: 'client', identify: (one) => one.id,
    empty: () => empty(t('groups.no_members'), t('groups.no_members_hint')),
    columns: [
      { key: 'client', title: t('groups.client'), head: true, value: (one) => one.client_id, cell: (one) => name(one.client_id) },
      { key: 'id', title: t('groups.member'), narrow: false, value: (one) => one.id, cell: (one) => name(one.id) },
      { key: 'host', title: t('field.host'), value: (one) => one.host, cell: (one) => name(one.host) },
      { key: 'assigned', title: t('groups.assigned'), cell: (one) => name(assigned(one.assigned)) },
    ],
  });
  put(view.root,
    h('div', { class: 'crumbs' }, h('a', { href: '#/groups' }, t('nav.groups')), ' › ', t('field.space'), ' ', name(view.space)),
    h('div', { class: 'head' }, h('h1', {}, name(view.group)), about, h('span', { class: 'push' }),
      button(t('groups.move'), move, { 'data-action': 'move', disabled: !view.may('work') }),
      button(t('groups.delete'), erase, { class: 'danger', disabled: !view.may('work') })),
    tiles(lag, members, oldest),
    card(t('groups.lag_by_partition'), partitions.element), card(t('groups.members'), people.element));

  const refresh = view.poll(async (signal) => {
    latest = await get(own, { signal });
    put(about, badge(word('group_kind', latest.kind)), groupState(latest));
    const parts = latest.partitions ?? [];
    most = Math.max(0, ...parts.map((one) => one.lag ?? 0));
    lag.show(latest.lag ?? parts.reduce((sum, one) => sum + (one.lag ?? 0), 0));
    members.show(latest.members?.length ?? 0);
    oldest.show(latest.oldest_lag_ms ?? undefined);
    partitions.show(parts);
    people.show(latest.members ?? []);
  });

  /** A dry run says what would become of each partition before anything does. */
  async function move() {
    const topics = [...new Set((latest?.partitions ?? []).map((one) => one.topic))];
    const preview = h('div', { role: 'status' });
    const to = choice('to', [['first', t('records.first')], ['last', t('groups.to_last')], ['offset', t('records.offset')], ['time', t('records.time')]]);
    const offset = input('offset', { type: 'number', min: '0', value: '0' });
    const time = input('time', { type: 'datetime-local', step: '1' });
    const topic = topics.length ? choice('topic', topics.map((each) => [each, plain(each)])) : input('topic', { required: true });
    const partition = input('partition', { type: 'number', min: '0', placeholder: t('groups.all_partitions') });
    const offsetField = field(t('records.offset'), offset);
    const timeField = field(t('records.time'), time);
    const adapt = () => {
      offsetField.hidden = to.value !== 'offset';
      timeField.hidden = to.value !== 'time';
    };
    to.addEventListener('change', adapt);
    adapt();
    const body = (dry_run) => ({
      topic: topic.value, partition: partition.value === '' ? undefined : Number(partition.value), dry_run,
      to: to.value === 'offset' ? Number(offset.value) : to.value === 'time' ? new Date(time.value).toISOString() : to.value,
    });
    const look = button(t('replay.dry_run'), async () => {
      try {
        const answer = await post(offsets, body(true));
        put(preview, planned(answer));
      } catch (failure) {
        put(preview, failure.message);
      }
    }, { 'data-action': 'dry-run' });
    const done = await ask({
      title: t('groups.move'), verb: t('groups.move'), danger: true, text: t('groups.move_text'),
      fields: [field(t('groups.topic'), topic), field(t('streams.partition'), partition), field(t('groups.to'), to), offsetField, timeField, look, preview],
      act: () => post(offsets, body(false)),
    });
    if (done) {
      note(t('done.saved'));
      refresh();
    }
  }

  async function erase() {
    const done = await ask({
      title: t('groups.delete'), verb: t('groups.delete'), danger: true,
      text: t('groups.delete_text', { group: plain(view.group) }), act: () => remove(own),
    });
    if (!done) return;
    note(t('done.deleted'));
    location.hash = '#/groups';
  }
}

function planned(answer) {
  const parts = answer?.partitions ?? [];
  if (!parts.length) return t('none');
  return h('ul', { class: 'plain' }, parts.slice(0, 50).map((one) =>
    h('li', {}, one.error ?? t('groups.planned', { partition: count(one.partition), from: count(one.from ?? NaN), to: count(one.to ?? NaN) }))));
}

function assigned(what) {
  if (Array.isArray(what)) return what.map((one) => (typeof one === 'object' && one !== null ? `${one.topic}: ${(one.partitions ?? []).join(', ')}` : one)).join(' ');
  return typeof what === 'object' && what !== null ? json(what, 500) : what ?? '';
}
