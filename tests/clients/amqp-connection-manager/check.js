// What all programs of this folder share: deadlines, names of their own, a line for what held.
'use strict';

const crypto = require('node:crypto');

const PATIENCE_MS = 30_000;

function ok(behaviour) {
  console.log(`ok ${behaviour}`);
}

function unique(name) {
  return `${name}-${crypto.randomUUID().slice(0, 13)}`;
}

/** What `promise` comes to, or an error naming `what` was awaited. */
function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE_MS} ms for ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Looks again and again until `done` gives something true, and returns that. */
async function until(done, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const result = await done();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

module.exports = { ok, unique, until, within };
