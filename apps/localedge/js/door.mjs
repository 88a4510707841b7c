// The data plane of one network: a reverse proxy that asks the active bundle about every request and every response.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { callFrom, endToEnd, framing, hasBody } from './wire.mjs';

const HEALTH = '/__sallyport/healthz';
const LOCAL_NAMES = new Set(['localhost', '127.0.0.1', '[::1]']);
const MAX_BODY_FOR_BUNDLE = 131_072;
const RID = /^[0-9a-f]{32}$/;

const CLIENT_LEFT = 499;
const STATUS = { EW_NO_BUNDLE: 503, EW_BAD_REQUEST: 400 };

const target = ({ path, query }) => (query === '' ? path : `${path}?${query}`);

/** Values that came over the wire are one character a byte and go out as they came; text of a bundle goes out as UTF-8. */
const wireText = (value) => (/^[\0-\xff]*$/.test(value) ? value : Buffer.from(value, 'utf8').toString('latin1'));
const wireHeaders = (headers) => Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, values.map(wireText)]));

async function bodyText(incoming) {
  const chunks = [];
  let size = 0;
  for await (const chunk of incoming) {
    size += chunk.length;
    if (size > MAX_BODY_FOR_BUNDLE) throw new Error(`the request body is longer than ${MAX_BODY_FOR_BUNDLE} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** One request on its way through. */
class Passage {
  #door;
  #incoming;
  #outgoing;
  #call;
  #variables = {};
  #ownRid = null;
  #recorded = false;
  #startedAt = performance.now();

  constructor(door, incoming, outgoing, call) {
    this.#door = door;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#call = call;
  }

  /** The id the gate chose, so that every record of this request carries the same one. */
  #rid() {
    const chosen = this.#variables.PMUSER_SP_RID;
    if (RID.test(chosen)) return chosen;
    this.#ownRid ??= randomBytes(16).toString('hex');
    return this.#ownRid;
  }

  #record(outcome, status) {
    if (this.#recorded) return;
    this.#recorded = true;
    this.#door.decisions.record({ call: this.#call, rid: this.#rid(), variables: this.#variables, outcome, status, startedAt: this.#startedAt });
  }

  async #ask(phase, event) {
    const outcome = await this.#door.runtime.run(phase, JSON.stringify({ ...event, variables: this.#variables }));
    this.#variables = { ...this.#variables, ...outcome.variables };
    return outcome;
  }

  async go() {
    const { runtime } = this.#door;
    const body = runtime.handles('responseProvider') ? await bodyText(this.#incoming) : '';
    const outcome = await this.#ask('request', { ...this.#call, body });
    // Only a plain "forward" opens the door; an outcome we do not know is a failure.
    if (outcome.action === 'forward') this.#forward(outcome);
    else if (outcome.action === 'respond') await this.#respond(outcome);
    else this.fail(outcome.error.code, 'died', outcome.error.message);
  }

  /** Closed, whatever happened: no detail of the failure leaves, only its code. */
  fail(code, outcome, message) {
    if (this.#outgoing.headersSent) {
      this.#outgoing.destroy();
      return;
    }
    const status = STATUS[code] ?? 500;
    const rid = this.#rid();
    if (code !== 'EW_NO_BUNDLE') process.stderr.write(`${JSON.stringify({ ts: Date.now() / 1000, event: 'request_failed', rid, code, message })}\n`);
    this.#record(outcome, status);
    const reason = code === 'EW_BAD_REQUEST' ? 'bad_path' : 'policy_unavailable';
    const problem = { type: 'about:blank', title: 'The edge could not serve this request', status, code, reason, request_id: rid, point: 'edge' };
    this.#send(status, { 'content-type': ['application/problem+json'], 'cache-control': ['no-store'], 'x-request-id': [rid] }, JSON.stringify(problem));
  }

  #send(status, headers, body) {
    const payload = Buffer.from(body, 'utf8');
    const bodiless = this.#incoming.method === 'HEAD' || status === 204 || status === 304;
    this.#outgoing.writeHead(status, { ...wireHeaders(headers), ...(status === 204 ? {} : { 'content-length': payload.length }) });
    this.#outgoing.end(bodiless ? undefined : payload);
  }

  /** What a responseProvider made is a response like the origin's; what respondWith made is final. */
  async #respond({ provided, status, headers, body }) {
    if (!provided) return this.#answer(status, headers, body);
    const relayed = await this.#relay(status, headers, true);
    if (relayed !== null) this.#answer(relayed.status, relayed.headers, relayed.body ?? body);
    return undefined;
  }

  #answer(status, headers, body) {
    this.#record('answered', status);
    this.#send(status, headers, body);
  }

  #forward({ path, query, headers, origin }) {
    const { 'content-length': _ours, ...kept } = headers;
    const forwarded = {
      ...wireHeaders(kept),
      // The first hop knows who is calling; what a client says about it is only a claim.
      'x-forwarded-for': this.#call.ip,
      'x-forwarded-proto': this.#call.scheme,
      ...framing(this.#incoming),
    };
    this.#try({ method: this.#call.method, path: target({ path, query }), host: this.#call.host, headers: forwarded, origin }, true);
  }

  #try(request, mayRepeat) {
    if (!this.#door.origin.isConfigured) {
      this.fail('EW_ORIGIN', 'passed', 'the edge has no certificate for the origin yet');
      return;
    }
    if (!this.#door.origin.knows(request.origin)) {
      this.fail('EW_ORIGIN', 'passed', `the property has no origin ${request.origin}`);
      return;
    }
    const upstream = this.#door.origin.open(request);
    const abandon = () => upstream.destroy();
    this.#outgoing.once('close', abandon);
    upstream.on('response', (response) => {
      this.#answered(response).catch((error) => this.fail('EW_RUNTIME', 'died', error.message));
    });
    upstream.on('error', (error) => {
      this.#outgoing.off('close', abandon);
      // A kept connection may be closed by the origin just as we use it; nothing was processed, so ask once more.
      const stale = upstream.reusedSocket && error.code === 'ECONNRESET' && !hasBody(this.#incoming);
      if (stale && mayRepeat && !this.#outgoing.headersSent) this.#try(request, false);
      else this.#lost(error);
    });
    if (hasBody(this.#incoming)) this.#incoming.pipe(upstream);
    else upstream.end();
  }

  #lost(error) {
    if (this.#outgoing.destroyed) this.#record('passed', CLIENT_LEFT);
    else this.fail('EW_ORIGIN', 'passed', error.message);
  }

  async #answered(response) {
    response.on('error', () => this.#outgoing.destroy());
    const relayed = await this.#relay(response.statusCode, endToEnd(response.rawHeaders), false);
    if (relayed === null || relayed.action === 'respond') response.destroy();
    if (relayed?.action === 'respond') this.#answer(relayed.status, relayed.headers, relayed.body);
    if (relayed?.action !== 'relay') return;
    this.#record('passed', relayed.status);
    this.#outgoing.writeHead(relayed.status, wireHeaders(relayed.headers));
    this.#outgoing.flushHeaders();
    response.pipe(this.#outgoing);
  }

  /** The response handlers' say; null when they died, and the client has been told. */
  async #relay(status, headers, provided) {
    const { runtime } = this.#door;
    if (!runtime.handles('onOriginResponse') && !runtime.handles('onClientResponse')) return { action: 'relay', status, headers };
    const outcome = await this.#ask('response', { ...this.#call, response: { status, headers, provided } });
    if (outcome.action !== 'error') return outcome;
    this.fail(outcome.error.code, 'died', outcome.error.message);
    return null;
  }
}

export class Door {
  constructor({ runtime, origin, decisions, guards, scheme = 'http' }) {
    this.guards = guards;
    this.runtime = runtime;
    this.origin = origin;
    this.decisions = decisions;
    this.scheme = scheme;
    this.server = createServer({ keepAliveTimeout: 65_000, headersTimeout: 15_000 }, (incoming, outgoing) => this.#receive(incoming, outgoing));
  }

  listen({ host, port }) {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, () => resolve(this.server.address().port));
    });
  }

  #receive(incoming, outgoing) {
    const call = callFrom(incoming, this.scheme);
    if (call?.path === HEALTH && LOCAL_NAMES.has(call.host.replace(/:\d+$/, ''))) {
      this.#health(outgoing);
      return;
    }
    if (call !== null && this.guards.refuses(call.host, call.ip)) {
      this.#deny(outgoing);
      return;
    }
    const passage = new Passage(this, incoming, outgoing, call ?? { method: incoming.method, path: incoming.url, host: incoming.headers.host ?? '' });
    outgoing.on('error', () => undefined); // the client left; 'close' tidies up
    if (call === null) passage.fail('EW_BAD_REQUEST', 'refused', 'not a request for a path on a host');
    else passage.go().catch((error) => passage.fail('EW_RUNTIME', 'died', error.message));
  }

  /** Lets requests under way end, for a while. */
  close(graceMs) {
    return new Promise((resolve) => {
      const impatience = setTimeout(() => this.server.closeAllConnections(), graceMs);
      this.server.close(() => {
        clearTimeout(impatience);
        resolve();
      });
      this.server.closeIdleConnections();
    });
  }

  /** No code runs and no decision is written: a security policy stands in front of both. */
  #deny(outgoing) {
    const reference = randomBytes(8).toString('hex');
    outgoing.writeHead(403, { 'content-type': 'text/html', 'cache-control': 'no-store', connection: 'close' });
    outgoing.end(`<html><head><title>Access Denied</title></head><body><h1>Access Denied</h1><p>Reference ${reference}</p></body></html>`);
  }

  #health(outgoing) {
    const { active } = this.runtime;
    outgoing.writeHead(active === null ? 503 : 200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    outgoing.end(JSON.stringify({ ready: active !== null, active }));
  }
}
