// Who is logged in, what they may do, and which space they look at.

import { get, post } from './api.js';

let current = null;
let chosen = '';

/** The user, as `/api/whoami` has it, or null. */
export const user = () => current;

/** The space that lists are narrowed to; empty for all. */
export const space = () => chosen;

export function choose(name) {
  chosen = name;
  sessionStorage.setItem('bongsu.space', name);
}

/** Takes up the session that the browser still has a cookie of. */
export async function start() {
  chosen = sessionStorage.getItem('bongsu.space') ?? '';
  // Only after a login here: without one, a failed request would stand in the browser's log.
  if (!localStorage.getItem('bongsu.entered')) return;
  try {
    await who();
  } catch {
    forget();
  }
}

export async function enter(name, password) {
  await post('/bongsu/v1/login', { user: name, password }, { login: true });
  localStorage.setItem('bongsu.entered', '1');
  await who();
}

export async function leave() {
  await post('/bongsu/v1/logout').catch(() => {});
  forget();
}

export function forget() {
  current = null;
  localStorage.removeItem('bongsu.entered');
}

async function who() {
  const answer = await get('/api/whoami', { login: true });
  const tags = typeof answer.tags === 'string' ? answer.tags.split(',') : answer.tags ?? [];
  current = { name: answer.name, tags: tags.map((tag) => tag.trim()).filter(Boolean) };
}

/** Whether a button is worth offering. The broker decides; this only keeps false hopes away. */
export function may(what) {
  const tags = new Set(current?.tags);
  if (tags.has('administrator')) return true;
  return what === 'policies' ? tags.has('policymaker') : what === 'watch' ? tags.has('monitoring') : what === 'work' && tags.size > 0;
}
