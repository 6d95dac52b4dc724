// Long work of the broker's: its progress in a dialog, which may be left without ending it.

import { get, path, remove } from '../../lib/api.js';
import { attempt, tell } from '../../lib/dialog.js';
import { h, put } from '../../lib/dom.js';
import { count } from '../../lib/format.js';
import { t, word } from '../../lib/i18n.js';
import { button } from '../../lib/parts.js';
import { poll } from '../../lib/poll.js';

/** Resolves to the job when it has ended, to nothing when the dialog is closed before. */
export function follow(id, title, signal) {
  return new Promise((resolve) => {
    const closed = new AbortController();
    const bar = h('progress', { max: '1', value: 0, 'aria-label': title });
    const line = h('p', { role: 'status' });
    const stop = button(t('job.stop'), () => attempt(() => remove(path`/bongsu/v1/jobs/${id}`)), { class: 'danger' });
    const dialog = tell(title, bar, line, stop);
    dialog.addEventListener('close', () => closed.abort());
    const ended = AbortSignal.any([signal, closed.signal]);
    // Who leaves the page leaves the dialog too; the work goes on.
    ended.addEventListener('abort', () => { dialog.close(); resolve(); });
    poll(ended, async () => {
      const job = await get(path`/bongsu/v1/jobs/${id}`, { signal: ended });
      bar.value = job.total ? job.done / job.total : 0;
      put(line, t('job.progress', { state: word('job', job.state), done: count(job.done), total: count(job.total ?? job.done) }), job.error ? ` ${job.error}` : '');
      if (job.state !== 'running' && job.state !== 'queued') {
        if (!job.error) bar.value = 1;
        stop.hidden = true;
        resolve(job);
      }
    }, (error) => { if (error) put(line, error.message); }, 500);
  });
}
