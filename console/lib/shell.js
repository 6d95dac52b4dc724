// What is around every page: the bar, the menu, the place for the page itself.

import { find } from './api.js';
import { h, name, plain, put, svg } from './dom.js';
import { language, speak, t } from './i18n.js';
import { help } from './keys.js';
import * as session from './session.js';
import { toggle } from './theme.js';

/** Places of the menu: hash, icon, and what one must be allowed to see it. */
const PLACES = [
  ['overview', '#/', 'M3 12h4l3-8 4 16 3-8h4'],
  ['queues', '#/queues', 'M4 6h16M4 12h16M4 18h10'],
  ['streams', '#/streams', 'M3 8c3-4 6 4 9 0s6 4 9 0M3 16c3-4 6 4 9 0s6 4 9 0'],
  ['groups', '#/groups', 'M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 20c0-4 3-6 6-6s6 2 6 6M16 5a3 3 0 0 1 0 6M18 14c2.500 1 4 3 4 6'],
  ['exchanges', '#/exchanges', 'M4 12h6m0 0 6-6h4m-10 6 6 6h4'],
  ['connections', '#/connections', 'M9 7H7a5 5 0 0 0 0 10h2M15 7h2a5 5 0 0 1 0 10h-2M8 12h8'],
  ['users', '#/users', 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 4-6 8-6s8 2 8 6', 'users'],
  ['spaces', '#/spaces', 'M3 3h8v8H3zM13 3h8v8h-8zM3 13h8v8H3zM13 13h8v8h-8z'],
  ['policies', '#/policies', 'M6 3h9l4 4v14H6zM14 3v5h5M9 13h7M9 17h7'],
  ['settings', '#/settings', 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4v6M9 14v6', 'watch'],
];

export function shell({ redraw, refresh }) {
  const main = h('main', { id: 'main', tabindex: '-1' });
  const links = new Map();
  const menu = h('nav', { class: 'side', 'aria-label': t('nav.label') }, PLACES
    .filter(([, , , needed]) => !needed || session.may(needed))
    .map(([place, href, shape]) => {
      const link = h('a', { href, onclick: () => open(false) }, icon(shape), t(PLACE_TITLES[place]));
      links.set(place, link);
      return link;
    }));
  const opener = h('button', {
    type: 'button', class: 'menu quiet', 'aria-expanded': 'false', 'aria-label': t('nav.menu'),
    onclick: () => open(!menu.classList.contains('open')),
  }, icon('M3 6h18M3 12h18M3 18h18'));
  function open(yes) {
    menu.classList.toggle('open', yes);
    opener.setAttribute('aria-expanded', String(yes));
  }

  const state = h('span', { class: 'state', role: 'status' });
  const spaces = h('select', { class: 'space', 'aria-label': t('nav.space'), onchange: (event) => {
    session.choose(event.target.value);
    redraw();
  } });
  fillSpaces(spaces, redraw);

  const bar = h('header', { class: 'topbar' },
    h('button', { type: 'button', class: 'skip', onclick: () => main.focus() }, t('nav.skip')),
    opener,
    h('a', { class: 'brand', href: '#/', 'aria-label': 'Bongsu' }, h('img', { src: '/console/icon.svg', alt: '', width: '26', height: '26' }), h('span', {}, 'Bongsu')),
    spaces, state,
    h('span', { class: 'push' }),
    h('button', { type: 'button', class: 'quiet', title: t('nav.refresh'), 'aria-label': t('nav.refresh'), onclick: refresh }, icon('M20 11a8 8 0 1 0-2 6M20 4v7h-7')),
    h('button', { type: 'button', class: 'quiet wide-only', title: t('keys.title'), 'aria-label': t('keys.title'), onclick: help }, '?'),
    h('button', { type: 'button', class: 'quiet', title: t('nav.theme'), 'aria-label': t('nav.theme'), onclick: toggle }, icon('M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18')),
    h('button', {
      type: 'button', class: 'quiet', lang: language() === 'ko' ? 'en' : 'ko', 'data-action': 'language',
      onclick: async () => { await speak(language() === 'ko' ? 'en' : 'ko'); redraw(); },
    }, language() === 'ko' ? 'English' : '한국어'),
    h('span', { class: 'who wide-only', title: t('nav.who', { user: plain(session.user().name), tags: session.user().tags.join(', ') }) }, name(session.user().name)),
    h('button', { type: 'button', class: 'quiet', title: t('nav.logout'), 'aria-label': t('nav.logout'), 'data-action': 'logout',
      onclick: async () => { await session.leave(); location.hash = '#/'; redraw(); },
    }, icon('M10 4H5v16h5M14 8l4 4-4 4M18 12H9')));

  return {
    main,
    element: bar,
    parts: [bar, h('div', { class: 'body' }, menu, main)],
    show(place, content) {
      for (const [each, link] of links) {
        if (each === place) link.setAttribute('aria-current', 'page');
        else link.removeAttribute('aria-current');
      }
      open(false);
      put(main, content);
      scrollTo(0, 0);
    },
    /** Whether the broker answers: said in the bar, for it may be hours that nobody looks elsewhere. */
    answers(yes) {
      state.className = yes ? 'state' : 'state down';
      if (yes) put(state);
      else put(state, t('nav.down'));
    },
  };
}

/** Literal keys, so that the tests find them. */
const PLACE_TITLES = {
  overview: 'nav.overview', queues: 'nav.queues', streams: 'nav.streams', groups: 'nav.groups', exchanges: 'nav.exchanges',
  connections: 'nav.connections', users: 'nav.users', spaces: 'nav.spaces', policies: 'nav.policies', settings: 'nav.settings',
};

export const icon = (shape) =>
  svg('svg', { class: 'icon', viewBox: '0 0 24 24', width: 20, height: 20, 'aria-hidden': 'true' }, svg('path', { d: shape }));

async function fillSpaces(select, redraw) {
  const all = h('option', { value: '' }, t('nav.all_spaces'));
  put(select, all);
  const list = await find('/api/vhosts').catch(() => null);
  if (!Array.isArray(list)) return;
  const names = list.map((each) => each.name).slice(0, 1000);
  put(select, all, names.map((each) => h('option', { value: each, selected: each === session.space() }, plain(each))));
  if (session.space() && !names.includes(session.space())) {
    session.choose('');
    redraw();
  }
}
