// Users: who they are, what they may do where, and their limits.

import { find, get, path, put as send, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { count, DASH } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { actions, badge, button, card, choice, empty, field, input, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

const TAGS = ['administrator', 'policymaker', 'monitoring', 'management'];
const LIMITS = ['max-connections', 'max-channels', 'publish-messages-per-second', 'publish-bytes-per-second'];

export function draw(view) {
  return view.name === undefined ? all(view) : one(view);
}

const tagsOf = (user) => (Array.isArray(user.tags) ? user.tags : String(user.tags ?? '').split(',')).filter(Boolean);

async function all(view) {
  view.title(t('nav.users'));
  let filter = '';
  let latest = [];
  const list = table({
    label: t('nav.users'), sort: 'name', identify: (user) => user.name,
    empty: () => empty(t('queues.no_match'), t('queues.no_match_hint')),
    columns: [
      { key: 'name', title: t('field.name'), head: true, class: 'main', value: (user) => user.name, cell: (user) => h('a', { href: `#/users/${encodeURIComponent(user.name)}` }, name(user.name)) },
      { key: 'tags', title: t('users.tags'), value: (user) => tagsOf(user).join(), cell: (user) => h('span', { class: 'badges' }, tagsOf(user).map((tag) => badge(name(tag), tag === 'administrator' ? 'warn' : ''))) },
      { key: 'spaces', title: t('users.spaces'), cell: (user) => h('span', { class: 'badges' }, user.spaces?.length ? user.spaces.map((space) => badge(name(space))) : h('span', { class: 'faint' }, t('users.no_spaces'))) },
      { key: 'password', title: t('users.password'), narrow: false, cell: (user) => h('span', { class: 'faint' }, user.password_hash ? t('users.has_password') : DASH) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.users')), h('span', { class: 'push' }),
      search(t('users.search'), '', (value) => { filter = value.toLowerCase(); list.first(); show(); }),
      button(t('users.add'), add, { class: 'primary', 'data-action': 'add', disabled: !view.may('users') })),
    list.element);
  const show = () => list.show(latest.filter((user) => user.name.toLowerCase().includes(filter)));
  const refresh = view.poll(async (signal) => {
    const [users, permissions] = await Promise.all([get('/api/users', { signal }), find('/api/permissions', { signal })]);
    const spaces = new Map();
    for (const one of permissions ?? []) spaces.set(one.user, [...(spaces.get(one.user) ?? []), one.vhost]);
    latest = users.map((user) => ({ ...user, spaces: spaces.get(user.name) }));
    show();
  }, 5000);

  async function add() {
    const done = await ask({
      title: t('users.add'), verb: t('dialog.add'), fields: [field(t('field.name'), input('name', { required: true, maxlength: '255' })), ...passwordFields(true), tagField()],
      act: async (form) => {
        await send(path`/api/users/${form.name}`, { password: form.password, tags: form.tags });
        return form.name;
      },
    });
    if (!done) return;
    note(t('users.added'));
    refresh();
    location.hash = `#/users/${encodeURIComponent(done)}`;
  }
}

function passwordFields(required) {
  const password = input('password', { type: 'password', required, autocomplete: 'new-password' });
  const again = input('again', { type: 'password', required, autocomplete: 'new-password' });
  const same = () => again.setCustomValidity(again.value === password.value ? '' : t('users.differ'));
  password.addEventListener('input', same);
  again.addEventListener('input', same);
  return [field(t('login.password'), password, required ? undefined : t('users.keep_password')), field(t('users.again'), again)];
}

function tagField(value = '') {
  const list = h('datalist', { id: 'tags' }, TAGS.map((tag) => h('option', { value: tag })));
  return [field(t('users.tags'), input('tags', { value, list: 'tags' }), t('users.tags_hint', { tags: TAGS.join(', ') })), list];
}

async function one(view) {
  const user = view.name;
  view.title(user);
  const own = path`/api/users/${user}`;
  const marks = h('span', { class: 'badges' });
  const right = (key, title) => ({ key, title, cell: (row) => h('code', {}, plain(row[key])) });
  const permissions = table({
    label: t('users.permissions'), size: 25, sort: 'vhost', identify: (row) => row.vhost,
    empty: () => empty(t('users.no_permissions'), t('users.no_permissions_hint')),
    columns: [
      { key: 'vhost', title: t('field.space'), head: true, value: (row) => row.vhost, cell: (row) => name(row.vhost) },
      right('configure', t('users.configure')), right('write', t('users.write')), right('read', t('users.read')),
      { key: 'act', title: actions(), cell: (row) => h('span', { class: 'row-actions' },
        button(t('dialog.change'), () => permit(row), { class: 'small', disabled: !view.may('users') }),
        button(t('dialog.remove'), () => erase(path`/api/permissions/${row.vhost}/${user}`), { class: 'small', disabled: !view.may('users') })) },
    ],
  });
  const topics = table({
    label: t('users.topics'), size: 25, sort: 'vhost', identify: (row) => `${row.vhost}\n${row.exchange}`, empty: () => empty(t('users.no_topics')),
    columns: [
      { key: 'vhost', title: t('field.space'), head: true, value: (row) => row.vhost, cell: (row) => name(row.vhost) },
      { key: 'exchange', title: t('field.exchange'), value: (row) => row.exchange, cell: (row) => name(row.exchange) },
      right('write', t('users.write')), right('read', t('users.read')),
      { key: 'act', title: actions(), cell: (row) => button(t('dialog.remove'), () => erase(path`/api/topic-permissions/${row.vhost}/${user}/${row.exchange}`), { class: 'small', disabled: !view.may('users') }) },
    ],
  });
  const limits = h('div', {});
  const may = { disabled: !view.may('users') };
  put(view.root,
    h('div', { class: 'crumbs' }, h('a', { href: '#/users' }, t('nav.users'))),
    h('div', { class: 'head' }, h('h1', {}, name(user)), marks, h('span', { class: 'push' }),
      button(t('users.change'), change, { ...may, 'data-action': 'change' }), button(t('users.delete'), eraseUser, { ...may, class: 'danger', 'data-action': 'delete' })),
    card(t('users.permissions'), permissions.element, button(t('users.permit'), () => permit(), { ...may, 'data-action': 'permit' })),
    card(t('users.topics'), topics.element, button(t('users.permit_topic'), permitTopic, may)),
    card(t('users.limits'), limits, button(t('users.set_limit'), limit, may)));

  let latest = {};
  const refresh = view.poll(async (signal) => {
    const [who, rights, topical, bounds] = await Promise.all([
      get(own, { signal }), get(`${own}/permissions`, { signal }),
      find(`${own}/topic-permissions`, { signal }), find(path`/api/user-limits/${user}`, { signal }),
    ]);
    latest = who;
    put(marks, tagsOf(who).map((tag) => badge(name(tag), tag === 'administrator' ? 'warn' : '')));
    permissions.show(rights);
    topics.show(topical ?? []);
    const values = Object.entries(bounds?.[0]?.value ?? {});
    put(limits, values.length === 0 ? h('p', { class: 'faint' }, t('users.no_limits')) : h('ul', { class: 'plain' }, values.map(([key, value]) =>
      h('li', {}, name(key), ': ', count(value), ' ', button(t('dialog.remove'), () => erase(path`/api/user-limits/${user}/${key}`), { ...may, class: 'small' })))));
  }, 5000);

  const saved = (done) => {
    if (!done) return;
    note(t('done.saved'));
    refresh();
  };

  async function erase(url) {
    const done = await ask({ title: t('dialog.remove'), verb: t('dialog.remove'), danger: true, text: t('users.remove_text'), act: () => remove(url) });
    saved(done);
  }

  async function permit(row) {
    const spaces = (await get('/api/vhosts').catch(() => [])).map((each) => [each.name, plain(each.name)]);
    saved(await ask({
      title: t('users.permit'), verb: t('dialog.save'), text: t('users.permit_text'),
      fields: [
        row ? null : field(t('field.space'), choice('space', spaces.length ? spaces : [['/', '/']], view.space || '/')),
        ...[['configure', t('users.configure')], ['write', t('users.write')], ['read', t('users.read')]].map(([key, title]) => field(title, input(key, { value: row?.[key] ?? '.*', class: 'code' }))),
      ],
      act: (form) => send(path`/api/permissions/${row?.vhost ?? form.space}/${user}`, { configure: form.configure, write: form.write, read: form.read }),
    }));
  }

  async function permitTopic() {
    const spaces = (await get('/api/vhosts').catch(() => [])).map((each) => [each.name, plain(each.name)]);
    saved(await ask({
      title: t('users.permit_topic'), verb: t('dialog.save'),
      fields: [
        field(t('field.space'), choice('space', spaces.length ? spaces : [['/', '/']], view.space || '/')), field(t('field.exchange'), input('exchange', { required: true })),
        field(t('users.write'), input('write', { value: '.*', class: 'code' })), field(t('users.read'), input('read', { value: '.*', class: 'code' })),
      ],
      act: (form) => send(path`/api/topic-permissions/${form.space}/${user}`, { exchange: form.exchange, write: form.write, read: form.read }),
    }));
  }

  async function limit() {
    saved(await ask({
      title: t('users.set_limit'), verb: t('dialog.save'),
      fields: [field(t('users.limit'), choice('limit', LIMITS.map((each) => [each]))), field(t('field.value'), input('value', { type: 'number', required: true, value: '100' }), t('users.limit_hint'))],
      act: (form) => send(path`/api/user-limits/${user}/${form.limit}`, { value: Number(form.value) }),
    }));
  }

  async function change() {
    saved(await ask({
      title: t('users.change'), verb: t('dialog.save'), fields: [...passwordFields(false), tagField(tagsOf(latest).join(', '))],
      act: (form) => send(own, form.password ? { password: form.password, tags: form.tags }
        : { password_hash: latest.password_hash, hashing_algorithm: latest.hashing_algorithm, tags: form.tags }),
    }));
  }

  async function eraseUser() {
    const done = await ask({ title: t('users.delete'), verb: t('users.delete'), danger: true, text: t('users.delete_text', { user: plain(user) }), act: () => remove(own) });
    if (!done) return;
    note(t('done.deleted'));
    location.hash = '#/users';
  }
}
