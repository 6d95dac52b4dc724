// How the broker is: what is wrong, what flows, what has piled up, what there is.

import { find, get } from '../lib/api.js';
import { chart } from '../lib/chart.js';
import { h, name, put } from '../lib/dom.js';
import { ago, bytes, count, duration, percent, rate, short } from '../lib/format.js';
import { t, word } from '../lib/i18n.js';
import { badge, bar, card, choice, facts, tile, tiles } from '../lib/parts.js';

export async function draw(view) {
  view.title(t('nav.overview'));
  const alarms = h('div', {});
  const ready = tile(t('overview.ready'));
  const leased = tile(t('overview.leased'));
  const waiting = tile(t('state.waiting'));
  const queues = tile(t('nav.queues'));
  const streams = tile(t('nav.streams'));
  const connections = tile(t('nav.connections'));
  const consumers = tile(t('overview.consumers'));
  const commit = tile(t('overview.commit'), duration);

  let limits = {};
  const rates = chart({
    title: t('overview.rates'), format: rate,
    series: [
      { key: 'publish', title: t('rate.publish'), colour: 1 },
      { key: 'deliver', title: t('rate.deliver'), colour: 2 },
      { key: 'ack', title: t('rate.ack'), colour: 3, dashed: true },
    ],
  });
  const backlog = chart({
    title: t('overview.backlog'), format: short, whole: true,
    series: [{ key: 'ready', title: t('state.ready'), colour: 1 }, { key: 'leased', title: t('state.leased'), colour: 3 }],
  });
  const latency = chart({
    title: t('overview.latency'), format: duration,
    series: [{ key: 'commit_p99_ms', title: 'p99', colour: 5 }],
  });
  const memory = chart({
    title: t('overview.memory'), format: bytes, binary: true, limit: () => limits.memory,
    series: [{ key: 'memory_bytes', title: t('overview.used'), colour: 4 }],
  });
  const disk = chart({
    title: t('overview.disk'), format: bytes, binary: true, limit: () => limits.disk,
    series: [{ key: 'disk_free_bytes', title: t('overview.free'), colour: 6 }],
  });
  const links = chart({
    title: t('nav.connections'), format: short, whole: true,
    series: [{ key: 'connections', title: t('overview.open'), colour: 2 }],
  });
  const resources = h('div', {});
  const listeners = h('div', {});
  const minutes = choice('minutes', [5, 15, 60].map((each) => [String(each), duration(each * 60_000)]), view.query.minutes || '15');
  minutes.setAttribute('aria-label', t('overview.span'));
  minutes.addEventListener('change', () => { view.remember({ minutes: minutes.value }); refresh(); });

  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.overview')), h('span', { class: 'push' }), minutes),
    alarms,
    tiles(ready, leased, waiting, queues, streams, connections, consumers, commit),
    h('div', { class: 'charts' }, rates.element, backlog.element, links.element, latency.element, memory.element, disk.element),
    h('div', { class: 'columns' }, card(t('overview.node'), resources), card(t('overview.listeners'), listeners)));

  const rabbit = await find('/api/overview');
  showListeners(listeners, rabbit?.listeners ?? []);

  const refresh = view.poll(async (signal) => {
    const [now, past] = await Promise.all([
      get('/bongsu/v1/overview', { signal }),
      get(`/bongsu/v1/history?minutes=${minutes.value}`, { signal }),
    ]);
    const { totals = {} } = now;
    limits = { memory: now.memory?.limit, disk: now.disk?.limit };
    ready.show(totals.ready, rate(now.rates?.publish));
    leased.show(totals.leased, rate(now.rates?.deliver));
    waiting.show(totals.waiting, totals.dying ? t('overview.dying', { count: count(totals.dying) }) : '');
    queues.show(totals.queues);
    streams.show(totals.streams, totals.groups === undefined ? '' : t('overview.groups', { count: count(totals.groups) }));
    connections.show(totals.connections, t('overview.channels', { count: count(totals.channels) }));
    consumers.show(totals.consumers);
    commit.show(now.commit_ms?.p50, now.commit_ms ? `p99 ${duration(now.commit_ms.p99)}` : '');
    put(alarms, (now.alarms ?? []).map(alarm));
    showNode(resources, now);
    const points = (past.points ?? []).map((point) => ({
      ...point, commit_p99_ms: point.commit_p99_us > 0 ? point.commit_p99_us / 1000 : undefined,
    }));
    for (const each of [rates, backlog, latency, memory, disk, links]) each.show(points);
  }, 5000);
}

const alarm = (one) =>
  h('div', { class: 'trouble' }, h('b', {}, word('alarm', one.kind)), ' ', one.reason, ' ', one.since_ms ? ago(one.since_ms) : null);

function showNode(place, now) {
  const memory = now.memory ?? {};
  const disk = now.disk ?? {};
  put(place, facts([
    [t('overview.version'), now.version],
    [t('overview.uptime'), duration(now.uptime_ms)],
    [t('overview.memory'), [
      memory.limit ? t('overview.of', { part: bytes(memory.used), whole: bytes(memory.limit), percent: percent(memory.used / memory.limit) }) : bytes(memory.used),
      memory.limit ? bar(memory.used, memory.limit, memory.used > memory.limit * 0.9 ? 'bad' : '') : null]],
    [t('overview.disk'), [
      disk.total ? t('overview.free_of', { part: bytes(disk.free), whole: bytes(disk.total), limit: bytes(disk.limit) }) : bytes(disk.free),
      disk.total ? bar(disk.total - disk.free, disk.total, disk.free < disk.limit * 1.2 ? 'bad' : '') : null]],
  ]));
}

function showListeners(place, list) {
  put(place, list.length === 0 ? h('p', { class: 'faint' }, t('none')) : h('ul', { class: 'plain' }, list.map((one) =>
    h('li', {}, badge(one.protocol), ' ', name(`${one.ip_address ?? ''}:${one.port}`), one.tls ? [' ', badge('TLS', 'good')] : null))));
}
