// What waits for its time: how much comes when.

import { get, query } from '../../lib/api.js';
import { h, put, svg } from '../../lib/dom.js';
import { ago, clock, count, moment, short } from '../../lib/format.js';
import { t } from '../../lib/i18n.js';
import { card, empty, tile, tiles } from '../../lib/parts.js';

const BUCKETS = 48;

export async function draw(view) {
  const waiting = tile(t('state.waiting'));
  const next = tile(t('schedule.next'), (at) => ago(at));
  const drawing = h('div', {});
  const items = h('ul', { class: 'plain' });
  put(view.root, h('p', { class: 'faint' }, t('schedule.about')), tiles(waiting, next), card(t('schedule.when'), drawing), card(t('schedule.first'), items));
  view.poll(async (signal) => {
    const answer = await get(query(`${view.own}/schedule`, { buckets: BUCKETS }), { signal });
    waiting.show(answer.count);
    next.show(answer.next_at ?? undefined);
    const buckets = answer.buckets ?? [];
    put(drawing, answer.count ? histogram(buckets) : h('div', { class: 'empty' }, empty(t('schedule.none'), t('schedule.none_hint'))));
    put(items, (answer.items ?? []).map((item) => h('li', {},
      h('a', { href: `${view.here}/records?from=offset&offset=${item.offset}` }, t('schedule.record', { offset: count(item.offset) })), ' ', ago(item.at))));
  }, 5000);
}

function histogram(buckets) {
  const most = Math.max(1, ...buckets.map((bucket) => bucket.count));
  const width = 100 / Math.max(1, buckets.length);
  return h('div', { class: 'histogram' },
    h('span', { class: 'top' }, short(most)),
    svg('svg', { viewBox: '0 0 100 40', preserveAspectRatio: 'none', role: 'img', 'aria-label': t('schedule.when') },
      buckets.map((bucket, index) => {
        const height = (bucket.count / most) * 40;
        return svg('rect', { x: index * width + width * 0.1, width: width * 0.8, y: 40 - height, height, class: 'colour-4' },
          svg('title', {}, `${moment(bucket.from)} – ${moment(bucket.until)}: ${count(bucket.count)}`));
      })),
    h('div', { class: 'ends' }, h('span', {}, buckets.length ? edge(buckets[0].from) : ''), h('span', {}, buckets.length ? edge(buckets.at(-1).until) : '')));
}

/** Near times by the clock, far ones by the calendar too. */
const edge = (at) => (Math.abs(at - Date.now()) < 86_400_000 ? clock(at, true) : moment(at));
