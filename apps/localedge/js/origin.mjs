// The way to the origins: mutual TLS, connections kept open, the name of the forwarded Host asked for and checked. All are
// shown the same certificate and checked by the same authority; a name stands for each but the usual one.
import { Agent, request } from 'node:https';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';

const CONNECT_MS = 5_000;
const FREE_SOCKET_MS = 30_000;

/** ``identity``: the one name (a DNS name or a URI) the origin's certificate must carry, in place of the host names. */
function checker(originHost, identity) {
  return (forwardedHost, certificate) => {
    if (identity) {
      const names = (certificate.subjectaltname ?? '').split(', ');
      if (names.includes(`URI:${identity}`) || names.includes(`DNS:${identity}`)) return undefined;
      return new Error(`the origin is not ${identity} but ${names.join(', ')}`);
    }
    return checkServerIdentity(forwardedHost, certificate) && checkServerIdentity(originHost, certificate);
  };
}

export class Origin {
  #urls = new Map();
  #agent = null;
  #idleMs;

  get isConfigured() {
    return this.#agent !== null;
  }

  /** ``name``: empty for the usual origin. */
  knows(name) {
    return this.#urls.has(name);
  }

  /** Called again when certificates change; requests under way keep the connections they have. */
  configure({ url, others = {}, ca, cert, key, identity, idleSeconds }) {
    const old = this.#agent;
    const usual = new URL(url);
    this.#urls = new Map([['', usual], ...Object.entries(others).map(([name, other]) => [name, new URL(other)])]);
    this.#idleMs = idleSeconds * 1000;
    // All in the agent's options: a checkServerIdentity given with a request keeps its connection from being used again.
    const tls = { ca, cert, key, checkServerIdentity: checker(usual.hostname, identity) };
    this.#agent = new Agent({ ...tls, keepAlive: true, maxFreeSockets: 256, scheduling: 'lifo', timeout: FREE_SOCKET_MS });
    if (old === null) return;
    old.maxFreeSockets = 0;
    for (const socket of Object.values(old.freeSockets).flat()) socket.destroy();
  }

  /** A ClientRequest under way; it reports an 'error' when the origin cannot be reached or does not answer in time. */
  open({ method, path, host, headers, origin }) {
    const name = host.replace(/:\d+$/, '');
    const url = this.#urls.get(origin);
    const outgoing = request({
      agent: this.#agent,
      host: url.hostname,
      port: url.port || 443,
      // The origin chooses its server by this name; an address is no name.
      servername: isIP(name) ? '' : name,
      setHost: false,
      method,
      path,
      headers,
    });
    this.#limit(outgoing);
    return outgoing;
  }

  #limit(outgoing) {
    const connecting = setTimeout(() => outgoing.destroy(new Error('connecting to the origin took too long')), CONNECT_MS);
    outgoing.once('socket', (socket) => {
      if (!socket.connecting) clearTimeout(connecting);
      else socket.once('secureConnect', () => clearTimeout(connecting));
    });
    outgoing.once('close', () => clearTimeout(connecting));
    outgoing.setTimeout(this.#idleMs, () => outgoing.destroy(new Error('the origin stopped answering')));
  }
}
