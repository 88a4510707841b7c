// DataStream lines: one JSON object for each request a live property logs, gathered and delivered at intervals.
// As at Akamai a delivery is tried four times and then lost: what is lost is counted and said, never kept for ever.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { gzipSync } from 'node:zlib';

const MOST_WAITING = 50_000;
const MOST_AT_ONCE = 5_000;
const TRIES = 4;
const FIRST_PAUSE_MS = 250;
const ANSWER_MS = 10_000;
const VARIABLE = /\{\{user\.(PMUSER_\w+)\}\}/g;

const complain = (event, facts) => process.stderr.write(`${JSON.stringify({ ts: Date.now() / 1000, event, ...facts })}\n`);

/** Blanks, control characters and all that is not ASCII go out percent-encoded, byte by byte. */
const encoded = (text) => text.replace(/[^\x21-\x7e]+/g, (part) => [...Buffer.from(part, 'utf8')].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''));

/** Keeps only the asked-for keys; what would be empty is left out, and everything but the version is a string. */
function lineOf({ id, keys, customField }, { call, variables, status, startedAt, ms }) {
  const values = {
    streamId: String(id),
    reqId: randomBytes(4).toString('hex'),
    reqTimeSec: startedAt.toFixed(3),
    statusCode: String(status),
    reqHost: call.host.replace(/:\d+$/, '').toLowerCase(),
    reqMethod: call.method,
    reqPath: call.path.replace(/^\//, ''),
    edgeIP: '127.0.0.1',
    turnAroundTimeMSec: String(Math.round(ms)),
    customField: customField.replace(VARIABLE, (_whole, name) => variables[name] ?? ''),
  };
  const line = { version: 1 };
  for (const key of keys) if (values[key]) line[key] = encoded(values[key]);
  return `${JSON.stringify(line)}\n`;
}

class Stream {
  #settings;
  #client;
  #agent;
  #waiting = [];
  #timer;
  #sending = null;
  lost = 0;

  constructor(settings) {
    this.#settings = settings;
    this.#client = settings.url.startsWith('https:') ? https : http;
    this.#agent = new this.#client.Agent({ keepAlive: true, maxSockets: 1 });
    this.#timer = setInterval(() => this.deliver(), settings.intervalMs);
    this.#timer.unref();
  }

  add(facts) {
    if (this.#waiting.length >= MOST_WAITING) this.#lose(1);
    else this.#waiting.push(lineOf(this.#settings, facts));
  }

  /** One delivery at a time; whoever comes while one is under way waits for it. */
  deliver() {
    this.#sending ??= this.#deliver().finally(() => { this.#sending = null; });
    return this.#sending;
  }

  async #deliver() {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MOST_AT_ONCE);
      if (!(await this.#try(batch.join('')))) this.#lose(batch.length);
    }
  }

  async #try(text) {
    const body = this.#settings.gzip ? gzipSync(text) : Buffer.from(text);
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      if (await this.#post(body)) return true;
      if (attempt < TRIES) await new Promise((resolve) => { setTimeout(resolve, FIRST_PAUSE_MS * 2 ** attempt); });
    }
    return false;
  }

  #post(body) {
    return new Promise((resolve) => {
      const headers = { ...this.#settings.headers, 'content-length': body.length, ...(this.#settings.gzip ? { 'content-encoding': 'gzip' } : {}) };
      const outgoing = this.#client.request(this.#settings.url, { method: 'POST', agent: this.#agent, headers, timeout: ANSWER_MS });
      outgoing.on('response', (response) => {
        response.resume();
        response.on('close', () => resolve(response.statusCode < 300));
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
      outgoing.on('error', () => resolve(false));
      outgoing.end(body);
    });
  }

  #lose(count) {
    this.lost += count;
    complain('datastream_lost', { stream: this.#settings.id, lost: count });
  }

  async close() {
    clearInterval(this.#timer);
    await this.deliver();
    this.#agent.destroy();
  }
}

/** All streams of one network. A stream whose settings stay the same keeps what it has gathered. */
export class Streams {
  #streams = new Map();

  configure(list) {
    const wanted = new Map(list.map((settings) => [JSON.stringify(settings), settings]));
    for (const [key, stream] of this.#streams) {
      if (wanted.has(key)) continue;
      this.#streams.delete(key);
      stream.close();
    }
    for (const [key, settings] of wanted) if (!this.#streams.has(key)) this.#streams.set(key, new Stream(settings));
  }

  add(facts) {
    for (const stream of this.#streams.values()) stream.add(facts);
  }

  get lost() {
    return [...this.#streams.values()].reduce((sum, stream) => sum + stream.lost, 0);
  }

  async drain(graceMs) {
    const closing = [...this.#streams.values()].map((stream) => stream.close());
    await Promise.race([Promise.all(closing), new Promise((resolve) => { setTimeout(resolve, graceMs).unref(); })]);
  }
}
