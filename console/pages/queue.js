// One queue: why it delivers or does not, and all one can do about it. The tabs are modules of
// the folder beside this.

import { get, path, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { button, check } from '../lib/parts.js';
import * as consumers from './queue/consumers.js';
import * as dead from './queue/dead.js';
import * as overview from './queue/overview.js';
import * as publish from './queue/publish.js';
import * as records from './queue/records.js';
import * as replay from './queue/replay.js';
import * as schedule from './queue/schedule.js';
import { features, linkTo } from './queues.js';

const TABS = { overview, consumers, records, dead, publish, replay, schedule };

export async function draw(view) {
  view.title(view.queue);
  const own = path`/bongsu/v1/queues/${view.space}/${view.queue}`;
  const rabbit = path`/api/queues/${view.space}/${view.queue}`;
  const here = linkTo({ space: view.space, name: view.queue });
  const chosen = Object.hasOwn(TABS, view.tab ?? '') ? view.tab : 'overview';
  const first = await get(own, { signal: view.signal });

  const titles = {
    overview: t('queue.overview'), consumers: t('queue.consumers'), records: t('queue.records'), dead: t('queue.dead'),
    publish: t('queue.publish'), replay: t('queue.replay'), schedule: t('queue.schedule'),
  };
  const place = h('div', {});
  put(view.root,
    h('div', { class: 'crumbs' }, h('a', { href: '#/queues' }, t('nav.queues')), ' › ', t('field.space'), ' ', name(view.space)),
    h('div', { class: 'head' }, h('h1', {}, name(view.queue)), features(first), h('span', { class: 'push' }),
      button(t('queue.purge'), purge, { 'data-action': 'purge', disabled: !view.may('work') }),
      button(t('queue.delete'), erase, { class: 'danger', 'data-action': 'delete', disabled: !view.may('work') })),
    h('nav', { class: 'tabs', 'aria-label': t('queue.tabs') }, Object.keys(TABS).map((tab) =>
      h('a', { href: tab === 'overview' ? here : `${here}/${tab}`, 'aria-current': tab === chosen ? 'page' : undefined }, titles[tab]))),
    place);
  view.root.querySelector('.tabs [aria-current]').scrollIntoView({ block: 'nearest', inline: 'center' });
  await TABS[chosen].draw({ ...view, root: place, own, rabbit, first, here });

  async function purge() {
    const { depth = {} } = await get(own).catch(() => first);
    const done = await ask({
      title: t('queue.purge'), verb: t('queue.purge'), danger: true,
      text: t('queue.purge_text', { queue: plain(view.queue), count: count(depth.ready) }),
      act: () => remove(`${rabbit}/contents`),
    });
    if (done) {
      note(t('queue.purged'));
      view.again();
    }
  }

  async function erase() {
    const { depth = {}, consumers: readers } = await get(own).catch(() => first);
    const done = await ask({
      title: t('queue.delete'), verb: t('queue.delete'), danger: true,
      text: t('queue.delete_text', { queue: plain(view.queue), count: count((depth.ready ?? 0) + (depth.leased ?? 0)), consumers: count(Array.isArray(readers) ? readers.length : readers ?? 0) }),
      fields: [check(t('queue.if_empty'), 'empty'), check(t('queue.if_unused'), 'unused')],
      act: (form) => remove(rabbit + (form.empty || form.unused
        ? `?${[form.empty && 'if-empty=true', form.unused && 'if-unused=true'].filter(Boolean).join('&')}` : '')),
    });
    if (done) {
      note(t('done.deleted'));
      location.hash = '#/queues';
    }
  }
}
