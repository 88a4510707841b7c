// The active bundle of one network. Activation warms a new worker up before the pointer moves; a death costs the guilty
// event and nobody else.
import { Fault, Instance } from './instance.mjs';

const MAX_ATTEMPTS = 3;
const RETRY_MS = 500;

let lastId = 0;
const nextId = () => {
  lastId = (lastId % 0x7ffffffe) + 1;
  return lastId;
};

const failed = (code, message) => ({ action: 'error', error: { code, message }, variables: {}, cpu_ms: 0, most_cpu_ms: 0, log: [] });

export class Runtime {
  #answer;
  #spec = null;
  #instance = null;
  #waiting = [];
  #handlers = [];

  constructor(answer) {
    this.#answer = answer;
  }

  get active() {
    return this.#spec === null ? null : { version: this.#spec.version, edgeWorkerId: this.#spec.edgeWorkerId };
  }

  handles(name) {
    return this.#handlers.includes(name);
  }

  #instanceOf(spec, measured) {
    const instance = new Instance({
      spec,
      measured,
      answer: (request, limits) => this.#answer(request, limits, spec),
      onDeath: (survivors) => this.#died(instance, survivors),
    });
    return instance;
  }

  /** Throws a Fault and keeps the old bundle when the new one does not come up or does not fit its tier. */
  async activate(spec) {
    const instance = this.#instanceOf(spec, true);
    const report = await instance.boot();
    if (report.heapBytes > spec.limits.handler.memoryBytes) {
      instance.drain();
      throw new Fault('EW_MEMORY_LIMIT', `the bundle holds ${report.heapBytes} bytes after initialising`);
    }
    this.#spec = spec;
    this.#adopt(instance, report);
    return { handlers: report.handlers, initCpuMs: report.initCpuMs, heapBytes: report.heapBytes };
  }

  deactivate() {
    this.#spec = null;
    this.#handlers = [];
    this.#instance?.drain();
    this.#instance = null;
    this.#refuse('EW_NO_BUNDLE', 'deactivated');
  }

  /** ``now`` (ms) freezes the clock of every handler of the event; null takes the time each handler starts. */
  run(phase, json, now = null) {
    if (this.#spec === null) return Promise.resolve(failed('EW_NO_BUNDLE', 'no EdgeWorker version is active'));
    return new Promise((resolve) => {
      this.#submit({ id: nextId(), phase, json, now, resolve, attempts: 0 });
    });
  }

  #submit(job) {
    if (this.#instance === null) this.#waiting.push(job);
    else this.#instance.run(job);
  }

  #adopt(instance, report) {
    const old = this.#instance;
    this.#instance = instance;
    this.#handlers = report.handlers;
    old?.drain();
    this.#flush();
  }

  #flush() {
    for (const job of this.#waiting.splice(0)) this.#instance.run(job);
  }

  #refuse(code, message) {
    for (const job of this.#waiting.splice(0)) job.resolve(failed(code, message));
  }

  #died(instance, survivors) {
    for (const job of survivors) this.#again(job);
    if (this.#instance === instance) this.#respawn();
    else if (this.#instance !== null) this.#flush();
  }

  /** An event that lost its worker through no fault of its own runs again, but not for ever. */
  #again(job) {
    const attempts = job.attempts + 1;
    if (attempts < MAX_ATTEMPTS) this.#waiting.push({ ...job, attempts });
    else job.resolve(failed('EW_RUNTIME', `the runtime ended ${attempts} times`));
  }

  #retry(spec) {
    if (this.#spec === spec && this.#instance === null) this.#respawn();
  }

  async #respawn() {
    this.#instance = null;
    const spec = this.#spec;
    const instance = this.#instanceOf(spec, false);
    try {
      const report = await instance.boot();
      if (this.#spec === spec && this.#instance === null) this.#adopt(instance, report);
      else instance.drain();
    } catch (error) {
      this.#refuse(error.code, error.message);
      setTimeout(() => this.#retry(spec), RETRY_MS);
    }
  }
}
