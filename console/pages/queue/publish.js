// A test message, through the front door: the exchange the user names, with their rights.

import { path, post } from '../../lib/api.js';
import { attempt, valuesOf } from '../../lib/dialog.js';
import { h, put } from '../../lib/dom.js';
import { t } from '../../lib/i18n.js';
import { choice, field, input, parseLines } from '../../lib/parts.js';

export async function draw(view) {
  const form = h('form', { class: 'card stack', onsubmit: send },
    field(t('field.exchange'), input('exchange', { placeholder: t('exchange.default') }), t('publish.exchange_hint')),
    field(t('field.routing_key'), input('routing_key', { value: view.queue })),
    field(t('record.headers'), h('textarea', { name: 'headers', rows: '2', spellcheck: 'false' }), t('hint.arguments')),
    field(t('record.properties'), h('textarea', { name: 'properties', rows: '2', spellcheck: 'false', placeholder: 'content_type=application/json' }), t('publish.properties_hint')),
    field(t('publish.mode'), choice('mode', [['2', t('publish.persistent')], ['1', t('publish.transient')]])),
    field(t('publish.encoding'), choice('encoding', [['string', t('publish.text')], ['base64', 'Base64']])),
    field(t('record.payload'), h('textarea', { name: 'payload', rows: '6', spellcheck: 'false' })),
    h('div', {}, h('button', { type: 'submit', class: 'primary', 'data-action': 'publish', disabled: !view.may('work') }, t('publish.send'))));
  put(view.root, h('p', { class: 'faint' }, t('publish.about')), form);

  async function send(event) {
    event.preventDefault();
    const values = valuesOf(form);
    await attempt(async () => {
      const properties = { ...parseLines(values.properties), delivery_mode: Number(values.mode) };
      const headers = parseLines(values.headers);
      if (Object.keys(headers).length) properties.headers = headers;
      const answer = await post(path`/api/exchanges/${view.space}/${values.exchange || 'amq.default'}/publish`, {
        properties, routing_key: values.routing_key, payload: values.payload, payload_encoding: values.encoding,
      });
      if (!answer.routed) throw new Error(t('publish.unrouted'));
    }, t('publish.sent'));
  }
}
