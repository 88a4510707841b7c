// The host functions a context may call. Only text, numbers and byte arrays of the caller's own realm cross over.
import { randomFillSync } from 'node:crypto';

import { digest, KeyRing } from './keys.mjs';

const MAX_LOG = 1024;
const HOST_TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype);

/**
 * ``meter`` knows which event is running: now(), begin(handler), log(level, text), subrequest(json), resume(continuation).
 */
export function operationsFor(meter) {
  return ({ Uint8Array: RealmBytes }) => {
    const keys = new KeyRing();
    const toRealm = (buffer) => {
      const bytes = new RealmBytes(buffer.length);
      // The host's own ``set``: the bundle may have replaced the one in its realm.
      HOST_TYPED_ARRAY.set.call(bytes, buffer);
      return bytes;
    };
    const report = (promise, resolve, reject) => {
      const resume = meter.continuation();
      promise.then(
        (value) => resume(() => resolve(value)),
        (error) => resume(() => reject(String(error?.message ?? error))),
      );
    };
    return Object.freeze({
      __proto__: null,
      now: () => meter.now(),
      begin: (handler) => meter.begin(handler),
      log: (level, text) => meter.log(level, String(text).slice(0, MAX_LOG)),
      randomFill: (bytes) => void randomFillSync(bytes),
      encodeUtf8: (text) => toRealm(Buffer.from(text, 'utf8')),
      decodeUtf8: (bytes, fatal, ignoreBOM) => new TextDecoder('utf-8', { fatal, ignoreBOM }).decode(bytes),
      digest: (name, data) => toRealm(digest(name, data)),
      sign: (handle, options, data) => toRealm(keys.sign(handle, options, data)),
      verify: (handle, options, signature, data) => keys.verify(handle, options, signature, data),
      importKey: (request, bytes, handle, resolve, reject) => report(keys.import(request, bytes, handle), resolve, reject),
      // The body apart from the rest: it may be long, and packing it into JSON only to unpack it again is not free.
      subrequest: (request, _a, _b, resolve, reject) => report(meter.subrequest(request), ({ head, body }) => resolve(head, body), reject),
    });
  };
}
