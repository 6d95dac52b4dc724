// Looking at records without taking them: nothing is lent, counted or moved.

import { get, query } from '../../lib/api.js';
import { h, put } from '../../lib/dom.js';
import { t } from '../../lib/i18n.js';
import { button, choice, empty, field, input } from '../../lib/parts.js';
import { valuesOf } from '../../lib/dialog.js';
import { recordView } from './record.js';

export async function draw(view) {
  const from = choice('from', [['next', t('records.next')], ['first', t('records.first')], ['last', t('records.last')], ['offset', t('records.offset')], ['time', t('records.time')]], view.query.from ?? 'first');
  const offset = input('offset', { type: 'number', min: '0', value: view.query.offset ?? '0' });
  const time = input('time', { type: 'datetime-local', step: '1' });
  const offsetField = field(t('records.offset'), offset);
  const timeField = field(t('records.time'), time);
  const form = h('form', { class: 'filters', onsubmit: (event) => { event.preventDefault(); load(); } },
    field(t('records.from'), from), offsetField, timeField,
    field(t('records.count'), choice('count', ['20', '50', '100'].map((each) => [each]), '20')),
    field(t('field.state'), choice('state', [['', t('records.any')], ['ready', t('state.ready')], ['leased', t('state.leased')], ['waiting', t('state.waiting')], ['dying', t('state.dying')], ['settled', t('state.settled')]])),
    field(t('records.search'), input('search', { type: 'search', maxlength: '500' })),
    field(t('records.header'), input('header', { placeholder: 'x-tenant=42' })),
    h('button', { type: 'submit', class: 'primary', 'data-action': 'peek' }, t('records.look')));
  const list = h('div', { class: 'records', 'aria-live': 'polite' });
  const more = button(t('records.more'), () => load(next), { hidden: true });
  let next = null;
  const adapt = () => {
    offsetField.hidden = from.value !== 'offset';
    timeField.hidden = from.value !== 'time';
  };
  from.addEventListener('change', adapt);
  adapt();
  put(view.root, h('p', { class: 'faint' }, t('records.about')), form, list, more);
  await load();

  async function load(start) {
    const values = valuesOf(form);
    const [header, ...rest] = values.header.split('=');
    const place = { offset: values.offset, time: values.time ? new Date(values.time).toISOString() : 'first' }[values.from] ?? values.from;
    try {
      const answer = await get(query(`${view.own}/records`, {
        from: start ?? place, count: values.count, state: values.state, search: values.search,
        ...(header.trim() && rest.length ? { [`header.${header.trim()}`]: rest.join('=').trim() } : {}),
      }), { signal: view.signal });
      view.failed(null);
      const items = (answer.items ?? []).map((record) => recordView(record));
      if (start === undefined) put(list, items);
      else list.append(...items);
      if (!list.hasChildNodes()) put(list, h('div', { class: 'empty' }, empty(t('records.none'), t('records.none_hint'))));
      next = answer.next;
      more.hidden = next === null || next === undefined;
    } catch (failure) {
      if (failure.name !== 'AbortError') view.failed(failure);
    }
  }
}
