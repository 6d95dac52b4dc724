// All exchanges.

import { get, path, put as send, query } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { t } from '../lib/i18n.js';
import { badge, button, check, choice, empty, field, input, parseLines, rateText, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

export const TYPES = ['direct', 'fanout', 'topic', 'headers', 'x-consistent-hash', 'x-delayed-message'];
const linkTo = (exchange) => `#/exchanges/${encodeURIComponent(exchange.vhost)}/${encodeURIComponent(exchange.name || 'amq.default')}`;

export async function draw(view) {
  view.title(t('nav.exchanges'));
  let filter = view.query.name ?? '';
  const list = table({
    label: t('nav.exchanges'), sort: 'name', identify: (exchange) => `${exchange.vhost}\n${exchange.name}`, changed: () => refresh(),
    empty: () => empty(t('queues.no_match'), t('queues.no_match_hint')),
    columns: [
      { key: 'name', title: t('field.name'), sortable: true, head: true, class: 'main', cell: (exchange) => h('a', { href: linkTo(exchange) }, exchange.name === '' ? t('exchange.default') : name(exchange.name)) },
      { key: 'vhost', title: t('field.space'), sortable: true, narrow: false, cell: (exchange) => name(exchange.vhost) },
      { key: 'type', title: t('field.kind'), sortable: true, cell: (exchange) => badge(name(exchange.type)) },
      { key: 'features', title: t('field.features'), narrow: false, cell: marks },
      { key: 'in', title: t('rate.in'), number: true, narrow: false, cell: (exchange) => rateText(exchange.message_stats?.publish_in_details?.rate ?? 0) },
      { key: 'out', title: t('rate.out'), number: true, narrow: false, cell: (exchange) => rateText(exchange.message_stats?.publish_out_details?.rate ?? 0) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.exchanges')), h('span', { class: 'push' }),
      search(t('exchanges.search'), filter, (value) => { filter = value; list.first(); refresh(); }),
      button(t('exchanges.add'), () => add(view, refresh), { class: 'primary', disabled: !view.may('work') })),
    list.element);
  const refresh = view.poll(async (signal) => {
    const { page, size, sort, reverse } = list.state;
    view.remember({ name: filter });
    const base = view.space ? path`/api/exchanges/${view.space}` : '/api/exchanges';
    const answer = await get(query(base, { page, page_size: size, sort, sort_reverse: reverse || undefined, name: filter, use_regex: false }), { signal });
    list.show(answer.items ?? answer, answer.filtered_count);
  }, 5000);
}

export const marks = (exchange) => h('span', { class: 'badges' },
  exchange.durable === false && badge(t('feature.transient')),
  exchange.auto_delete && badge(t('feature.auto_delete')),
  exchange.internal && badge(t('feature.internal')),
  exchange.arguments?.['alternate-exchange'] !== undefined && badge('AE', '', plain(exchange.arguments['alternate-exchange'])),
  exchange.policy && badge(name(exchange.policy), 'info', t('field.policy')));

async function add(view, refresh) {
  const spaces = (await get('/api/vhosts').catch(() => [])).map((each) => [each.name, plain(each.name)]);
  const done = await ask({
    title: t('exchanges.add'), verb: t('dialog.add'),
    fields: [
      field(t('field.space'), choice('space', spaces.length ? spaces : [['/', '/']], view.space || '/')),
      field(t('field.name'), input('name', { required: true, maxlength: '255' })),
      field(t('field.kind'), choice('type', TYPES.map((each) => [each]))),
      check(t('feature.durable'), 'durable', true), check(t('feature.auto_delete'), 'auto_delete'), check(t('feature.internal'), 'internal'),
      field(t('field.arguments'), h('textarea', { name: 'arguments', rows: '2' }), t('hint.arguments')),
    ],
    act: (form) => send(path`/api/exchanges/${form.space}/${form.name}`, {
      type: form.type, durable: form.durable, auto_delete: form.auto_delete, internal: form.internal, arguments: parseLines(form.arguments),
    }),
  });
  if (!done) return;
  note(t('done.saved'));
  refresh();
}
