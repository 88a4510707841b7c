// EdgeKV as a bundle sees it: one network's items, read over HTTP-shaped sub-requests, each write visible after a lag.

const HOST = 'edgekv.akamai-edge-svcs.net';
const ITEM = /^\/api\/v1\/namespaces\/([A-Za-z0-9_-]{1,32})\/groups\/([A-Za-z0-9_-]{1,128})\/items\/([A-Za-z0-9_-]{1,512})$/;

const plain = (status, body) => ({ status, headers: { 'content-type': ['text/plain'] }, body });
const problem = (status, detail) => ({
  status,
  headers: { 'content-type': ['application/problem+json'] },
  body: JSON.stringify({ title: detail, status, detail, errorCode: 'EKV_9000' }),
});

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export class ItemStore {
  #network;
  #items = new Map();
  #tokens = new Map();
  #open;
  #fault = {};

  /** ``open`` skips the access token check: an offline run has no tokens. */
  constructor(network, open) {
    this.#network = network;
    this.#open = open;
  }

  /** ``value`` null deletes. A later write to the same key may overtake nothing: lags are equal, so order is kept. */
  write({ namespace, group, key, value, delayMs }) {
    if (delayMs > 0) setTimeout(() => this.#put(`${namespace}/${group}/${key}`, value), delayMs);
    else this.#put(`${namespace}/${group}/${key}`, value);
  }

  #put(path, value) {
    if (value === null) this.#items.delete(path);
    else this.#items.set(path, value);
  }

  clear() {
    this.#items.clear();
  }

  setTokens(tokens) {
    this.#tokens = new Map(tokens.map((token) => [token.value ?? token.uuid, token]));
  }

  setFault(fault) {
    this.#fault = fault;
  }

  /** A token is named by its reference or, of the older kind, sent itself; one kind does not pass as the other. */
  #tokenOf(headers) {
    const reference = headers['x-akamai-edgedb-auth-ref']?.[0];
    const token = this.#tokens.get(reference ?? headers['x-akamai-edgedb-auth']?.[0]);
    if (token === undefined || (token.value === undefined) !== (reference !== undefined)) return undefined;
    return token;
  }

  #mayRead(headers, namespace, edgeWorkerId) {
    if (this.#open) return true;
    const token = this.#tokenOf(headers);
    if (token === undefined || !token.networks.includes(this.#network)) return false;
    if (token.endsAt !== undefined && Date.now() / 1000 >= token.endsAt) return false;
    if (!(token.permissions[namespace] ?? []).includes('r')) return false;
    return token.edgeWorkerIds.length === 0 || token.edgeWorkerIds.includes(String(edgeWorkerId));
  }

  #read(request, edgeWorkerId) {
    const url = new URL(request.url);
    if (url.hostname !== HOST) return plain(400, 'the local edge serves no such host');
    const match = ITEM.exec(url.pathname);
    if (match === null) return problem(400, 'not an item address');
    if (request.method !== 'GET') return problem(405, 'the local edge lets bundles read items only');
    const [, namespace, group, key] = match;
    if (!this.#mayRead(request.headers, namespace, edgeWorkerId)) return problem(401, 'the access token does not allow this');
    const value = this.#items.get(`${namespace}/${group}/${key}`);
    return value === undefined ? problem(404, 'the requested item was not found') : plain(200, value);
  }

  /** Throws where the network would: the bundle's promise rejects. */
  async answer(request, { timeoutMs, maxBytes }, edgeWorkerId) {
    const patience = Math.min(timeoutMs, request.timeout ?? timeoutMs);
    if (this.#fault.delayMs > patience) {
      await wait(patience);
      throw new Error('the sub-request timed out');
    }
    if (this.#fault.delayMs > 0) await wait(this.#fault.delayMs);
    if (this.#fault.status) return problem(this.#fault.status, 'an injected fault');
    const response = this.#read(request, edgeWorkerId);
    if (response.body.length > maxBytes) throw new Error('the sub-request answer is too long');
    return response;
  }
}
