// Spaces: RabbitMQ's virtual hosts.

import { find, get, path, put as send, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { actions, badge, button, choice, empty, field, input, search } from '../lib/parts.js';
import { table } from '../lib/table.js';
import * as session from '../lib/session.js';

const LIMITS = ['max-connections', 'max-queues', 'max-publish-rate'];

export async function draw(view) {
  view.title(t('nav.spaces'));
  let filter = '';
  let latest = [];
  const may = { disabled: !view.may('spaces'), class: 'small' };
  const list = table({
    label: t('nav.spaces'), sort: 'name', identify: (space) => space.name, empty: () => empty(t('queues.no_match'), t('queues.no_match_hint')),
    columns: [
      { key: 'name', title: t('field.name'), head: true, class: 'main', value: (space) => space.name, cell: (space) => h('a', { href: '#/queues', onclick: () => session.choose(space.name) }, name(space.name)) },
      { key: 'description', title: t('field.description'), narrow: false, cell: (space) => name(space.description ?? space.metadata?.description ?? '') },
      { key: 'tags', title: t('users.tags'), narrow: false, cell: (space) => h('span', { class: 'badges' }, (space.tags ?? []).map((tag) => badge(name(tag)))) },
      { key: 'ready', title: t('state.ready'), number: true, value: (space) => space.messages_ready, cell: (space) => count(space.messages_ready) },
      { key: 'leased', title: t('state.leased'), number: true, value: (space) => space.messages_unacknowledged, cell: (space) => count(space.messages_unacknowledged) },
      { key: 'limits', title: t('users.limits'), cell: (space) => h('span', { class: 'badges' }, Object.entries(space.limits ?? {}).map(([key, value]) => badge(`${plain(key)} ${count(value)}`))) },
      { key: 'act', title: actions(), cell: (space) => h('span', { class: 'row-actions' },
        button(t('users.set_limit'), () => limit(space), may), button(t('dialog.remove'), () => erase(space), may)) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.spaces')), h('span', { class: 'push' }),
      search(t('spaces.search'), '', (value) => { filter = value.toLowerCase(); list.first(); show(); }),
      button(t('spaces.add'), add, { class: 'primary', 'data-action': 'add', disabled: !view.may('spaces') })),
    h('p', { class: 'faint' }, t('spaces.about')), list.element);
  const show = () => list.show(latest.filter((space) => space.name.toLowerCase().includes(filter)));
  const refresh = view.poll(async (signal) => {
    const [spaces, limits] = await Promise.all([get('/api/vhosts', { signal }), find('/api/vhost-limits', { signal })]);
    const bounds = new Map((limits ?? []).map((one) => [one.vhost, one.value]));
    latest = spaces.map((space) => ({ ...space, limits: bounds.get(space.name) }));
    show();
  }, 5000);
  const saved = (done) => {
    if (!done) return;
    note(t('done.saved'));
    refresh();
  };

  async function add() {
    saved(await ask({
      title: t('spaces.add'), verb: t('dialog.add'),
      fields: [field(t('field.name'), input('name', { required: true, maxlength: '255' })), field(t('field.description'), input('description')), field(t('users.tags'), input('tags'), t('spaces.tags_hint'))],
      act: (form) => send(path`/api/vhosts/${form.name}`, { description: form.description, tags: form.tags }),
    }));
  }

  async function limit(space) {
    saved(await ask({
      title: t('users.set_limit'), verb: t('dialog.save'),
      fields: [field(t('users.limit'), choice('limit', LIMITS.map((each) => [each]))), field(t('field.value'), input('value', { type: 'number', required: true, value: '1000' }), t('users.limit_hint'))],
      act: (form) => send(path`/api/vhost-limits/${space.name}/${form.limit}`, { value: Number(form.value) }),
    }));
  }

  async function erase(space) {
    const again = input('again', { required: true });
    again.addEventListener('input', () => again.setCustomValidity(again.value === space.name ? '' : t('spaces.type_name')));
    saved(await ask({
      title: t('spaces.delete'), verb: t('spaces.delete'), danger: true, text: t('spaces.delete_text', { space: plain(space.name) }),
      fields: [field(t('spaces.type_name'), again)], act: () => remove(path`/api/vhosts/${space.name}`),
    }));
  }
}
