// Dialogs, on the browser's own <dialog>: the focus stays in them, Escape closes them, and it
// goes back to where it came from.

import { h, put } from './dom.js';
import { t } from './i18n.js';
import { failureText } from './parts.js';

/**
 * Asks with a form. `fields` are elements with `name`; `act(values)` does it and may throw, which
 * is shown and leaves the dialog open. Resolves to what `act` gave, or `undefined` if cancelled.
 */
export function ask({ title, text, fields = [], verb, danger = false, act, wide = false }) {
  return new Promise((resolve) => {
    let result;
    const trouble = h('p', { class: 'trouble', role: 'alert', hidden: true });
    const submit = h('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, verb);
    const heading = h('h2', { id: 'dialog-title' }, title);
    const form = h('form', {
      method: 'dialog',
      onsubmit: async (event) => {
        event.preventDefault();
        submit.disabled = true;
        trouble.hidden = true;
        try {
          result = (await act(valuesOf(form))) ?? true;
          dialog.close();
        } catch (failure) {
          put(trouble, failureText(failure)).hidden = false;
        } finally {
          submit.disabled = false;
        }
      },
    }, heading, text && h('div', { class: 'text' }, text), fields, trouble,
    h('div', { class: 'actions' },
      h('button', { type: 'button', onclick: () => dialog.close() }, t('dialog.cancel')), submit));
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', class: wide ? 'wide' : undefined }, form);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Shows something until it is closed. */
export function tell(title, ...content) {
  const close = h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, t('dialog.close'));
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', class: 'wide' },
    h('h2', { id: 'dialog-title' }, title), h('div', { class: 'text' }, content), h('div', { class: 'actions' }, close));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
  return dialog;
}

/** A line at the foot of the page, read out, gone by itself. */
export function note(text, bad = false) {
  let board = document.querySelector('.notes');
  if (!board) {
    board = h('div', { class: 'notes', role: 'status', 'aria-live': 'polite' });
    document.body.append(board);
  }
  const line = h('p', { class: bad ? 'bad' : undefined }, text);
  board.append(line);
  setTimeout(() => line.remove(), bad ? 12_000 : 6000);
}

/** Runs an action of a button: its outcome, good or bad, becomes a note. */
export async function attempt(action, done) {
  try {
    const result = await action();
    if (done) note(typeof done === 'function' ? done(result) : done);
    return result;
  } catch (failure) {
    note(failureText(failure), true);
    return undefined;
  }
}

/** What the fields of a form hold, by their names. */
export function valuesOf(form) {
  const values = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === 'checkbox') values[field.name] = field.checked;
    else if (field.type === 'radio') { if (field.checked) values[field.name] = field.value; }
    else values[field.name] = field.value;
  }
  return values;
}
