// One worker thread running one bundle, watched from the main thread. It ends in one of two ways: drained, or dead with
// the guilty event named and the innocent ones handed back.
import { Worker } from 'node:worker_threads';

const WATCH_MS = 20;
const BOOT_ALLOWANCE_MS = 3000;
const HEAP = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

export class Fault extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Instance {
  #worker;
  #flags = new Int32Array(new SharedArrayBuffer(12));
  #limits;
  #jobs = new Map();
  #watch = null;
  #seen = 0;
  #baseline = null;
  #asking = false;
  #cause = null;
  #draining = false;
  #settleBoot;
  #answer;
  #onDeath;

  /** ``answer(request, limits)`` serves sub-requests; ``onDeath({fault, survivors})`` is called at most once after boot. */
  constructor({ spec, measured, answer, onDeath }) {
    this.#limits = spec.limits;
    this.#answer = answer;
    this.#onDeath = onDeath;
    this.#worker = new Worker(new URL('./worker.mjs', import.meta.url), {
      workerData: { files: spec.files, limits: spec.limits, flags: this.#flags.buffer, measured },
      resourceLimits: HEAP,
      env: {},
      argv: [],
    });
    this.#worker.on('message', (message) => this.#receive(message));
    this.#worker.on('error', (error) => {
      this.#cause ??= error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? new Fault('EW_MEMORY_LIMIT', 'out of memory') : new Fault('EW_RUNTIME', String(error));
    });
    this.#worker.on('exit', () => this.#exited());
  }

  boot() {
    this.#watching();
    const allowance = BOOT_ALLOWANCE_MS + this.#limits.initWallMs * this.#limits.slack;
    const timer = setTimeout(() => this.#kill(new Fault('EW_WALL_TIMEOUT', 'initialising did not end')), allowance);
    return new Promise((resolve, reject) => {
      this.#settleBoot = { resolve, reject };
    }).finally(() => {
      clearTimeout(timer);
      this.#settleBoot = null;
    });
  }

  run(job) {
    this.#jobs.set(job.id, job);
    this.#watching();
    this.#worker.postMessage({ kind: 'run', id: job.id, phase: job.phase, json: job.json, now: job.now });
  }

  /** Ends the thread once the events it already has are done. */
  drain() {
    this.#draining = true;
    if (this.#jobs.size === 0) this.#worker.terminate();
  }

  #receive(message) {
    if (message.kind === 'done') this.#done(message);
    else if (message.kind === 'subrequest') this.#subrequest(message);
    else if (message.kind === 'ready') this.#settleBoot?.resolve(message);
    else this.#kill(new Fault(message.code, message.message));
  }

  #done({ id, result, cpuMs, mostCpuMs, log }) {
    const job = this.#jobs.get(id);
    this.#jobs.delete(id);
    job?.resolve({ ...JSON.parse(result), cpu_ms: cpuMs, most_cpu_ms: mostCpuMs, log });
    if (this.#draining && this.#jobs.size === 0) this.#worker.terminate();
  }

  async #subrequest({ sub, request, timeoutMs, maxBytes }) {
    try {
      const { body, ...head } = await this.#answer(JSON.parse(request), { timeoutMs, maxBytes });
      this.#worker.postMessage({ kind: 'subresult', sub, result: { head: JSON.stringify(head), body } });
    } catch (error) {
      this.#worker.postMessage({ kind: 'subresult', sub, error: String(error.message) });
    }
  }

  #watching() {
    this.#watch ??= setInterval(() => this.#look(), WATCH_MS);
  }

  /** A slice seen twice may be spinning, or only be waiting for a turn on a busy machine: ask the thread's CPU clock. */
  #look() {
    if (this.#jobs.size === 0 && !this.#settleBoot) {
      clearInterval(this.#watch);
      this.#watch = null;
      return;
    }
    const slice = Atomics.load(this.#flags, 1);
    const suspect = Atomics.load(this.#flags, 0);
    if (suspect === 0 || slice !== this.#seen) {
      this.#seen = slice;
      this.#baseline = null;
    } else if (!this.#asking) {
      this.#interrogate(slice);
    }
  }

  async #interrogate(slice) {
    this.#asking = true;
    try {
      const { user, system } = await this.#worker.cpuUsage();
      const spent = (user + system) / 1000;
      if (Atomics.load(this.#flags, 1) !== slice) this.#baseline = null;
      else if (this.#baseline === null) this.#baseline = spent;
      else if (spent - this.#baseline >= Atomics.load(this.#flags, 2)) this.#kill(new Fault('EW_CPU_TIMEOUT', 'used more CPU than the tier allows'));
    } catch {
      this.#baseline = null; // the thread ended meanwhile; 'exit' has the rest
    } finally {
      this.#asking = false;
    }
  }

  #kill(fault) {
    this.#cause ??= fault;
    this.#worker.terminate();
  }

  #exited() {
    clearInterval(this.#watch);
    const fault = this.#cause ?? new Fault('EW_RUNTIME', 'the runtime ended unexpectedly');
    if (this.#settleBoot) {
      this.#settleBoot.reject(fault);
      return;
    }
    const guilty = this.#jobs.get(Atomics.load(this.#flags, 0));
    this.#jobs.delete(guilty?.id);
    const survivors = [...this.#jobs.values()];
    this.#jobs.clear();
    guilty?.resolve({ action: 'error', error: { code: fault.code, message: fault.message }, variables: {}, cpu_ms: 0, most_cpu_ms: 0, log: [] });
    if (!this.#draining || survivors.length > 0) this.#onDeath(survivors);
  }
}
