// Policies: properties of queues and exchanges by pattern, the operator's own beside them.

import { find, get, path, put as send, remove } from '../lib/api.js';
import { ask, note } from '../lib/dialog.js';
import { h, name, plain, put } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { t } from '../lib/i18n.js';
import { actions, badge, button, choice, empty, field, input, mapping, parseLines, search } from '../lib/parts.js';
import { table } from '../lib/table.js';

const APPLY = [['all'], ['queues'], ['classic_queues'], ['streams'], ['exchanges']];

export async function draw(view) {
  view.title(t('nav.policies'));
  let filter = '';
  let latest = [];
  const mayEdit = view.may('policies');
  const list = table({
    label: t('nav.policies'), sort: 'name', identify: (one) => `${one.operator}\n${one.vhost}\n${one.name}`,
    empty: () => empty(t('policies.none'), t('policies.none_hint')),
    columns: [
      { key: 'name', title: t('field.name'), head: true, class: 'main', value: (one) => one.name, cell: (one) => h('span', {}, name(one.name), one.operator ? [' ', badge(t('policies.operator'), 'info')] : null) },
      { key: 'vhost', title: t('field.space'), narrow: false, value: (one) => one.vhost, cell: (one) => name(one.vhost) },
      { key: 'pattern', title: t('policies.pattern'), cell: (one) => h('code', {}, plain(one.pattern)) },
      { key: 'apply', title: t('policies.apply'), narrow: false, cell: (one) => one['apply-to'] },
      { key: 'definition', title: t('policies.definition'), cell: (one) => mapping(one.definition) },
      { key: 'priority', title: t('feature.priority'), number: true, value: (one) => one.priority, cell: (one) => count(one.priority) },
      { key: 'act', title: actions(), cell: (one) => h('span', { class: 'row-actions' },
        button(t('dialog.change'), () => edit(one), { class: 'small', disabled: !mayEdit }),
        button(t('dialog.remove'), () => erase(one), { class: 'small', disabled: !mayEdit })) },
    ],
  });
  put(view.root,
    h('div', { class: 'head' }, h('h1', {}, t('nav.policies')), h('span', { class: 'push' }),
      search(t('policies.search'), '', (value) => { filter = value.toLowerCase(); list.first(); show(); }),
      button(t('policies.add'), () => edit(), { class: 'primary', 'data-action': 'add', disabled: !mayEdit })),
    h('p', { class: 'faint' }, t('policies.about')), list.element);
  const show = () => list.show(latest.filter((one) => `${one.name} ${one.pattern}`.toLowerCase().includes(filter)));
  const refresh = view.poll(async (signal) => {
    const at = view.space ? path`/${view.space}` : '';
    const [own, operators] = await Promise.all([get(`/api/policies${at}`, { signal }), find(`/api/operator-policies${at}`, { signal })]);
    latest = [...own, ...(operators ?? []).map((one) => ({ ...one, operator: true }))];
    show();
  }, 5000);

  const address = (one) => (one.operator ? path`/api/operator-policies/${one.vhost}/${one.name}` : path`/api/policies/${one.vhost}/${one.name}`);

  async function edit(one) {
    const spaces = (await get('/api/vhosts').catch(() => [])).map((each) => [each.name, plain(each.name)]);
    const lines = Object.entries(one?.definition ?? {}).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join('\n');
    const done = await ask({
      title: one ? t('policies.change') : t('policies.add'), verb: t('dialog.save'),
      fields: [
        one ? null : [
          field(t('field.space'), choice('vhost', spaces.length ? spaces : [['/', '/']], view.space || '/')),
          field(t('field.name'), input('name', { required: true })),
          field(t('policies.whose'), choice('operator', [['', t('policies.user')], ['yes', t('policies.operator')]])),
        ],
        field(t('policies.pattern'), input('pattern', { required: true, value: one?.pattern ?? '^orders', class: 'code' }), t('policies.pattern_hint')),
        field(t('policies.apply'), choice('apply', APPLY, one?.['apply-to'] ?? 'queues')),
        field(t('feature.priority'), input('priority', { type: 'number', value: String(one?.priority ?? 0) })),
        field(t('policies.definition'), h('textarea', { name: 'definition', rows: '4', value: lines, placeholder: 'message-ttl=60000\ndead-letter-exchange=dlx', required: true }), t('hint.arguments')),
      ],
      act: (form) => send(address(one ?? { ...form, operator: form.operator === 'yes' }), {
        pattern: form.pattern, 'apply-to': form.apply, priority: Number(form.priority), definition: parseLines(form.definition),
      }),
    });
    if (!done) return;
    note(t('done.saved'));
    refresh();
  }

  async function erase(one) {
    const done = await ask({ title: t('policies.delete'), verb: t('policies.delete'), danger: true, text: t('policies.delete_text', { policy: plain(one.name) }), act: () => remove(address(one)) });
    if (!done) return;
    note(t('done.deleted'));
    refresh();
  }
}
