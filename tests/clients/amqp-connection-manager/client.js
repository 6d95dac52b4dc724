// What Node services do with amqp-connection-manager, bare and under NestJS, one scenario a run.
//
// Usage: AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f node client.js SCENARIO
'use strict';

const { channels, full, reconnect } = require('./manager');
const { nest, nest_reconnect } = require('./nest');

const SCENARIOS = {
  channels, full, reconnect, nest, nest_reconnect,
};

SCENARIOS[process.argv[2]](process.env.AMQP_URL).then(
  // Everything must be closed by now: a handle that keeps the process alive is a failure.
  () => {},
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
