// Who reads a queue, and who holds which record for how long.

import { find, get, path, post, query } from '../../lib/api.js';
import { ask, attempt } from '../../lib/dialog.js';
import { h, name, plain, put } from '../../lib/dom.js';
import { count, duration } from '../../lib/format.js';
import { t } from '../../lib/i18n.js';
import { actions, badge, button, card, empty } from '../../lib/parts.js';
import { table } from '../../lib/table.js';
import { linkTo } from '../connections.js';
import { whyLine } from './why.js';

export async function draw(view) {
  const sentence = h('p', { class: 'why', role: 'status' });
  const readers = table({
    label: t('queue.consumers'), size: 25, sort: 'consumer', identify: (one) => `${one.consumer}\n${tagOf(one)}`,
    empty: () => empty(t('consumers.none'), t('consumers.none_hint')),
    columns: [
      { key: 'consumer', title: t('consumers.tag'), head: true, class: 'main', value: tagOf, cell: (one) => name(tagOf(one)) },
      { key: 'connection', title: t('field.connection'), narrow: false, value: (one) => one.connection, cell: (one) => connection(one.connection) },
      { key: 'prefetch', title: t('consumers.prefetch'), number: true, value: (one) => one.prefetch, cell: (one) => (one.prefetch ? count(one.prefetch) : '∞') },
      { key: 'leased', title: t('state.leased'), number: true, value: (one) => one.held, cell: (one) => count(one.held) },
      { key: 'next', title: t('consumers.next'), number: true, narrow: false, value: (one) => one.next_offset, cell: (one) => count(one.next_offset ?? NaN) },
      { key: 'active', title: t('field.state'), cell: state },
      { key: 'priority', title: t('feature.priority'), number: true, narrow: false, value: (one) => one.priority, cell: (one) => count(one.priority ?? 0) },
      { key: 'act', title: actions(), cell: (one) => (one.held > 0 && !one.reads ? button(t('consumers.release_all'), () => releaseAll(one), { class: 'small', disabled: !view.may('work') }) : '') },
    ],
  });
  // Leases come in the order of their offsets, each page from where the one before ended.
  let starts = [0];
  let size = 25;
  const leases = table({
    label: t('consumers.leases'), size, identify: (one) => one.offset, changed: () => refresh(),
    empty: () => empty(t('consumers.no_leases')),
    columns: [
      { key: 'offset', title: t('field.offset'), number: true, head: true, cell: (one) => count(one.offset) },
      { key: 'consumer', title: t('consumers.tag'), class: 'main', cell: (one) => name(tagOf(one)) },
      { key: 'connection', title: t('field.connection'), narrow: false, cell: (one) => connection(one.connection) },
      { key: 'leased_for_ms', title: t('consumers.held'), number: true, cell: (one) => h('span', { class: one.leased_for_ms > 600_000 ? 'hot' : undefined }, duration(one.leased_for_ms)) },
      { key: 'deadline', title: t('consumers.deadline'), number: true, narrow: false, cell: (one) => (Number.isFinite(one.deadline_in_ms) ? duration(one.deadline_in_ms) : t('consumers.no_deadline')) },
      { key: 'tries', title: t('record.tried'), number: true, narrow: false, cell: (one) => count(one.tries) },
      { key: 'act', title: actions(), cell: (one) => h('span', { class: 'row-actions' },
        button(t('consumers.release'), () => act(one, 'release'), { class: 'small', disabled: !view.may('work') }),
        Number.isFinite(one.deadline_in_ms) && button(t('consumers.extend'), () => act(one, 'extend', { ms: 600_000 }), { class: 'small', disabled: !view.may('work') })) },
    ],
  });
  put(view.root, sentence, card(t('queue.consumers'), readers.element), card(t('consumers.leases'), h('p', { class: 'faint' }, t('consumers.leases_about')), leases.element));

  const refresh = view.poll(async (signal) => {
    const { page } = leases.state;
    if (size !== leases.state.size) starts = [0];
    ({ size } = leases.state);
    const [why, who, held] = await Promise.all([
      find(`${view.own}/why`, { signal }), get(`${view.own}/consumers`, { signal }),
      find(query(`${view.own}/leases`, { from: starts[page - 1] ?? 0, page_size: size }), { signal }),
    ]);
    put(sentence, whyLine(why, view.first.kind));
    readers.show(who.items ?? who);
    starts[page] = held?.next ?? undefined;
    leases.show(held?.items ?? [], held?.total);
  });

  async function releaseAll(one) {
    const done = await ask({
      title: t('consumers.release_all'), verb: t('consumers.release'), danger: true,
      text: t('consumers.release_text', { consumer: plain(tagOf(one)), count: count(one.held) }),
      act: () => post(path`/bongsu/v1/queues/${view.space}/${view.queue}/consumers/${one.consumer}/release`),
    });
    if (done) refresh();
  }

  async function act(lease, verb, body = {}) {
    await attempt(() => post(`${view.own}/leases/${lease.offset}/${verb}`, body), t('done.saved'));
    refresh();
  }
}

/** A member of a share group, or who only gets, has no tag. */
const tagOf = (one) => one.tag || one.consumer || '';

function state(one) {
  if (one.active === false) return badge(t('consumers.standby'), '', t('consumers.standby_hint'));
  if (one.slow) return badge(t('consumers.slow'), 'warn', t('consumers.slow_hint'));
  if (one.at_prefetch) return badge(t('consumers.full'), 'warn', t('consumers.full_hint'));
  return badge(t('consumers.active'), 'good');
}

const connection = (id) => (id ? h('a', { href: linkTo(id) }, name(id)) : '');
