// Streams and topics: partition by partition, how far back they go and how large they are.

import { find, get, path, query } from '../lib/api.js';
import { h, name, put } from '../lib/dom.js';
import { ago, bytes, count } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { bar, button, empty, keptText, search } from '../lib/parts.js';
import { tell } from '../lib/dialog.js';
import { table } from '../lib/table.js';
import { linkTo } from './queues.js';

export async function draw(view) {
  view.title(t('nav.streams'));
  let filter = view.query.name ?? '';
  const list = table({
    label: t('nav.streams'), sort: 'name', identify: (stream) => `${stream.space}\n${stream.name}`, changed: () => refresh(),
    empty: () => (filter ? empty(t('queues.no_match'), t('queues.no_match_hint')) : empty(t('streams.none'), t('streams.none_hint'))),
    columns: [
      { key: 'name', title: t('field.name'), sortable: true, head: true, class: 'main', cell: (stream) => h('a', { href: linkTo(stream) }, name(stream.name)) },
      { key: 'space', title: t('field.space'), sortable: true, narrow: false, cell: (stream) => name(stream.space) },
      { key: 'partitions', title: t('streams.partitions'), number: true, cell: (stream) => button(count(partitionsOf(stream)), () => show(stream), { class: 'small', title: t('streams.show') }) },
      { key: 'records', title: t('field.records'), number: true, cell: (stream) => count(recordsOf(stream)) },
      { key: 'bytes', title: t('field.size'), number: true, sortable: true, cell: (stream) => bytes(stream.bytes ?? sum(stream.partitions, (one) => one.bytes)) },
      { key: 'kept', title: t('queue.retention'), number: true, narrow: false, cell: (stream) => keptText(retentionOf(stream)) },
      { key: 'readers', title: t('streams.readers'), number: true, narrow: false, cell: (stream) => count(Array.isArray(stream.readers) ? stream.readers.length : stream.readers ?? 0) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.streams')), h('span', { class: 'push' }),
      search(t('streams.search'), filter, (value) => { filter = value; list.first(); refresh(); })),
    list.element);
  const refresh = view.poll(async (signal) => {
    const { page, size, sort, reverse } = list.state;
    view.remember({ name: filter });
    const answer = await get(query('/bongsu/v1/streams', { page, page_size: size, sort, sort_reverse: reverse || undefined, name: filter, space: view.space }), { signal });
    list.show(answer.items, answer.total);
  });

  async function show(row) {
    const stream = (await find(path`/bongsu/v1/streams/${row.space}/${row.name}`, { signal: view.signal })) ?? row;
    const parts = Array.isArray(stream.partitions) ? stream.partitions : [];
    const most = Math.max(0, ...parts.map((part) => part.bytes ?? 0));
    const partitions = table({
      label: t('streams.partitions'), size: 25, sort: 'partition', identify: (part) => part.partition, empty: () => empty(t('none')),
      columns: [
        { key: 'partition', title: t('streams.partition'), number: true, head: true, value: (part) => part.partition, cell: (part) => count(part.partition) },
        { key: 'start', title: t('streams.start'), number: true, value: (part) => part.start, cell: (part) => count(part.start) },
        { key: 'end', title: t('streams.end'), number: true, value: (part) => part.end, cell: (part) => count(part.end) },
        { key: 'bytes', title: t('field.size'), number: true, value: (part) => part.bytes, cell: (part) => h('span', { class: 'measure' }, bar(part.bytes, most), bytes(part.bytes)) },
        { key: 'oldest', title: t('streams.oldest'), number: true, narrow: false, value: (part) => part.oldest_at, cell: (part) => ago(part.oldest_at ?? NaN) },
        { key: 'newest', title: t('streams.newest'), number: true, narrow: false, value: (part) => part.newest_at, cell: (part) => ago(part.newest_at ?? NaN) },
      ],
    });
    partitions.show(parts);
    const retention = retentionOf(stream);
    tell(name(stream.name), partitions.element, retention && h('p', {}, t('queue.retention'), ': ', keptText(retention)));
  }
}

const partitionsOf = (stream) => stream.partition_count ?? stream.partitions?.length;
const sum = (parts, of) => (Array.isArray(parts) ? parts.reduce((all, one) => all + (of(one) ?? 0), 0) : undefined);
const recordsOf = (stream) => stream.count ?? sum(stream.partitions, (one) => one.end - one.start);
const retentionOf = (stream) => stream.partitions?.[0]?.retention;
