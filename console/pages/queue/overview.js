// What a queue holds, how fast it moves, and the sentence why it does not.

import { find, get, path, post, remove } from '../../lib/api.js';
import { chart } from '../../lib/chart.js';
import { ask, attempt } from '../../lib/dialog.js';
import { h, name, plain, put } from '../../lib/dom.js';
import { ago, bytes, count, duration, rate, short } from '../../lib/format.js';
import { t, word } from '../../lib/i18n.js';
import { STATES, actions, button, card, depthBar, empty, facts, field, input, keptText, mapping, parseLines, tile, tiles } from '../../lib/parts.js';
import { table } from '../../lib/table.js';
import { whyLine } from './why.js';

/** What was seen of a queue while this page was open: the broker keeps no past of single queues. */
const seen = new Map();
const POINTS_MAX = 240;
const QUEUES_MAX = 20;

export async function draw(view) {
  const sentence = h('p', { class: 'why', role: 'status' });
  const bar = h('div', { class: 'big-depth' });
  const numbers = {
    ready: tile(t('state.ready')), leased: tile(t('state.leased')), waiting: tile(t('state.waiting')), dying: tile(t('state.dying')),
  };
  const age = tile(t('queue.oldest'), duration);
  const readers = tile(t('overview.consumers'));
  const weight = tile(t('field.size'), bytes);
  const rates = chart({
    title: t('overview.rates'), format: rate, series: [
      { key: 'publish', title: t('rate.publish'), colour: 1 },
      { key: 'deliver', title: t('rate.deliver'), colour: 2 },
      { key: 'ack', title: t('rate.ack'), colour: 3, dashed: true },
      { key: 'redeliver', title: t('rate.redeliver'), colour: 5, dashed: true },
    ],
  });
  const depths = chart({
    title: t('queue.depth'), format: short, whole: true,
    series: STATES.slice(0, 3).map((state, index) => ({ key: state, title: TITLES[state](), colour: [1, 3, 4][index] })),
  });
  const about = h('div', {});
  const bindings = h('div', {});
  put(view.root, sentence, bar,
    tiles(numbers.ready, numbers.leased, numbers.waiting, numbers.dying, age, readers, weight),
    h('div', { class: 'charts' }, rates.element, depths.element),
    h('div', { class: 'columns' }, card(t('queue.about'), about), card(t('queue.bindings'), bindings)));

  const showBindings = bindingsOf(view, bindings);
  showBindings();

  view.poll(async (signal) => {
    const queue = await get(view.own, { signal });
    const depth = queue.depth ?? {};
    put(sentence, whyLine(queue.why, queue.kind));
    put(bar, depthBar(depth));
    for (const state of STATES) numbers[state].show(depth[state] ?? 0);
    age.show(queue.oldest_age_ms ?? undefined);
    readers.show(Array.isArray(queue.consumers) ? queue.consumers.length : queue.consumers);
    weight.show(queue.bytes);
    const points = keep(view.own, { at: Date.now(), ...queue.rates, ...depth });
    rates.show(points);
    depths.show(points);
    put(about, facts([
      [t('field.kind'), word('kind', queue.kind)],
      [t('field.durable'), queue.durable === false ? t('no') : t('yes')],
      [t('field.policy'), queue.policy ? name(queue.policy) : t('none')],
      Number.isFinite(queue.start) && [t('queue.offsets'), `${count(queue.start)} … ${count(queue.end)}`],
      queue.retention && [t('queue.retention'), keptText(queue.retention)],
      [t('field.arguments'), mapping(queue.arguments)],
      queue.effective && [t('queue.effective'), mapping(queue.effective)],
      queue.created_at && [t('field.created'), ago(queue.created_at)],
    ]));
  }, 3000);
}

const TITLES = { ready: () => t('state.ready'), leased: () => t('state.leased'), waiting: () => t('state.waiting') };

function keep(key, point) {
  const points = seen.get(key) ?? [];
  seen.delete(key); // The queue looked at last is forgotten last.
  if (points.at(-1)?.at > point.at - 1000) points.pop();
  points.push(point);
  seen.set(key, points.slice(-POINTS_MAX));
  if (seen.size > QUEUES_MAX) seen.delete(seen.keys().next().value);
  return seen.get(key);
}

/** The bindings that lead here, with ways to add and take away. */
function bindingsOf(view, place) {
  const list = table({
    label: t('queue.bindings'), size: 25, identify: (one) => `${one.source}\n${one.properties_key}`,
    empty: () => empty(t('queue.no_bindings'), t('queue.no_bindings_hint')), sort: 'source',
    columns: [
      { key: 'source', title: t('field.exchange'), value: (one) => one.source, cell: (one) => (one.source === ''
        ? h('span', { class: 'faint' }, t('exchange.default'))
        : h('a', { href: `#/exchanges/${encodeURIComponent(view.space)}/${encodeURIComponent(one.source)}` }, name(one.source))) },
      { key: 'key', title: t('field.routing_key'), value: (one) => one.routing_key, cell: (one) => name(one.routing_key) },
      { key: 'arguments', title: t('field.arguments'), narrow: false, cell: (one) => mapping(one.arguments) },
      { key: 'act', title: actions(), cell: (one) => (one.source === '' ? '' : button(t('queue.unbind'), () => unbind(one), { class: 'small', disabled: !view.may('work') })) },
    ],
  });
  put(place, list.element, button(t('queue.bind'), bind, { disabled: !view.may('work') }));

  async function show() {
    list.show((await find(`${view.rabbit}/bindings`, { signal: view.signal })) ?? []);
  }

  async function unbind(one) {
    const done = await ask({
      title: t('queue.unbind'), verb: t('queue.unbind'), danger: true,
      text: t('queue.unbind_text', { exchange: plain(one.source), key: plain(one.routing_key) }),
      act: () => remove(path`/api/bindings/${view.space}/e/${one.source}/q/${view.queue}/${one.properties_key}`),
    });
    if (done) attempt(show, t('done.deleted'));
  }

  async function bind() {
    const done = await ask({
      title: t('queue.bind'), verb: t('dialog.add'),
      fields: [
        field(t('field.exchange'), input('exchange', { required: true })),
        field(t('field.routing_key'), input('key')),
        field(t('field.arguments'), h('textarea', { name: 'arguments', rows: '2' }), t('hint.arguments')),
      ],
      act: (form) => post(path`/api/bindings/${view.space}/e/${form.exchange}/q/${view.queue}`, { routing_key: form.key, arguments: parseLines(form.arguments) }),
    });
    if (done) attempt(show, t('done.saved'));
  }
  return show;
}
