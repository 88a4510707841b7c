// Worker thread: one bundle, its events, their clocks. The main thread kills this thread when it stops answering.
import { AsyncLocalStorage } from 'node:async_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';

import { openContext } from './context.mjs';
import { Meter } from './meter.mjs';
import { operationsFor } from './operations.mjs';

const { files, limits, flags, measured } = workerData;
const storage = new AsyncLocalStorage();
const meter = new Meter({ storage, limits, flags: new Int32Array(flags), post: (message) => parentPort.postMessage(message) });

const collect = measured ? collector() : null;

// A promise the bundle forgot about is the bundle's business; it must not take the thread down.
process.on('unhandledRejection', () => undefined);

/** The flag is on for one context only: with it on the command line every bundle would find a ``gc`` it cannot lose. */
function collector() {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  return gc;
}

function settledHeap() {
  for (let i = 0; i < 3; i += 1) collect();
  return process.memoryUsage().heapUsed;
}

/** Two empty contexts first: the difference between them is what the bundle must not be charged for. */
async function emptyContextCost() {
  const kept = [await openContext(operationsFor(meter))];
  const before = settledHeap();
  kept.push(await openContext(operationsFor(meter)));
  return { cost: settledHeap() - before, kept };
}

async function open() {
  const empty = measured ? await emptyContextCost() : null;
  const before = measured ? settledHeap() : 0;
  const context = await openContext(operationsFor(meter), files);
  const bundle = await meter.initialise(() => context.open());
  const heapBytes = measured ? Math.max(0, settledHeap() - before - empty.cost) : null;
  return { bundle, heapBytes };
}

async function serve() {
  const { bundle, heapBytes } = await open();
  const inbox = {
    run: ({ id, phase, json, now }) => meter.run({ id, now }, (done) => bundle.run(phase, json, done)),
    subresult: (message) => meter.answer(message),
  };
  parentPort.on('message', (message) => {
    meter.idle();
    inbox[message.kind](message);
  });
  parentPort.postMessage({ kind: 'ready', handlers: bundle.handlers, initCpuMs: meter.initCpuMs, heapBytes });
}

/** The position in the bundle is worth telling, our own stack is not. */
function refusal(error) {
  const lines = String(error?.stack ?? error).split('\n');
  const told = lines.filter((line) => !/^\s+at /.test(line) || line.includes('bundle:'));
  return { kind: 'refused', code: String(error?.code ?? '').startsWith('EW_') ? error.code : 'EW_RUNTIME', message: told.join('\n').slice(0, 1000) };
}

serve().catch((error) => parentPort.postMessage(refusal(error)));
