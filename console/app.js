// The console: finds the page for what is behind the # and draws it. One page at a time lives;
// leaving it aborts all it had asked and stops its polling.

import { whenLoggedOut } from './lib/api.js';
import { h, plain, put } from './lib/dom.js';
import * as i18n from './lib/i18n.js';
import { listen } from './lib/keys.js';
import { failureText } from './lib/parts.js';
import { poll } from './lib/poll.js';
import * as session from './lib/session.js';
import { shell } from './lib/shell.js';
import * as theme from './lib/theme.js';
import * as connections from './pages/connections.js';
import * as exchange from './pages/exchange.js';
import * as exchanges from './pages/exchanges.js';
import * as group from './pages/group.js';
import * as groups from './pages/groups.js';
import * as login from './pages/login.js';
import * as overview from './pages/overview.js';
import * as policies from './pages/policies.js';
import * as queue from './pages/queue.js';
import * as queues from './pages/queues.js';
import * as settings from './pages/settings.js';
import * as spaces from './pages/spaces.js';
import * as streams from './pages/streams.js';
import * as users from './pages/users.js';

const { t } = i18n;

/** What is behind the #, the page for it, and the place in the menu that it belongs to. */
const ROUTES = [
  ['', overview, 'overview'],
  ['queues', queues, 'queues'],
  ['queues/:space/:queue', queue, 'queues'],
  ['queues/:space/:queue/:tab', queue, 'queues'],
  ['streams', streams, 'streams'],
  ['groups', groups, 'groups'],
  ['groups/:space/:group', group, 'groups'],
  ['exchanges', exchanges, 'exchanges'],
  ['exchanges/:space/:exchange', exchange, 'exchanges'],
  ['connections', connections, 'connections'],
  ['connections/:connection', connections, 'connections'],
  ['users', users, 'users'],
  ['users/:name', users, 'users'],
  ['spaces', spaces, 'spaces'],
  ['policies', policies, 'policies'],
  ['settings', settings, 'settings'],
].map(([pattern, page, place]) => ({ pattern: pattern.split('/'), page, place }));

let leave = new AbortController();
let frame = null;

/** Draws the page anew. `keepFocus` is for changes of the same page: filters, language. */
async function route(keepFocus = false) {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  if (!session.user()) {
    frame = null;
    put(document.body, login.draw({ signal, entered: () => route() }));
    document.title = `${t('login.title')} · Bongsu`;
    document.querySelector('input')?.focus();
    return;
  }
  frame ??= shell({ redraw: () => { frame = null; route(true); }, refresh: () => refresh() });
  if (!frame.element.isConnected) put(document.body, frame.parts);

  const { page, place, parameters, search } = locate(location.hash);
  const root = h('div', { class: 'page' });
  const trouble = h('div', { class: 'trouble', role: 'alert', hidden: true });
  frame.show(place, [trouble, root]);
  let refresh = () => {};
  frame.refresh = () => refresh();

  const failed = (error) => {
    frame.answers(!error || error.status !== 0);
    trouble.hidden = !error;
    if (error) put(trouble, failureText(error));
  };
  const view = {
    root, signal, failed,
    space: session.space(),
    user: session.user(),
    may: session.may,
    ...parameters,
    query: Object.fromEntries(search),
    /** Keeps the page's filters in the address, so that it can be sent to a colleague. */
    remember(values) {
      const next = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
      history.replaceState(null, '', `${location.hash.split('?')[0]}${next.size ? `?${next}` : ''}`);
    },
    poll(ask, everyMs) {
      refresh = poll(signal, ask, failed, everyMs);
      return refresh;
    },
    title(text) {
      document.title = `${plain(text)} · Bongsu`;
    },
    again: () => route(true),
  };
  try {
    await page.draw(view);
  } catch (error) {
    if (signal.aborted || error.name === 'AbortError') return;
    failed(error);
    if (!error.status) console.error(error);
  }
  if (!keepFocus && !signal.aborted && !root.contains(document.activeElement)) frame.main.focus({ preventScroll: true });
}

const refresh = () => frame?.refresh?.();

function locate(hash) {
  const [path, search] = hash.replace(/^#\/?/, '').split('?');
  const found = { page: overview, place: 'overview', parameters: {}, search: new URLSearchParams(search) };
  let parts;
  try {
    parts = path.split('/').map(decodeURIComponent);
  } catch {
    return found;
  }
  for (const { pattern, page, place } of ROUTES) {
    if (pattern.length !== parts.length) continue;
    const fits = pattern.every((part, index) => part.startsWith(':') || part === parts[index]);
    if (!fits) continue;
    const parameters = {};
    pattern.forEach((part, index) => { if (part.startsWith(':')) parameters[part.slice(1)] = parts[index]; });
    return { ...found, page, place, parameters };
  }
  return found;
}

theme.start();
await i18n.start();
await session.start();
whenLoggedOut(() => {
  if (!session.user()) return;
  session.forget();
  route();
});
listen({ refresh, go: (hash) => { location.hash = hash; } });
addEventListener('hashchange', () => route());
route();
