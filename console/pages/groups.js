// Groups of consumers: who is behind, and by how much.

import { get, query } from '../lib/api.js';
import { h, name, put } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { t, word } from '../lib/i18n.js';
import { badge, bar, empty, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

export async function draw(view) {
  view.title(t('nav.groups'));
  let filter = view.query.name ?? '';
  let most = 0;
  const list = table({
    label: t('nav.groups'), sort: 'name', identify: (group) => `${group.space}\n${group.name}`, changed: () => refresh(),
    empty: () => (filter ? empty(t('queues.no_match'), t('queues.no_match_hint')) : empty(t('groups.none'), t('groups.none_hint'))),
    columns: [
      { key: 'name', title: t('field.name'), sortable: true, head: true, class: 'main', cell: (group) => h('a', { href: `#/groups/${encodeURIComponent(group.space)}/${encodeURIComponent(group.name)}` }, name(group.name)) },
      { key: 'space', title: t('field.space'), sortable: true, narrow: false, cell: (group) => name(group.space) },
      { key: 'kind', title: t('field.kind'), narrow: false, cell: (group) => badge(word('group_kind', group.kind)) },
      { key: 'state', title: t('field.state'), cell: (group) => groupState(group) },
      { key: 'topics', title: t('groups.topics'), narrow: false, cell: (group) => name((group.topics ?? []).slice(0, 5).join(', ') + (group.topics?.length > 5 ? ' …' : '')) },
      { key: 'lag', title: t('groups.lag'), number: true, sortable: true, cell: (group) => h('span', { class: 'measure' }, bar(group.lag ?? 0, most, group.lag > 0 ? 'hot' : ''), count(group.lag)) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.groups')), h('span', { class: 'push' }),
      search(t('groups.search'), filter, (value) => { filter = value; list.first(); refresh(); })),
    list.element);
  const refresh = view.poll(async (signal) => {
    const { page, size, sort, reverse } = list.state;
    view.remember({ name: filter });
    const answer = await get(query('/bongsu/v1/groups', { page, page_size: size, sort, sort_reverse: reverse || undefined, name: filter, space: view.space }), { signal });
    most = Math.max(0, ...answer.items.map((group) => group.lag ?? 0));
    list.show(answer.items, answer.total);
  });
}

export const groupState = (group) =>
  badge(word('group_state', String(group.state ?? '').toLowerCase(), {}, group.state), /stable/i.test(group.state) ? 'good' : /empty|dead/i.test(group.state) ? '' : 'warn');
