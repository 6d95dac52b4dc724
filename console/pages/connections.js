// Connections of every protocol, and the channels of one.

import { find, get, path, query, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { ago, bytes, count, duration } from '../lib/format.js';
import { t, word } from '../lib/i18n.js';
import { badge, button, card, empty, facts, mapping, rateText, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

export function draw(view) {
  return view.connection === undefined ? all(view) : one(view);
}

function all(view) {
  view.title(t('nav.connections'));
  let filter = view.query.name ?? '';
  const list = table({
    label: t('nav.connections'), sort: 'name', identify: (session) => session.name, changed: () => refresh(),
    empty: () => (filter ? empty(t('queues.no_match'), t('queues.no_match_hint')) : empty(t('connections.none'), t('connections.none_hint'))),
    columns: [
      { key: 'name', title: t('field.name'), sortable: true, head: true, class: 'main', cell: (session) => h('a', { href: linkTo(session.name) }, name(session.name)) },
      { key: 'user', title: t('login.user'), sortable: true, cell: (session) => name(session.user ?? '') },
      { key: 'vhost', title: t('field.space'), sortable: true, narrow: false, cell: (session) => name(session.vhost ?? '') },
      { key: 'protocol', title: t('field.protocol'), sortable: true, cell: protocol },
      { key: 'state', title: t('field.state'), narrow: false, cell: state },
      { key: 'channels', title: t('connections.channels'), number: true, sortable: true, narrow: false, cell: (session) => count(session.channels) },
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
    const base = view.space ? path`/api/vhosts/${view.space}/connections` : '/api/connections';
    const answer = await get(query(base, { page, page_size: size, sort, sort_reverse: reverse || undefined, name: filter, use_regex: false }), { signal });
    list.show(answer.items ?? answer, answer.filtered_count);
  });
}

export const linkTo = (connection) => `#/connections/${encodeURIComponent(connection)}`;
const client = ({ client_properties: said = {} }) => [said.connection_name, said.product ?? said.client_id, said.version].filter(Boolean).join(' · ');
const protocol = (session) => h('span', { class: 'badges' }, badge(name(session.protocol ?? '')), session.ssl && badge('TLS', 'good'));
const state = (session) => (session.state ? badge(word('connection', session.state), session.state === 'running' ? 'good' : 'warn') : '');

async function one(view) {
  view.title(view.connection);
  const own = path`/api/connections/${view.connection}`;
  const place = h('div', {});
  const marks = h('span', { class: 'badges' });
  const channels = table({
    label: t('connections.channels'), size: 25, sort: 'number', identify: (channel) => channel.number,
    empty: () => empty(t('connections.no_channels')),
    columns: [
      { key: 'number', title: t('connections.channel'), number: true, head: true, value: (channel) => channel.number, cell: (channel) => count(channel.number) },
      { key: 'mode', title: t('connections.mode'), cell: (channel) => h('span', { class: 'badges' }, channel.confirm && badge(t('connections.confirms')), channel.transactional && badge(t('connections.transactional'))) },
      { key: 'consumers', title: t('overview.consumers'), number: true, value: (channel) => channel.consumer_count, cell: (channel) => count(channel.consumer_count) },
      { key: 'prefetch', title: t('consumers.prefetch'), number: true, value: (channel) => channel.prefetch_count, cell: (channel) => (channel.prefetch_count ? count(channel.prefetch_count) : '∞') },
      { key: 'leased', title: t('state.leased'), number: true, value: (channel) => channel.messages_unacknowledged, cell: (channel) => count(channel.messages_unacknowledged) },
      { key: 'unconfirmed', title: t('connections.unconfirmed'), number: true, narrow: false, value: (channel) => channel.messages_unconfirmed, cell: (channel) => count(channel.messages_unconfirmed) },
      { key: 'publish', title: t('rate.publish'), number: true, narrow: false, cell: (channel) => rateText(rateOf(channel, 'publish')) },
      { key: 'deliver', title: t('rate.deliver'), number: true, narrow: false, cell: (channel) => rateText(rateOf(channel, 'deliver_get')) },
    ],
  });
  put(view.root,
    h('div', { class: 'crumbs' }, h('a', { href: '#/connections' }, t('nav.connections'))),
    h('div', { class: 'head' }, h('h1', {}, name(view.connection)), marks, h('span', { class: 'push' }),
      button(t('connections.close'), close, { class: 'danger', 'data-action': 'close', disabled: !view.may('work') })),
    card(t('queue.about'), place), card(t('connections.channels'), channels.element));

  view.poll(async (signal) => {
    const [session, open] = await Promise.all([get(own, { signal }), find(`${own}/channels`, { signal })]);
    put(marks, protocol(session), state(session));
    put(place, facts([
      [t('login.user'), name(session.user ?? '')],
      [t('field.space'), name(session.vhost ?? '')],
      [t('connections.peer'), name(`${session.peer_host ?? ''}:${session.peer_port ?? ''}`)],
      session.auth_mechanism && [t('connections.mechanism'), name(session.auth_mechanism)],
      [t('connections.since'), ago(session.connected_at ?? NaN)],
      session.timeout > 0 && [t('connections.heartbeat'), duration(session.timeout * 1000)],
      session.frame_max > 0 && [t('connections.frame'), bytes(session.frame_max)],
      [t('connections.traffic'), t('connections.traffic_text', { received: bytes(session.recv_oct), sent: bytes(session.send_oct) })],
      session.ssl && ['TLS', name([session.ssl_protocol, session.ssl_cipher, session.peer_cert_subject].filter(Boolean).join(' · '))],
      [t('connections.client'), mapping(session.client_properties)],
    ]));
    channels.show(open ?? []);
  });

  async function close() {
    const done = await ask({
      title: t('connections.close'), verb: t('connections.close'), danger: true,
      text: t('connections.close_text', { connection: plain(view.connection) }), act: () => remove(own),
    });
    if (!done) return;
    note(t('connections.closed'));
    location.hash = '#/connections';
  }
}

const rateOf = (channel, what) => channel.message_stats?.[`${what}_details`]?.rate ?? 0;
