// Logging in.

import { h, put } from '../lib/dom.js';
import { language, speak, t } from '../lib/i18n.js';
import { failureText, field, input } from '../lib/parts.js';
import * as session from '../lib/session.js';

export function draw({ entered }) {
  const user = input('user', { autocomplete: 'username', required: true });
  const password = input('password', { type: 'password', autocomplete: 'current-password', required: true });
  const trouble = h('p', { class: 'trouble', role: 'alert', hidden: true });
  const submit = h('button', { type: 'submit', class: 'primary' }, t('login.enter'));

  async function enter(event) {
    event.preventDefault();
    submit.disabled = true;
    trouble.hidden = true;
    try {
      await session.enter(user.value, password.value);
      entered();
    } catch (failure) {
      put(trouble, failure.status === 401 ? t('login.wrong', { reason: failure.message }) : failureText(failure)).hidden = false;
      password.value = '';
      password.focus();
    } finally {
      submit.disabled = false;
    }
  }

  const other = language() === 'ko' ? 'en' : 'ko';
  return h('main', { class: 'login' },
    h('form', { class: 'card', onsubmit: enter },
      h('img', { src: '/console/icon.svg', alt: '', width: '56', height: '56' }),
      h('h1', {}, 'Bongsu'),
      field(t('login.user'), user), field(t('login.password'), password), trouble, submit,
      h('button', {
        type: 'button', class: 'quiet', lang: other, 'data-action': 'language',
        onclick: async () => { await speak(other); entered(); },
      }, other === 'en' ? 'English' : '한국어')));
}
