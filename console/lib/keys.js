// Keys that work on every page. None while something is being typed, none with a modifier.

import { h } from './dom.js';
import { tell } from './dialog.js';
import { t } from './i18n.js';
import { toggle } from './theme.js';

const PLACES = {
  o: '#/', q: '#/queues', s: '#/streams', g: '#/groups', e: '#/exchanges',
  c: '#/connections', u: '#/users', v: '#/spaces', p: '#/policies', l: '#/settings',
};

export function listen({ refresh, go }) {
  let leading = 0;
  addEventListener('keydown', (event) => {
    const typing = event.target.closest?.('input:not([type=checkbox]):not([type=radio]), textarea, select, dialog');
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === 'Escape' && event.target.type === 'search') return event.target.blur();
    if (typing) return;
    const second = performance.now() - leading < 1500;
    leading = 0;
    if (second && Object.hasOwn(PLACES, event.key)) go(PLACES[event.key]);
    else if (event.key === 'g') leading = performance.now();
    else if (event.key === '/') document.querySelector('main input[type=search]')?.focus();
    else if (event.key === 'r') refresh();
    else if (event.key === 't') toggle();
    else if (event.key === 'n' || event.key === 'p') turn(event.key === 'n' ? 'next' : 'previous');
    else if (event.key === '?') help();
    else return;
    event.preventDefault();
  });
}

const turn = (way) => document.querySelector(`main [data-page="${way}"]:not(:disabled)`)?.click();

export function help() {
  const rows = [
    ['/', t('keys.search')], ['?', t('keys.help')], ['Esc', t('keys.close')], ['r', t('keys.refresh')],
    ['t', t('keys.theme')], ['n / p', t('keys.pages')], ['↑ ↓ Home End', t('keys.rows')], ['← →', t('keys.chart')],
    ['g o', t('nav.overview')], ['g q', t('nav.queues')], ['g s', t('nav.streams')], ['g g', t('nav.groups')],
    ['g e', t('nav.exchanges')], ['g c', t('nav.connections')], ['g u', t('nav.users')], ['g v', t('nav.spaces')],
    ['g p', t('nav.policies')], ['g l', t('nav.settings')],
  ];
  tell(t('keys.title'), h('dl', { class: 'keys' }, rows.map(([keys, text]) => [
    h('dt', {}, keys.split(' ').map((key) => (key === '/' && keys !== '/' ? ' / ' : h('kbd', {}, key)))), h('dd', {}, text)])));
}
