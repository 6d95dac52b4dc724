// Tables: sorted by their headings, paged, walked with the arrow keys, drawn anew without losing
// the focus. The rows come either a page at a time from the API, or all at once.

import { h, put, say } from './dom.js';
import { count } from './format.js';
import { t } from './i18n.js';

const SIZES = [25, 50, 100, 250];

/**
 * `columns`: `{ key, title, cell(row) → node or text, value(row) → what to sort by, number, sortable, narrow }`;
 * a column without `value` and `sortable` is not sorted by; `narrow: false` hides it on a phone.
 * `identify(row)` names a row for good. `changed(state)` is called when another page is wanted;
 * without it the table sorts and pages what `show` is given by itself.
 */
export function table({ label, columns, identify, empty, changed, sort, reverse = false, size = 50 }) {
  const state = { page: 1, size, sort, reverse };
  let all = [];
  let total = 0;
  let loaded = false;

  const headings = new Map();
  const body = h('tbody', {});
  const nothing = h('div', { class: 'empty', hidden: true });
  const pager = pagerOf(state, () => refresh());
  const element = h('div', { class: 'table' },
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label },
      h('table', {},
        h('caption', { class: 'unseen' }, label),
        h('thead', {}, h('tr', {}, columns.map(heading))),
        body)),
    nothing, pager.element);

  function heading(column) {
    const sortable = column.sortable ?? Boolean(column.value);
    const attributes = { scope: 'col', class: classes(column) };
    if (!sortable) return h('th', attributes, column.title);
    const cell = h('th', attributes,
      h('button', { type: 'button', class: 'sort', onclick: () => sortBy(column) }, column.title));
    headings.set(column.key, cell);
    return cell;
  }

  function sortBy(column) {
    state.reverse = state.sort === column.key ? !state.reverse : Boolean(column.number);
    state.sort = column.key;
    state.page = 1;
    refresh();
  }

  function refresh() {
    marks();
    if (changed) changed({ ...state });
    else draw();
  }

  function marks() {
    for (const [key, cell] of headings) {
      const on = key === state.sort;
      cell.setAttribute('aria-sort', on ? (state.reverse ? 'descending' : 'ascending') : 'none');
    }
  }

  function draw() {
    let rows = all;
    if (!changed) {
      const column = columns.find(({ key, value }) => key === state.sort && value);
      if (column) {
        const sign = state.reverse ? -1 : 1;
        rows = [...all].sort((a, b) => sign * compare(column.value(a), column.value(b)));
      }
      const pages = Math.max(1, Math.ceil(rows.length / state.size));
      state.page = Math.min(state.page, pages);
      rows = rows.slice((state.page - 1) * state.size, state.page * state.size);
    }
    const old = new Map([...body.children].map((row) => [row.dataset.key, row]));
    const next = rows.map((row) => {
      const key = String(identify(row));
      const line = old.get(key) ?? h('tr', { 'data-key': key }, columns.map((column) => h(column.head ? 'th' : 'td',
        { class: classes(column), scope: column.head ? 'row' : undefined })));
      columns.forEach((column, index) => fillCell(line.children[index], column.cell(row)));
      return line;
    });
    replaceRows(body, next);
    nothing.hidden = !loaded || rows.length > 0;
    if (!nothing.hidden) put(nothing, typeof empty === 'function' ? empty() : empty);
    pager.show(changed ? total : all.length);
  }

  body.addEventListener('keydown', (event) => walk(event, body));
  marks();
  return {
    element,
    state,
    /** Shows these rows; `of` is how many there are in all, when they come by the page. */
    show(rows, of = rows.length) {
      all = rows;
      total = of;
      loaded = true;
      draw();
    },
    /** Back to the first page, after the filter has changed. */
    first() {
      state.page = 1;
    },
  };
}

const classes = (column) =>
  [column.number && 'number', column.narrow === false && 'wide-only', column.class].filter(Boolean).join(' ') || undefined;

/** A cell is only touched when it looks different: what has the focus or is selected stays. */
function fillCell(cell, content) {
  if (content instanceof Node) {
    const only = cell.childNodes.length === 1 ? cell.firstChild : null;
    if (only?.isEqualNode(content)) return;
    // Nothing a user is just using is taken away from under the finger.
    if (only && cell.contains(document.activeElement) && only.textContent === content.textContent) return;
    put(cell, content);
  } else {
    say(cell, content ?? '');
  }
}

function replaceRows(body, rows) {
  const same = rows.length === body.children.length && rows.every((row, index) => row === body.children[index]);
  if (same) return;
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  body.replaceChildren(...rows);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}

/** Up and down within a column, Home and End to its ends. */
function walk(event, body) {
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)
    && event.target.type !== 'checkbox') return;
  const cell = event.target.closest('td, th');
  const rows = [...body.children];
  const at = rows.indexOf(cell?.parentElement);
  const to = Math.max(0, Math.min(rows.length - 1, at + step));
  const target = rows[to]?.children[cell.cellIndex]?.querySelector('a, button, input');
  if (target) {
    event.preventDefault();
    target.focus();
  }
}

function pagerOf(state, turn) {
  const go = (page) => { state.page = page; turn(); };
  const back = h('button', { type: 'button', 'data-page': 'previous', onclick: () => go(state.page - 1) }, t('table.previous'));
  const next = h('button', { type: 'button', 'data-page': 'next', onclick: () => go(state.page + 1) }, t('table.next'));
  const where = h('span', { role: 'status' });
  const sizes = h('select', {
    'aria-label': t('table.size'),
    onchange: (event) => { state.size = Number(event.target.value); go(1); },
  }, SIZES.map((size) => h('option', { value: String(size), selected: size === state.size }, count(size))));
  const element = h('div', { class: 'pager', hidden: true }, back, where, next, sizes);
  return {
    element,
    show(total) {
      const pages = Math.max(1, Math.ceil(total / state.size));
      element.hidden = total <= SIZES[0] && pages === 1;
      back.disabled = state.page <= 1;
      next.disabled = state.page >= pages;
      const first = Math.min(total, (state.page - 1) * state.size + 1);
      const last = Math.min(total, state.page * state.size);
      say(where, t('table.range', { first: count(first), last: count(last), total: count(total) }));
    },
  };
}

function compare(a, b) {
  if (typeof a === 'number' || typeof b === 'number') return (a ?? -Infinity) - (b ?? -Infinity) || 0;
  return String(a ?? '').localeCompare(String(b ?? ''), undefined, { numeric: true });
}
