// The broker's two APIs: RabbitMQ's under /api, its own under /bongsu/v1.

/** What a request failed with: the status, the API's own reason. */
export class Failure extends Error {
  constructor(status, code, reason) {
    super(reason || code || `HTTP ${status}`);
    this.status = status;
    this.code = code;
  }
}

let onLoggedOut = () => {};

/** Calls `handler` whenever the broker no longer knows who we are. */
export const whenLoggedOut = (handler) => { onLoggedOut = handler; };

/** A path with its parts encoded: path`/api/queues/${space}/${queue}`. */
export const path = (texts, ...values) =>
  texts.reduce((whole, text, index) => whole + encodeURIComponent(values[index - 1]).replaceAll('*', '%2A') + text);

/** A path with what is set of `query`. */
export function query(base, values) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== '') search.set(key, value);
  }
  return search.size ? `${base}?${search}` : base;
}

export const get = (url, options) => request('GET', url, undefined, options);
export const post = (url, body, options) => request('POST', url, body, options);
export const put = (url, body, options) => request('PUT', url, body, options);
export const remove = (url, body, options) => request('DELETE', url, body, options);

/** `get`, but nothing where the broker has no such thing or does not let us see it. */
export async function find(url, options) {
  try {
    return await get(url, options);
  } catch (failure) {
    if (failure instanceof Failure && [401, 403, 404, 405].includes(failure.status) && !failure.loggedOut) return null;
    throw failure;
  }
}

async function request(method, url, body, { signal, login = false } = {}) {
  // The header is what another site's page cannot send; the broker asks for it with the cookie,
  // and does not make the browser ask for a password where it is there.
  const headers = { 'X-Bongsu-Console': '1', Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(url, {
      method, headers, signal, credentials: 'same-origin', cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Failure(0, 'unreachable', '');
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    if (answer.ok) throw new Failure(answer.status, 'not JSON', text.slice(0, 200));
  }
  if (answer.ok) return value;
  // RabbitMQ's API says 401 also to who is known and may not; only one of both ends the session.
  const loggedOut = answer.status === 401 && (value?.error === 'not_authorized' || value?.reason === 'Login failed');
  if (loggedOut && !login) onLoggedOut();
  const reason = value?.reason ?? value?.error ?? text.slice(0, 300);
  const failure = new Failure(answer.status, value?.error ?? '', typeof reason === 'string' ? reason : JSON.stringify(reason));
  failure.loggedOut = loggedOut;
  throw failure;
}
