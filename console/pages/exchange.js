// One exchange: where its messages go, drawn and as a list; publishing to it.

import { get, path, post, remove } from '../lib/api.js';
import { ask, attempt, note, valuesOf } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { actions, badge, button, card, check, choice, empty, facts, field, input, mapping, parseLines, rateText } from '../lib/parts.js';
import { table } from '../lib/table.js';
import { marks } from './exchanges.js';
import { routingGraph } from './graph.js';

export async function draw(view) {
  const own = path`/api/exchanges/${view.space}/${view.exchange}`;
  const isDefault = view.exchange === 'amq.default';
  const title = isDefault ? t('exchange.default') : view.exchange;
  view.title(title);
  const first = await get(own, { signal: view.signal });
  const rates = h('span', {});
  const drawing = h('div', {});
  const list = table({
    label: t('queue.bindings'), size: 25, sort: 'destination', identify: (one) => `${one.destination_type}\n${one.destination}\n${one.properties_key}`,
    empty: () => empty(t('exchange.no_bindings'), t('exchange.no_bindings_hint')),
    columns: [
      { key: 'destination', title: t('exchange.to'), head: true, class: 'main', value: (one) => one.destination, cell: (one) => h('span', {}, badge(one.destination_type === 'queue' ? t('kind.queue') : t('field.exchange')), ' ', h('a', { href: target(view.space, one) }, name(one.destination))) },
      { key: 'key', title: t('field.routing_key'), value: (one) => one.routing_key, cell: (one) => name(one.routing_key) },
      { key: 'arguments', title: t('field.arguments'), narrow: false, cell: (one) => mapping(one.arguments) },
      { key: 'act', title: actions(), cell: (one) => (isDefault ? '' : button(t('queue.unbind'), () => unbind(one), { class: 'small', disabled: !view.may('work') })) },
    ],
  });
  put(view.root,
    h('div', { class: 'crumbs' }, h('a', { href: '#/exchanges' }, t('nav.exchanges')), ' › ', t('field.space'), ' ', name(view.space)),
    h('div', { class: 'head' }, h('h1', {}, isDefault ? title : name(title)), badge(name(first.type)), marks(first), h('span', { class: 'push' }),
      button(t('exchange.delete'), erase, { class: 'danger', disabled: isDefault || /^amq\./.test(view.exchange) || !view.may('work') })),
    card(t('exchange.graph'), drawing),
    h('div', { class: 'columns' },
      card(t('queue.bindings'), list.element, isDefault ? null : button(t('exchange.bind'), bind, { disabled: !view.may('work') })),
      card(t('queue.about'), facts([
        [t('field.kind'), name(first.type)], [t('field.durable'), first.durable ? t('yes') : t('no')],
        [t('field.policy'), first.policy ? name(first.policy) : t('none')],
        [t('field.arguments'), mapping(first.arguments)], [t('exchange.rates'), rates],
      ]))),
    publisher(view));

  let drawn = '';
  const refresh = view.poll(async (signal) => {
    const [exchange, bindings] = await Promise.all([get(own, { signal }), get(`${own}/bindings/source`, { signal })]);
    const stats = exchange.message_stats ?? {};
    put(rates, t('rate.in'), ' ', rateText(stats.publish_in_details?.rate ?? 0), ' · ', t('rate.out'), ' ', rateText(stats.publish_out_details?.rate ?? 0));
    list.show(bindings);
    const shape = JSON.stringify(bindings.map((one) => [one.destination, one.destination_type, one.properties_key]));
    if (shape === drawn) return;
    put(drawing, await routingGraph({ space: view.space, exchange: isDefault ? '' : view.exchange, type: first.type, bindings, signal }));
    drawn = shape;
  }, 5000);

  async function unbind(one) {
    const kind = one.destination_type === 'queue' ? 'q' : 'e';
    const done = await ask({
      title: t('queue.unbind'), verb: t('queue.unbind'), danger: true,
      text: t('queue.unbind_text', { exchange: plain(one.destination), key: plain(one.routing_key) }),
      act: () => remove(path`/api/bindings/${view.space}/e/${view.exchange}/${kind}/${one.destination}/${one.properties_key}`),
    });
    if (!done) return;
    note(t('done.deleted'));
    refresh();
  }

  async function bind() {
    const done = await ask({
      title: t('exchange.bind'), verb: t('dialog.add'),
      fields: [
        field(t('field.kind'), choice('kind', [['q', t('kind.queue')], ['e', t('field.exchange')]])),
        field(t('exchange.to'), input('to', { required: true })), field(t('field.routing_key'), input('key')),
        field(t('field.arguments'), h('textarea', { name: 'arguments', rows: '2' }), t('hint.arguments')),
      ],
      act: (form) => post(path`/api/bindings/${view.space}/e/${view.exchange}/${form.kind}/${form.to}`, { routing_key: form.key, arguments: parseLines(form.arguments) }),
    });
    if (!done) return;
    note(t('done.saved'));
    refresh();
  }

  async function erase() {
    const done = await ask({
      title: t('exchange.delete'), verb: t('exchange.delete'), danger: true, text: t('exchange.delete_text', { exchange: plain(view.exchange) }),
      fields: [check(t('queue.if_unused'), 'unused', true)], act: (form) => remove(own + (form.unused ? '?if-unused=true' : '')),
    });
    if (!done) return;
    note(t('done.deleted'));
    location.hash = '#/exchanges';
  }
}

export const target = (space, one) =>
  `#/${one.destination_type === 'queue' ? 'queues' : 'exchanges'}/${encodeURIComponent(space)}/${encodeURIComponent(one.destination)}`;

function publisher(view) {
  const form = h('form', { class: 'stack', onsubmit: async (event) => {
    event.preventDefault();
    const values = valuesOf(form);
    await attempt(async () => {
      const headers = parseLines(values.headers);
      const answer = await post(path`/api/exchanges/${view.space}/${view.exchange}/publish`, {
        properties: { delivery_mode: 2, ...(Object.keys(headers).length ? { headers } : {}) },
        routing_key: values.key, payload: values.payload, payload_encoding: 'string',
      });
      if (!answer.routed) throw new Error(t('publish.unrouted'));
    }, t('publish.sent'));
  } },
  field(t('field.routing_key'), input('key')),
  field(t('record.headers'), h('textarea', { name: 'headers', rows: '2' }), t('hint.arguments')),
  field(t('record.payload'), h('textarea', { name: 'payload', rows: '3' })),
  h('div', {}, h('button', { type: 'submit', class: 'primary', 'data-action': 'publish', disabled: !view.may('work') }, t('publish.send'))));
  return card(t('queue.publish'), form);
}
