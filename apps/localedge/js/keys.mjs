// The keys and signatures behind the crypto shim. Synchronous on purpose: what signing costs is then part of the CPU time
// that is charged to the handler, as it would be at the edge.
import { createHash, createHmac, constants, KeyObject, sign, timingSafeEqual, verify, webcrypto } from 'node:crypto';

const HASHES = { 'SHA-1': 'sha1', 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512' };

function hashNamed(name) {
  const hash = HASHES[String(name).toUpperCase()];
  if (hash === undefined) throw new Error(`unknown digest ${name}`);
  return hash;
}

const OPTIONS = {
  ECDSA: () => ({ dsaEncoding: 'ieee-p1363' }),
  'RSASSA-PKCS1-v1_5': () => ({ padding: constants.RSA_PKCS1_PADDING }),
  'RSA-PSS': ({ saltLength }) => ({ padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }),
};

export class KeyRing {
  #keys = new WeakMap();

  /** ``handle`` is an object of the bundle's realm: the key lives as long as it does. Returns the key's type. */
  async import(request, bytes, handle) {
    const { format, jwk, parameters, usages } = JSON.parse(request);
    const data = format === 'jwk' ? JSON.parse(jwk) : bytes;
    // WebCrypto itself checks format, algorithm, usages and the members of a JWK.
    const key = await webcrypto.subtle.importKey(format, data, parameters, false, usages);
    this.#keys.set(handle, { object: KeyObject.from(key), name: key.algorithm.name, hash: key.algorithm.hash?.name, usages: key.usages });
    return key.type;
  }

  #ready(handle, options, usage) {
    const key = this.#keys.get(handle);
    const { name, hash, saltLength } = JSON.parse(options);
    if (key.name !== name) throw new Error('the key is for another algorithm');
    if (!key.usages.includes(usage)) throw new Error(`the key may not be used to ${usage}`);
    return { ...key, digest: hashNamed(key.hash ?? hash?.name), saltLength };
  }

  sign(handle, options, data) {
    const key = this.#ready(handle, options, 'sign');
    if (key.name === 'HMAC') return createHmac(key.digest, key.object).update(data).digest();
    return sign(key.digest, data, { key: key.object, ...OPTIONS[key.name](key) });
  }

  verify(handle, options, signature, data) {
    const key = this.#ready(handle, options, 'verify');
    if (key.name !== 'HMAC') return verify(key.digest, data, { key: key.object, ...OPTIONS[key.name](key) }, signature);
    const expected = createHmac(key.digest, key.object).update(data).digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
}

export const digest = (name, data) => createHash(hashNamed(name)).update(data).digest();
