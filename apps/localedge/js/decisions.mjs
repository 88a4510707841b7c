// One line per request, for the log file and for the console. Neither may ever hold up a request: both are fed from
// bounded buffers, and what does not fit is counted and said.
import { createWriteStream, renameSync, statSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const FLUSH_MS = 100;
const REOPEN_MS = 5_000;
const MOST_WAITING = 20_000;
const MOST_AT_ONCE = 500;
const ANSWER_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

const complain = (event, facts) => process.stderr.write(`${JSON.stringify({ ts: Date.now() / 1000, event, ...facts })}\n`);

/** Appends to a file of bounded size; the previous one is kept as ``<file>.1``. */
export class LogFile {
  #path;
  #maxBytes;
  #stream;
  #size;
  #full = false;
  #reported = 0;
  lost = 0;

  constructor({ path, maxBytes }) {
    this.#path = path;
    this.#maxBytes = maxBytes;
    this.#open();
  }

  #open() {
    this.#size = statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
    this.#stream = createWriteStream(this.#path, { flags: 'a', mode: 0o600 });
    this.#stream.on('drain', () => this.#drained());
    this.#stream.on('error', (error) => {
      complain('decision_log_failed', { error: error.message });
      setTimeout(() => this.#open(), REOPEN_MS).unref();
    });
  }

  #drained() {
    this.#full = false;
    if (this.lost > this.#reported) complain('decision_log_gap', { lost: this.lost - this.#reported });
    this.#reported = this.lost;
  }

  /** A disk that cannot keep up costs lines, not requests. */
  add(line) {
    if (this.#full || this.#stream.errored) {
      this.lost += 1;
      return;
    }
    this.#full = !this.#stream.write(line) && this.#stream.writableLength > MOST_WAITING * 256;
    this.#size += line.length;
    if (this.#size > this.#maxBytes) this.#rotate();
  }

  async drain() {
    await new Promise((resolve) => { this.#stream.end(resolve); });
  }

  /** A file that cannot be moved goes on growing; the next line tries again. */
  #rotate() {
    try {
      renameSync(this.#path, `${this.#path}.1`);
    } catch (error) {
      complain('decision_log_failed', { error: error.message });
      return;
    }
    this.#stream.end();
    this.#open();
  }
}

/** Sends batches in order, one at a time; a batch is repeated until it is answered, or the buffer overflows. */
export class Shipper {
  #url;
  #token;
  #client;
  #agent;
  #waiting = [];
  #timer = null;
  #sending = false;
  #pauseMs = 0;
  #reported = 0;
  lost = 0;

  constructor({ url, token }) {
    this.#url = new URL(url);
    this.#token = token;
    this.#client = this.#url.protocol === 'https:' ? https : http;
    this.#agent = new this.#client.Agent({ keepAlive: true, maxSockets: 1 });
  }

  /** The last lines, if the console takes them in time. */
  async drain(graceMs) {
    const deadline = performance.now() + graceMs;
    while ((this.#sending || this.#waiting.length > 0) && performance.now() < deadline) {
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  }

  setToken(token) {
    this.#token = token;
  }

  get waiting() {
    return this.#waiting.length;
  }

  add(line) {
    if (this.#waiting.length >= MOST_WAITING) {
      this.#waiting.shift();
      this.lost += 1;
    }
    this.#waiting.push(line);
    this.#schedule(FLUSH_MS);
  }

  #schedule(ms) {
    if (this.#sending || this.#timer !== null) return;
    this.#timer = setTimeout(() => this.#flush(), ms);
  }

  async #flush() {
    this.#timer = null;
    this.#sending = true;
    // Taken out of the buffer, so that an overflow meanwhile cannot shift what is being sent.
    const batch = this.#waiting.splice(0, MOST_AT_ONCE);
    const outcome = await this.#post(batch.join(''));
    this.#sending = false;
    this.#settle(batch, outcome);
    if (this.#waiting.length > 0) this.#schedule(this.#pauseMs || (this.#waiting.length >= MOST_AT_ONCE ? 0 : FLUSH_MS));
  }

  #settle(batch, outcome) {
    if (outcome === 'again') {
      this.#waiting.unshift(...batch);
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2)) * (0.75 + Math.random() / 2);
      return;
    }
    this.#pauseMs = 0;
    if (outcome === 'refused') this.lost += batch.length;
    if (this.lost > this.#reported) complain('telemetry_gap', { lost: this.lost - this.#reported });
    this.#reported = this.lost;
  }

  /** 'taken', 'refused' (repeating would not help) or 'again' (down, busy, or a token that is being replaced). */
  #post(body) {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/x-ndjson', 'content-length': Buffer.byteLength(body) };
      const outgoing = this.#client.request(this.#url, { method: 'POST', agent: this.#agent, headers, timeout: ANSWER_MS });
      outgoing.on('response', (response) => {
        response.resume();
        response.on('close', () => resolve(this.#judge(response.statusCode)));
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
      outgoing.on('error', () => resolve('again'));
      outgoing.end(body);
    });
  }

  #judge(status) {
    if (status < 300) return 'taken';
    return [400, 413, 415, 422].includes(status) ? 'refused' : 'again';
  }
}

const MOST_PATH = 512;

function parsed(text) {
  try {
    return JSON.parse(text ?? '{}');
  } catch {
    return {};
  }
}

/** A call that only asks the doors is known as one before there is a gate to say so. */
const asksOnly = ({ headers = {} }) => (headers['x-sallyport-probe'] ?? []).includes('1');

/** What the gate left in its variables. A request that died in the runtime is a denial, whatever the gate had said. */
function verdictOf(variables, outcome, call) {
  const { v, r, s = '', a, svc = '', rt = '', g = [], vr, t, pr } = parsed(variables.PMUSER_SP_V);
  const rarely = { ...(a ? { actor: a } : {}), ...(vr ? { variant: vr } : {}), ...(t ? { rules: t } : {}) };
  const facts = { subject: s, ...rarely, service: svc, route: rt, grants: g, probe: pr === undefined ? asksOnly(call) : pr === 1 };
  if (outcome === 'refused') return { verdict: 'deny', reason: 'bad_path', ...facts };
  if (outcome === 'died') return { verdict: 'deny', reason: 'policy_unavailable', ...facts, grants: [] };
  // A bundle that is not our gate leaves no verdict: what happened is recorded, without a reason we cannot know.
  return { verdict: v ?? (outcome === 'passed' ? 'allow' : 'deny'), reason: r ?? 'policy_unavailable', ...facts };
}

export class Decisions {
  #node;
  #sinks;
  #streams;

  /** ``streams``: what a live property has logged besides, in a form of its own. */
  constructor(node, sinks, streams) {
    this.#node = node;
    this.#sinks = sinks;
    this.#streams = streams;
  }

  /** ``outcome``: passed (to the origin), answered (by the bundle), died (in the runtime) or refused (never a request). */
  record({ call, rid, variables, outcome, status, startedAt }) {
    const ms = Math.round((performance.now() - startedAt) * 100) / 100;
    this.#streams.add({ call, variables, status, ms, startedAt: (Date.now() - ms) / 1000 });
    const event = {
      ts: Date.now() / 1000,
      rid,
      point: 'edge',
      node: this.#node,
      peer: '',
      ...verdictOf(variables, outcome, call),
      method: call.method,
      path: call.path.slice(0, MOST_PATH),
      host: call.host.replace(/:\d+$/, '').toLowerCase(),
      status,
      ms,
    };
    const line = `${JSON.stringify(event)}\n`;
    for (const sink of this.#sinks) sink.add(line);
  }
}
