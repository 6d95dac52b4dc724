// NestJS' RMQ transport: controllers behind queues, called by pattern.
'use strict';

require('reflect-metadata');
const assert = require('node:assert');
const { Controller } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const {
  ClientProxyFactory, Ctx, EventPattern, MessagePattern, Payload, RmqRecordBuilder, RpcException, Transport,
} = require('@nestjs/microservices');
const { firstValueFrom, from, lastValueFrom, toArray } = require('rxjs');
const { __decorate, __param } = require('tslib');
const { ok, unique, until, within } = require('./check');

/** What the TypeScript compiler makes of `@pattern method(@Payload() payload, @Ctx() context)`. */
function handler(type, method, pattern) {
  __decorate([pattern, __param(0, Payload()), __param(1, Ctx())], type.prototype, method, null);
}

/** A controller class of its own for each service, and all it was told of events. */
function controller() {
  const events = [];
  class Calculator {
    sum(numbers) {
      return numbers.reduce((left, right) => left + right, 0);
    }

    count(upTo) {
      return from(Array.from({ length: upTo }, (_, index) => index + 1));
    }

    divide([, by]) {
      if (by === 0) throw new RpcException('division by zero');
      return 1;
    }

    created(user, context) {
      const message = context.getMessage();
      events.push(['created', user.id, message.fields.redelivered, message.properties.headers.tenant]);
      const channel = context.getChannelRef();
      if (user.id === 2 && !message.fields.redelivered) channel.nack(message, false, true);
      else channel.ack(message);
    }

    any(payload, context) {
      events.push([context.getPattern(), payload]);
      context.getChannelRef().ack(context.getMessage());
    }
  }
  handler(Calculator, 'sum', MessagePattern('sum'));
  handler(Calculator, 'count', MessagePattern({ cmd: 'count' }));
  handler(Calculator, 'divide', MessagePattern('divide'));
  handler(Calculator, 'created', EventPattern('user.created'));
  handler(Calculator, 'any', EventPattern('order.#'));
  return { type: __decorate([Controller()], Calculator), events };
}

async function serve(type, options) {
  class Module {}
  Reflect.defineMetadata('controllers', [type], Module);
  const service = await NestFactory.createMicroservice(Module, { transport: Transport.RMQ, options, logger: false });
  await within(service.listen(), 'the service');
  return service;
}

function call(options) {
  return ClientProxyFactory.create({ transport: Transport.RMQ, options });
}

const ask = (client, pattern, payload) => within(firstValueFrom(client.send(pattern, payload)), `an answer to ${pattern}`);

function settings(url, queue) {
  return {
    urls: [url],
    queue,
    queueOptions: { durable: true },
    socketOptions: { heartbeatIntervalInSeconds: 5, reconnectTimeInSeconds: 0.2 },
  };
}

async function nest(url) {
  const queue = unique('nest');
  const { type, events } = controller();
  // Requests are acked by being answered only where the service does not ack by hand, hence two services.
  const requests = await serve(type, settings(url, queue));
  const client = call(settings(url, queue));
  assert.strictEqual(await ask(client, 'sum', [1, 2, 3]), 6);
  const many = await Promise.all(Array.from({ length: 50 }, (_, n) => ask(client, 'sum', [n, n])));
  assert.deepStrictEqual(many, Array.from({ length: 50 }, (_, n) => 2 * n));
  ok('requests answered over direct reply-to, fifty at once');

  const stream = client.send({ cmd: 'count' }, 4).pipe(toArray());
  assert.deepStrictEqual(await within(lastValueFrom(stream), 'four answers'), [1, 2, 3, 4]);
  ok('one request with a stream of answers');

  await assert.rejects(ask(client, 'divide', [1, 0]), (error) => (error.message ?? error) === 'division by zero');
  await assert.rejects(ask(client, 'no such', 0), /no matching message handler/i);
  ok('an exception and a missing handler come back as errors');

  const named = call({ ...settings(url, queue), replyQueue: await declare(url, unique('replies')) });
  assert.strictEqual(await ask(named, 'sum', [4, 5]), 9);
  await within(named.close(), 'the close');
  ok('answers to a queue of its own name');
  await within(client.close(), 'the close');
  await within(requests.close(), 'the close');

  const byHand = unique('events');
  const service = await serve(type, { ...settings(url, byHand), noAck: false, prefetchCount: 1 });
  const emitter = call(settings(url, byHand));
  for (const id of [1, 2, 3]) {
    const record = new RmqRecordBuilder({ id }).setOptions({ headers: { tenant: 'a' }, persistent: true }).build();
    await within(lastValueFrom(emitter.emit('user.created', record), { defaultValue: null }), 'the event to be taken');
  }
  await until(() => events.length === 4, 'three events, one of them twice');
  assert.deepStrictEqual(events.splice(0), [
    ['created', 1, false, 'a'], ['created', 2, false, 'a'], ['created', 2, true, 'a'], ['created', 3, false, 'a'],
  ]);
  ok('events acked by hand under a prefetch of one, one given back and redelivered');
  await within(emitter.close(), 'the close');
  await within(service.close(), 'the close');

  const topic = unique('topic');
  const wild = { ...settings(url, topic), noAck: false, wildcards: true };
  const listening = await serve(type, wild);
  const shouting = call({ ...wild, noAck: true });
  for (const pattern of ['order.placed.eu', 'invoice.sent', 'order.shipped']) {
    await within(lastValueFrom(shouting.emit(pattern, pattern), { defaultValue: null }), 'the event to be taken');
  }
  await until(() => events.length === 2, 'two events');
  assert.deepStrictEqual(events.splice(0), [
    ['order.placed.eu', 'order.placed.eu'], ['order.shipped', 'order.shipped'],
  ]);
  ok('patterns with wildcards, through a topic exchange');
  await within(shouting.close(), 'the close');
  await within(listening.close(), 'the close');
}

async function declare(url, queue) {
  const connection = await require('amqplib').connect(url);
  const channel = await connection.createChannel();
  await channel.assertQueue(queue, { durable: false });
  await connection.close();
  return queue;
}

async function nest_reconnect(url) {
  const queue = unique('nest');
  const { type, events } = controller();
  const service = await serve(type, { ...settings(url, queue), noAck: false, prefetchCount: 5 });
  const requests = await serve(type, settings(url, `${queue}-requests`));
  const client = call(settings(url, `${queue}-requests`));
  const emitter = call(settings(url, queue));
  assert.strictEqual(await ask(client, 'sum', [1, 2]), 3);
  let away = false;
  await within(emitter.connect(), 'the connection');
  emitter.unwrap().on('disconnect', () => { away = true; });

  console.log('KILL ME');
  await until(() => away, 'the broker to be killed');
  await until(async () => {
    try {
      await within(lastValueFrom(emitter.emit('user.created', { id: 9 }), { defaultValue: null }), 'the event');
      return true;
    } catch {
      return false; // not connected again yet
    }
  }, 'an event after the restart');
  await until(() => events.some(([, id]) => id === 9), 'the service to hear of it');
  await until(async () => {
    try {
      return (await ask(client, 'sum', [3, 4])) === 7;
    } catch {
      return false;
    }
  }, 'an answer after the restart');
  ok('service and client outlive their broker: events are heard and requests answered again');
  for (const open of [client, emitter, requests, service]) await within(open.close(), 'the close');
}

module.exports = { nest, nest_reconnect };
