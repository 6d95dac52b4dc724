// Asking again while a page is looked at: one question at a time, none while nobody looks, fewer
// while the broker does not answer.

const EVERY_MS = 3000;
const SLOWEST_MS = 30_000;

/** Runs `ask(signal)` now and every few seconds until `signal` aborts. `failed(error)` is told of
 *  each failure, and `failed(null)` once it works. Returns a function that asks at once. */
export function poll(signal, ask, failed, everyMs = EVERY_MS) {
  let timer = 0;
  let pending = false;
  let again = false;
  let waitMs = everyMs;

  async function turn() {
    clearTimeout(timer);
    if (signal.aborted) return;
    if (pending) {
      again = true;
      return;
    }
    if (document.hidden) return; // `visibilitychange` brings us back.
    pending = true;
    try {
      await ask(signal);
      if (!signal.aborted) failed(null);
      waitMs = everyMs;
    } catch (error) {
      if (signal.aborted || error.name === 'AbortError') return;
      failed(error);
      waitMs = Math.min(waitMs * 2, SLOWEST_MS);
    } finally {
      pending = false;
    }
    if (again) {
      again = false;
      turn();
    } else {
      timer = setTimeout(turn, waitMs);
    }
  }

  const seen = () => { if (!document.hidden) turn(); };
  document.addEventListener('visibilitychange', seen, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  turn();
  return turn;
}
