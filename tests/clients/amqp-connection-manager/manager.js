// amqp-connection-manager by itself: channels that set themselves up, again after every break.
'use strict';

const assert = require('node:assert');
const amqp = require('amqp-connection-manager');
const { ok, unique, until, within } = require('./check');

function connect(url) {
  return amqp.connect([url], { heartbeatIntervalInSeconds: 5, reconnectTimeInSeconds: 0.2 });
}

/** Closed, and its socket with it. */
async function close(connection) {
  await within(connection.close(), 'the connection to close');
}

async function channels(url) {
  const connection = connect(url);
  const exchange = unique('events');
  const queue = unique('mails');
  const received = [];

  const wrapper = connection.createChannel({
    json: true,
    setup: async (channel) => {
      await channel.assertExchange(exchange, 'topic', { durable: true });
      await channel.assertQueue(queue, { durable: true });
      await channel.bindQueue(queue, exchange, 'user.*.created');
    },
  });
  // Nothing is connected yet: these wait in the wrapper.
  const early = [1, 2, 3].map((id) => wrapper.publish(exchange, `user.${id}.created`, { id }, { persistent: true }));
  await within(Promise.all(early), 'messages published before there was a connection');
  ok('what is published before the connection is there is confirmed once it is');

  await within(wrapper.consume(queue, (message) => {
    received.push([JSON.parse(message.content.toString()), message.fields.routingKey, message.fields.redelivered]);
    if (received.length === 2) wrapper.nack(message, false, true);
    else if (received.length === 4) wrapper.nack(message, false, false);
    else wrapper.ack(message);
  }, { prefetch: 1 }), 'the consumer');
  await until(() => received.length === 4, 'three messages, one of them twice');
  assert.deepStrictEqual(received, [
    [{ id: 1 }, 'user.1.created', false],
    [{ id: 2 }, 'user.2.created', false],
    [{ id: 2 }, 'user.2.created', true],
    [{ id: 3 }, 'user.3.created', false],
  ]);
  ok('a consumer with a prefetch of one acks, requeues and rejects');

  await within(wrapper.cancelAll(), 'the cancel');
  await within(wrapper.publish(exchange, 'user.4.created', { id: 4 }), 'a confirm');
  assert.strictEqual((await wrapper.checkQueue(queue)).messageCount, 1);
  assert.strictEqual((await wrapper.purgeQueue(queue)).messageCount, 1);
  ok('a cancelled consumer gets nothing more; the queue is looked at and purged');

  const returned = [];
  await wrapper.addSetup((channel) => {
    channel.on('return', (message) => returned.push(message.fields.replyText));
  });
  await within(wrapper.sendToQueue(unique('nowhere'), { lost: true }, { mandatory: true }), 'a confirm');
  assert.deepStrictEqual(returned, ['NO_ROUTE']);
  ok('a mandatory message without a queue is returned before it is confirmed');

  await within(wrapper.deleteQueue(queue), 'the delete');
  await close(connection);
}

async function reconnect(url) {
  const connection = connect(url);
  const queue = unique('reconnect');
  const body = (number) => Buffer.from(String(number));
  const publisher = connection.createChannel({
    setup: (channel) => channel.assertQueue(queue, { durable: true }),
  });
  const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);
  const publish = (from, to) => numbers(from, to).map(
    (number) => publisher.sendToQueue(queue, body(number), { persistent: true }),
  );
  await within(Promise.all(publish(0, 200)), '200 confirms');

  let disconnected = 0;
  connection.on('disconnect', () => { disconnected += 1; });
  const acked = new Set();
  const again = [];
  let held = 0;
  const consumer = connection.createChannel();
  // The wrapper consumes anew on every connection by itself.
  await within(consumer.consume(queue, (message) => {
    const number = Number(message.content.toString());
    if (disconnected === 0) {
      held += 1;
      if (number < 20) {
        consumer.ack(message);
        acked.add(number);
      }
      return;
    }
    again.push(number);
    consumer.ack(message);
  }, { prefetch: 50 }), 'the consumer');
  await until(() => held === 70, '20 messages acked and 50 held');
  await within(consumer.checkQueue(queue), 'the acks to be taken');

  console.log('KILL ME');
  await until(() => disconnected > 0, 'the broker to be killed');
  const later = publish(200, 210);
  await within(Promise.all(later), 'messages published while the broker was away');
  ok('what is published while the broker is away is confirmed after it has come back');
  await until(() => again.includes(209), 'the last message');
  const wanted = numbers(0, 210).filter((number) => !acked.has(number));
  assert.deepStrictEqual([...new Set(again)].sort((a, b) => a - b), wanted);
  ok('the consumer is back by itself and gets everything it had not acked');
  await until(async () => (await publisher.checkQueue(queue)).messageCount === 0, 'an empty queue');
  // A deleted queue cancels its consumers, and a wrapper would consume from it again.
  await within(consumer.cancelAll(), 'the cancel');
  await within(publisher.deleteQueue(queue), 'the delete');
  await close(connection);
}

/** What a broker refuses, at the limit that a queue has. */
async function full(url) {
  const connection = connect(url);
  const full = unique('full');
  const wrapper = connection.createChannel({
    json: true,
    setup: (channel) => channel.assertQueue(full, {
      durable: true,
      arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' },
    }),
  });
  await within(wrapper.sendToQueue(full, 'first'), 'a confirm');
  await assert.rejects(within(wrapper.sendToQueue(full, 'second'), 'a nack'), /nacked/);
  ok('a full queue that rejects what is published makes the promise reject');
  await within(wrapper.deleteQueue(full), 'the delete');
  await close(connection);
}

module.exports = { channels, full, reconnect };
