// First module evaluated in a bundle's context. It takes away what EdgeWorkers do not have, freezes the clock, and keeps
// the host's functions: shims may call them, a bundle can neither import this module nor be handed a host object.

const RealDate = Date;
const { parse, stringify } = JSON;

let raw = null;

/** Errors thrown by the host belong to another realm; only their words may cross. */
function call(operation, a, b, c, d, e) {
  try {
    return raw[operation](a, b, c, d, e);
  } catch (error) {
    throw new Error(typeof error?.message === 'string' ? error.message : 'the runtime failed');
  }
}

/** Asynchronous host operations report one or more texts through one callback, or the words of an error through another. */
function later(operation, a, b, c) {
  return new Promise((resolve, reject) => {
    call(operation, a, b, c, (...texts) => resolve(texts), (message) => reject(new Error(message)));
  });
}

function FrozenDate(...parts) {
  if (new.target === undefined) return new RealDate(call('now')).toString();
  if (parts.length === 0) return new RealDate(call('now'));
  return new RealDate(...parts);
}
FrozenDate.prototype = RealDate.prototype;
FrozenDate.prototype.constructor = FrozenDate;
FrozenDate.now = () => call('now');
FrozenDate.parse = RealDate.parse;
FrozenDate.UTC = RealDate.UTC;

function install(operations) {
  raw = operations;
  globalThis.Date = FrozenDate;
  for (const name of ['console', 'WebAssembly', 'SharedArrayBuffer', 'Atomics']) delete globalThis[name];
}

export { call, install, later, parse, stringify };
