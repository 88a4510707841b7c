// Whose turn is it, and what has it used? Thread CPU time, not wall time: a busy laptop must not kill healthy requests.
//
// The thread runs one slice at a time: from a message or a host answer until the microtasks it caused are done. ``flags``
// is memory shared with the main thread: [id of the event in the current slice, number of the slice, its CPU budget in ms].
const IDLE = 0;
const INITIALISING = -1;
const SWEEP_MS = 50;
const MAX_LOG_LINES = 50;

const cpuMs = () => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

class Overrun extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Meter {
  #storage;
  #limits;
  #flags;
  #post;
  #current = null;
  #mark = 0;
  #active = new Map();
  #waiting = new Map();
  #sweeper = null;
  #subrequests = 0;
  initCpuMs = 0;

  constructor({ storage, limits, flags, post }) {
    this.#storage = storage;
    this.#limits = limits;
    this.#flags = flags;
    this.#post = post;
  }

  /** Charges the slice that ends to its event and opens one for ``event``. */
  #enter(event) {
    const now = cpuMs();
    if (this.#current !== null) this.#current.cpu += now - this.#mark;
    this.#current = event;
    this.#mark = now;
    Atomics.store(this.#flags, 2, event === null ? 0 : Math.ceil(event.budget * this.#limits.slack - event.cpu));
    Atomics.store(this.#flags, 0, event === null ? IDLE : event.id);
    Atomics.add(this.#flags, 1, 1);
  }

  idle() {
    this.#enter(null);
  }

  async initialise(work) {
    const event = this.#event({ id: INITIALISING, now: null, budget: this.#limits.initCpuMs });
    await this.#storage.run(event, async () => {
      this.#enter(event);
      event.result = await work();
    });
    this.#enter(null);
    this.initCpuMs = event.cpu;
    if (event.cpu > event.budget * this.#limits.slack) throw new Overrun('EW_CPU_TIMEOUT', `initialising took ${event.cpu.toFixed(0)} ms of CPU`);
    return event.result;
  }

  #event({ id, now, budget = this.#limits.handler.cpuMs }) {
    return { id, frozen: now, now: now ?? Date.now(), budget, cpu: 0, most: 0, total: 0, startedAt: performance.now(), handler: null, used: 0, parallel: 0, log: [] };
  }

  run({ id, now }, start) {
    const event = this.#event({ id, now });
    this.#active.set(id, event);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS);
    this.#storage.run(event, () => {
      this.#enter(event);
      start((result) => this.#finish(event, result));
    });
  }

  /** The shims announce each handler: every handler has its own clocks, its own frozen time and its own sub-requests. */
  begin(handler) {
    const event = this.#storage.getStore();
    this.#enter(event);
    this.#close(event);
    event.handler = handler;
    event.budget = this.#limitsOf(event).cpuMs;
    event.startedAt = performance.now();
    event.now = event.frozen ?? Date.now();
    event.used = 0;
    this.#enter(event);
  }

  #limitsOf(event) {
    return event.handler === 'responseProvider' ? this.#limits.provider : this.#limits.handler;
  }

  #close(event) {
    event.most = Math.max(event.most, event.cpu);
    event.total += event.cpu;
    if (event.cpu > event.budget * this.#limits.slack) {
      this.#fail(event, 'EW_CPU_TIMEOUT', `${event.handler ?? 'the event'} used ${event.cpu.toFixed(0)} ms of CPU`);
    }
    event.cpu = 0;
  }

  #finish(event, result) {
    this.#enter(null);
    this.#close(event);
    this.#report(event, { result });
  }

  #fail(event, code, message) {
    this.#report(event, { result: JSON.stringify({ action: 'error', error: { code, message }, variables: {} }) });
  }

  #report(event, message) {
    if (!this.#active.delete(event.id)) return;
    this.#post({ kind: 'done', id: event.id, ...message, cpuMs: event.total, mostCpuMs: event.most, log: event.log });
  }

  /** A promise that never settles costs no CPU; only this notices it. */
  #sweep() {
    const now = performance.now();
    for (const event of this.#active.values()) {
      const { wallMs } = this.#limitsOf(event);
      if (now - event.startedAt > wallMs) this.#fail(event, 'EW_WALL_TIMEOUT', `${event.handler ?? 'the event'} took longer than ${wallMs} ms`);
    }
    if (this.#active.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = null;
  }

  now() {
    return this.#storage.getStore()?.now ?? Date.now();
  }

  log(level, text) {
    const event = this.#storage.getStore();
    if (event !== undefined && event.log.length < MAX_LOG_LINES) event.log.push(`${level} ${text}`);
  }

  /** Wraps a host answer so that what it sets in motion is charged to the event that asked. */
  continuation() {
    const event = this.#storage.getStore();
    return (resume) => {
      this.#storage.run(event, () => {
        this.#enter(event ?? null);
        resume();
      });
    };
  }

  async subrequest(request) {
    const event = this.#storage.getStore();
    const limits = this.#limitsOf(event);
    if (event.handler === null) throw new Error('sub-requests are not allowed while initialising');
    if (event.used >= limits.subrequests) throw new Error(`more than ${limits.subrequests} sub-requests`);
    if (event.parallel >= limits.parallel) throw new Error(`more than ${limits.parallel} sub-requests at once`);
    event.used += 1;
    event.parallel += 1;
    try {
      return await this.#ask(request, limits);
    } finally {
      event.parallel -= 1;
    }
  }

  #ask(request, limits) {
    this.#subrequests += 1;
    const sub = this.#subrequests;
    return new Promise((resolve, reject) => {
      this.#waiting.set(sub, { resolve, reject });
      this.#post({ kind: 'subrequest', sub, request, timeoutMs: limits.subrequestMs, maxBytes: limits.subrequestBytes });
    });
  }

  answer({ sub, result, error }) {
    const { resolve, reject } = this.#waiting.get(sub);
    this.#waiting.delete(sub);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }
}
