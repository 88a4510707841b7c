// The documented part of WebCrypto: importKey, sign, verify, digest and random values. Keys stay with the host; a bundle
// holds a handle it can neither read nor forge (private fields).
import { call, later, stringify } from 'internal:realm';
import { base64 } from 'encoding';

const SIGNING = new Set(['HMAC', 'ECDSA', 'RSASSA-PKCS1-v1_5', 'RSA-PSS']);

const viewOf = (data) => {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError('expected an ArrayBuffer or a typed array');
};

const nameOf = (algorithm) => String(typeof algorithm === 'string' ? algorithm : algorithm?.name);
const hashOf = (hash) => (hash === undefined ? undefined : { name: nameOf(hash) });

let handleOf;

class CryptoKey {
  #handle;

  constructor(handle, type, algorithm, usages) {
    this.#handle = handle;
    this.type = type;
    this.extractable = false;
    this.algorithm = Object.freeze({ ...algorithm });
    this.usages = Object.freeze([...usages]);
    Object.freeze(this);
  }

  static {
    handleOf = (key) => key.#handle;
  }
}

function keyParameters(algorithm) {
  const name = nameOf(algorithm);
  if (!SIGNING.has(name)) throw new Error(`the local edge imports keys for ${[...SIGNING].join(', ')} only`);
  return { name, hash: hashOf(algorithm.hash), namedCurve: algorithm.namedCurve };
}

const subtle = Object.freeze({
  async importKey(format, data, algorithm, extractable, usages) {
    if (extractable) throw new Error('extractable keys are not supported');
    const parameters = keyParameters(algorithm);
    const jwk = format === 'jwk' ? stringify(data) : '';
    const bytes = format === 'jwk' ? null : viewOf(data);
    const request = stringify({ format, jwk, parameters, usages: [...usages] });
    const handle = {};
    const [type] = await later('importKey', request, bytes, handle);
    return new CryptoKey(handle, type, parameters, usages);
  },

  async sign(algorithm, key, data) {
    const options = stringify({ name: nameOf(algorithm), hash: hashOf(algorithm.hash), saltLength: algorithm.saltLength });
    return call('sign', handleOf(key), options, viewOf(data)).buffer;
  },

  async verify(algorithm, key, signature, data) {
    const options = stringify({ name: nameOf(algorithm), hash: hashOf(algorithm.hash), saltLength: algorithm.saltLength });
    return call('verify', handleOf(key), options, viewOf(signature), viewOf(data));
  },

  async digest(algorithm, data) {
    return call('digest', nameOf(algorithm), viewOf(data)).buffer;
  },
});

export const crypto = Object.freeze({
  subtle,
  getRandomValues(view) {
    const bytes = viewOf(view);
    if (bytes.length > 65536) throw new Error('getRandomValues: at most 65536 bytes');
    call('randomFill', bytes);
    return view;
  },
});

export function pem2ab(pem) {
  const body = String(pem).replace(/-----(BEGIN|END)[^-]*-----/g, '').replace(/\s+/g, '');
  return base64.decode(body).buffer;
}
