// Connections of every protocol, and the channels of one.

import { find, get, path, query, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { ago, bytes, count, duration } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { badge, button, card, empty, facts, mapping, rateText, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

export function draw(view) {
  return view.connection === undefined ? all(view) : one(view);
}

function all(view) {
  view.title(t('nav.connections'));
  let filter = view.query.name ?? '';
  const list = table({
    label: t('nav.connections'), sort: 'name', identify: (session) => session.id, changed: () => refresh(),
    empty: () => (filter ? empty(t('queues.no_match'), t('queues.no_match_hint')) : empty(t('connections.none'), t('connections.none_hint'))),
    columns: [
      { key: 'name', title: t('field.name'), sortable: true, head: true, class: 'main', cell: (session) => h('a', { href: `#/connections/${encodeURIComponent(session.id)}` }, name(session.name ?? session.id)) },
      { key: 'user', title: t('login.user'), sortable: true, cell: (session) => name(session.user ?? '') },
      { key: 'space', title: t('field.space'), sortable: true, narrow: false, cell: (session) => name(session.space ?? '') },
      { key: 'protocol', title: t('field.protocol'), sortable: true, cell: protocol },
      { key: 'state', title: t('field.state'), narrow: false, cell: state },
      { key: 'channels', title: t('connections.channels'), number: true, sortable: true, narrow: false, cell: (session) => count(channelsOf(session)) },
      { key: 'client', title: t('connections.client'), narrow: false, cell: (session) => name(client(session)) },
      { key: 'connected_at', title: t('connections.since'), number: true, sortable: true, narrow: false, cell: (session) => ago(session.connected_at ?? NaN) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.connections')), h('span', { class: 'push' }),
      search(t('connections.search'), filter, (value) => { filter = value; list.first(); refresh(); })),
    list.element);
  const refresh = view.poll(async (signal) => {
    const { page, size, sort, reverse } = list.state;
    view.remember({ name: filter });
    const answer = await get(query('/bongsu/v1/sessions', { page, page_size: size, sort, sort_reverse: reverse || undefined, name: filter, space: view.space }), { signal });
    list.show(answer.items, answer.total);
  });
}

const channelsOf = (session) => (Array.isArray(session.channels) ? session.channels.length : session.channels);
const client = (session) => session.client_name ?? session.client?.product ?? session.client?.name ?? session.client_id ?? '';
const protocol = (session) => h('span', { class: 'badges' }, badge(name(session.protocol)), session.tls && badge('TLS', 'good'));
const state = (session) => (session.blocked ? badge(t('connections.blocked'), 'warn') : session.state ? badge(session.state, session.state === 'running' ? 'good' : '') : '');

async function one(view) {
  const own = path`/bongsu/v1/sessions/${view.connection}`;
  const place = h('div', {});
  const heading = h('h1', {}, name(view.connection));
  const marks = h('span', { class: 'badges' });
  const channels = table({
    label: t('connections.channels'), size: 25, sort: 'number', identify: (channel) => channel.number ?? channel.name,
    empty: () => empty(t('connections.no_channels')),
    columns: [
      { key: 'number', title: t('connections.channel'), number: true, head: true, value: (channel) => channel.number, cell: (channel) => count(channel.number) },
      { key: 'mode', title: t('connections.mode'), cell: (channel) => h('span', { class: 'badges' }, channel.confirm && badge(t('connections.confirms')), channel.transactional && badge(t('connections.transactional'))) },
      { key: 'consumers', title: t('overview.consumers'), number: true, value: consumersOf, cell: (channel) => count(consumersOf(channel)) },
      { key: 'prefetch', title: t('consumers.prefetch'), number: true, value: prefetchOf, cell: (channel) => (prefetchOf(channel) ? count(prefetchOf(channel)) : '∞') },
      { key: 'leased', title: t('state.leased'), number: true, value: leasedOf, cell: (channel) => count(leasedOf(channel)) },
      { key: 'unconfirmed', title: t('connections.unconfirmed'), number: true, narrow: false, value: unconfirmedOf, cell: (channel) => count(unconfirmedOf(channel)) },
      { key: 'publish', title: t('rate.publish'), number: true, narrow: false, cell: (channel) => rateText(rateOf(channel, 'publish')) },
      { key: 'deliver', title: t('rate.deliver'), number: true, narrow: false, cell: (channel) => rateText(rateOf(channel, 'deliver')) },
    ],
  });
  put(view.root,
    h('div', { class: 'crumbs' }, h('a', { href: '#/connections' }, t('nav.connections'))),
    h('div', { class: 'head' }, heading, marks, h('span', { class: 'push' }),
      button(t('connections.close'), close, { class: 'danger', 'data-action': 'close', disabled: !view.may('work') })),
    card(t('queue.about'), place), card(t('connections.channels'), channels.element));

  view.poll(async (signal) => {
    const session = await get(own, { signal });
    view.title(session.name ?? session.id);
    put(heading, name(session.name ?? session.id));
    put(marks, protocol(session), state(session));
    put(place, facts([
      [t('login.user'), name(session.user ?? '')],
      [t('field.space'), name(session.space ?? '')],
      [t('connections.peer'), name(address(session))],
      session.mechanism && [t('connections.mechanism'), name(session.mechanism)],
      [t('connections.since'), ago(session.connected_at ?? NaN)],
      Number.isFinite(session.heartbeat_s) && [t('connections.heartbeat'), duration(session.heartbeat_s * 1000)],
      Number.isFinite(session.frame_max) && [t('connections.frame'), bytes(session.frame_max)],
      [t('connections.traffic'), t('connections.traffic_text', { received: bytes(session.received_bytes ?? session.bytes?.received ?? NaN), sent: bytes(session.sent_bytes ?? session.bytes?.sent ?? NaN) })],
      session.client && [t('connections.client'), mapping(session.client)],
      session.client_id && [t('connections.client_id'), name(session.client_id)],
    ]));
    const list = Array.isArray(session.channels) ? session.channels : (await find(query('/api/channels', { connection: session.id }), { signal })) ?? [];
    channels.show(Array.isArray(list) ? list : list.items ?? []);
  });

  async function close() {
    const done = await ask({
      title: t('connections.close'), verb: t('connections.close'), danger: true,
      text: t('connections.close_text', { connection: plain(heading.textContent) }), act: () => remove(own),
    });
    if (!done) return;
    note(t('connections.closed'));
    location.hash = '#/connections';
  }
}

const address = (session) => (session.peer_host ? `${session.peer_host}:${session.peer_port}` : session.peer ?? '');
const consumersOf = (channel) => channel.consumer_count ?? channel.consumers ?? 0;
const prefetchOf = (channel) => channel.prefetch_count ?? channel.prefetch ?? 0;
const leasedOf = (channel) => channel.messages_unacknowledged ?? channel.leased ?? 0;
const unconfirmedOf = (channel) => channel.messages_unconfirmed ?? channel.unconfirmed ?? 0;
const rateOf = (channel, what) => channel.rates?.[what] ?? channel.message_stats?.[`${what}_details`]?.rate ?? 0;
