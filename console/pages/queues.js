// All queues: how full, how fast, and which of them need somebody.

import { get, path, put as send, query } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { t, word } from '../lib/i18n.js';
import { badge, button, check, choice, depthBar, empty, field, input, parseLines, rateText, search } from '../lib/parts.js';
import { table } from '../lib/table.js';
import { whyBadge } from './queue/why.js';

export const linkTo = (queue) => `#/queues/${encodeURIComponent(queue.space)}/${encodeURIComponent(queue.name)}`;

export async function draw(view) {
  view.title(t('nav.queues'));
  const filter = { name: view.query.name ?? '', state: view.query.state ?? '' };
  const list = table({
    label: t('nav.queues'), sort: view.query.sort ?? 'name', reverse: view.query.reverse === '1',
    identify: (queue) => `${queue.space}\n${queue.name}`,
    empty: () => (filter.name || filter.state
      ? empty(t('queues.no_match'), t('queues.no_match_hint'))
      : empty(t('queues.none'), t('queues.none_hint'))),
    changed: () => refresh(),
    columns: [
      { key: 'name', title: t('field.name'), sortable: true, head: true, class: 'main', cell: (queue) => h('a', { href: linkTo(queue) }, name(queue.name)) },
      { key: 'space', title: t('field.space'), sortable: true, narrow: false, cell: (queue) => name(queue.space) },
      { key: 'kind', title: t('field.features'), narrow: false, class: 'features', cell: features },
      { key: 'why', title: t('field.state'), cell: state },
      { key: 'depth', title: t('field.depth'), narrow: false, cell: (queue) => depthBar(queue.depth) },
      { key: 'depth.ready', title: t('state.ready'), number: true, sortable: true, cell: (queue) => count(queue.depth?.ready) },
      { key: 'depth.leased', title: t('state.leased'), number: true, sortable: true, cell: (queue) => count(queue.depth?.leased) },
      { key: 'consumers', title: t('overview.consumers'), number: true, sortable: true, narrow: false, cell: (queue) => count(consumersOf(queue)) },
      { key: 'rates.publish', title: t('rate.publish'), number: true, sortable: true, narrow: false, cell: (queue) => rateText(queue.rates?.publish) },
      { key: 'rates.deliver', title: t('rate.deliver'), number: true, sortable: true, narrow: false, cell: (queue) => rateText(queue.rates?.deliver) },
    ],
  });
  const states = choice('state', [['', t('queues.any_state')], ['stuck', t('queues.stuck')], ['busy', t('queues.not_empty')], ['idle', t('queues.idle')]], filter.state);
  states.setAttribute('aria-label', t('queues.any_state'));
  states.addEventListener('change', () => { filter.state = states.value; changed(); });
  const words = search(t('queues.search'), filter.name, (value) => { filter.name = value; changed(); });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.queues')), h('span', { class: 'push' }), words, states,
      button(t('queues.add'), () => add(view, refresh), { class: 'primary', disabled: !view.may('work') })),
    list.element);

  function changed() {
    list.first();
    refresh();
  }

  const refresh = view.poll(async (signal) => {
    const { page, size, sort, reverse } = list.state;
    view.remember({ ...filter, sort: sort === 'name' ? '' : sort, reverse: reverse ? '1' : '' });
    const answer = await get(query('/bongsu/v1/queues', {
      page, page_size: size, sort, sort_reverse: reverse || undefined, name: filter.name, state: filter.state, space: view.space,
    }), { signal });
    list.show(answer.items, answer.total);
  });
}

export const consumersOf = (queue) => (Array.isArray(queue.consumers) ? queue.consumers.length : queue.consumers);

/** Small marks for what a queue is, as RabbitMQ's page has them. */
export function features(queue) {
  const given = queue.arguments ?? {};
  return h('span', { class: 'badges' },
    queue.kind && queue.kind !== 'queue' && badge(word('kind', queue.kind), 'info'),
    queue.durable === false && badge(t('feature.transient'), '', t('feature.transient_hint')),
    queue.exclusive && badge(t('feature.exclusive')),
    queue.auto_delete && badge(t('feature.auto_delete')),
    given['x-dead-letter-exchange'] !== undefined && badge('DLX', '', plain(given['x-dead-letter-exchange'])),
    given['x-message-ttl'] !== undefined && badge('TTL', '', `${given['x-message-ttl']} ms`),
    given['x-max-priority'] !== undefined && badge(t('feature.priority')),
    (given['x-max-length'] ?? given['x-max-length-bytes']) !== undefined && badge(t('feature.limit')),
    queue.policy && badge(name(queue.policy), 'info', t('field.policy')));
}

/** Whether records get out, and in a word why not. */
export function state(queue) {
  return whyBadge(queue.why, queue.kind);
}

async function add(view, refresh) {
  const spaces = (await get('/api/vhosts').catch(() => [])).map((each) => [each.name, plain(each.name)]);
  const done = await ask({
    title: t('queues.add'), verb: t('dialog.add'),
    fields: [
      field(t('field.space'), choice('space', spaces.length ? spaces : [['/', '/']], view.space || '/')),
      field(t('field.name'), input('name', { required: true, maxlength: '255' })),
      field(t('field.kind'), choice('type', [['classic', t('kind.queue')], ['stream', t('kind.stream')]])),
      check(t('feature.durable'), 'durable', true),
      check(t('feature.auto_delete'), 'auto_delete'),
      field(t('field.arguments'), h('textarea', { name: 'arguments', rows: '3', placeholder: 'x-message-ttl=60000' }), t('hint.arguments')),
    ],
    act: async (form) => {
      const values = parseLines(form.arguments);
      if (form.type === 'stream') values['x-queue-type'] = 'stream';
      await send(path`/api/queues/${form.space}/${form.name}`, { durable: form.durable, auto_delete: form.auto_delete, arguments: values });
    },
  });
  if (!done) return;
  note(t('done.saved'));
  refresh();
}
