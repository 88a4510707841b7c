// One bundle, many behaviours, chosen by path: an engine of its own for each would take a quarter of a second.
import { logger } from 'log';
import { httpRequest } from 'http-request';
import { createResponse } from 'create-response';
import { Cookies, SetCookie } from 'cookies';
import URLSearchParams from 'url-search-params';
import { atob, btoa, base64, base64url, base16, TextEncoder, TextDecoder } from 'encoding';
import { crypto, pem2ab } from 'crypto';

const ITEM = 'https://edgekv.akamai-edge-svcs.net/api/v1/namespaces/ns/groups/g/items/';
const answer = (request, value) => request.respondWith(200, {}, JSON.stringify(value));
const bytes = (text) => new TextEncoder().encode(text);
const attempt = (work) => { try { return work() ?? 'done'; } catch (error) { return error.message; } };

const behaviours = {
  loop() { for (;;); },
  async asyncLoop() { for (;;) await null; },
  memory() { const kept = []; for (;;) kept.push(new Array(1000).fill(Math.random())); },
  async never() { await new Promise(() => {}); },
  busy(request) {
    const rounds = Number(request.query);
    let sum = 0;
    for (let i = 0; i < rounds; i += 1) sum = (sum * 31 + i) | 0;
    answer(request, sum);
  },
  throws() { throw new Error('on purpose'); },
  async rejects() { await null; return Promise.reject(new Error('on purpose')); },
  longBody(request) { request.respondWith(200, {}, 'x'.repeat(2049)); },
  longestBody(request) { request.respondWith(200, {}, 'x'.repeat(2048)); },
  evals() { return eval('1'); },
  newFunction() { return new Function('return 1')(); },
  missing() { return fetch('https://example.test/'); },
  async tooManySubrequests() { for (let i = 0; i < 5; i += 1) await httpRequest(ITEM + 'a'); },
  async tooManyAtOnce() { await Promise.all(Array.from({ length: 5 }, () => httpRequest(ITEM + 'a'))); },
  async enoughSubrequests(request) {
    const found = await Promise.all(Array.from({ length: 4 }, () => httpRequest(ITEM + 'a')));
    answer(request, await Promise.all(found.map((one) => one.text())));
  },
  async item(request) {
    const found = await httpRequest(ITEM + request.query);
    answer(request, [found.status, found.ok, found.status === 200 ? await found.text() : '']);
  },
  async otherHost(request) { answer(request, (await httpRequest('https://example.test/')).status); },
  time(request) { answer(request, [Date.now(), new Date().getTime(), new Date(0).getTime(), typeof performance]); },
  log() { logger.info('one %s of %d', 'thing', 2, { a: 1 }); logger.error('x'.repeat(2000)); },
  refusedHeaders(request) {
    const names = ['Host', 'content-length', 'Transfer-Encoding', 'connection', 'bad name', 'x-fine'];
    answer(request, names.map((name) => attempt(() => request.setHeader(name, 'x'))));
  },
  controlCharacters(request) { answer(request, attempt(() => request.setHeader('x-a', 'a\r\nb: c'))); },
  odd(request) {
    answer(request, [request.getHeader('constructor'), request.getHeader('__proto__'), request.getHeader('X-Twice')]);
  },
  variables(request) {
    const set = (name, value) => attempt(() => request.setVariable(name, value));
    answer(request, [
      set('SP_V', 'x'), set('PMUSER_A', 'x'.repeat(500)), set('PMUSER_B', 'x'.repeat(508)), set('PMUSER_B', 'x'.repeat(509)),
      request.getVariable('PMUSER_B').length, request.getVariable('PMUSER_C') === undefined,
    ]);
  },
  members(request) { answer(request, Object.keys(request).sort()); },
  globals(request) {
    const names = ['console', 'gc', 'WebAssembly', 'SharedArrayBuffer', 'Atomics', 'process', 'require', 'setTimeout', 'fetch'];
    answer(request, names.filter((name) => name in globalThis));
  },
  cookies(request) {
    const cookies = new Cookies(request.getHeader('Cookie'));
    cookies.delete('b');
    cookies.add('d', '4');
    const set = new SetCookie({ name: 's', value: '1', path: '/', maxAge: 60, secure: true, httpOnly: true, sameSite: 'Lax' });
    answer(request, [cookies.get('a'), cookies.getAll('c'), cookies.names(), cookies.toHeader(), set.toHeader()]);
  },
  search(request) {
    const given = new URLSearchParams(request.query);
    given.append('n', 'x y&z');
    given.set('a', '9');
    given.delete('gone');
    answer(request, [given.get('a'), given.getAll('b'), given.has('c'), given.get('none'), given.toString(), [...given.keys()]]);
  },
  encoding(request) {
    const odd = new Uint8Array([0, 255, 254, 128, 7]);
    answer(request, [
      base64.encode(odd), base64url.encode(odd), base16.encode(odd), [...base64.decode(base64.encode(odd))],
      [...base64url.decode(base64url.encode(odd))], base64.decode('aGk=', 'String'), atob('aGk='), btoa('hi'),
      new TextDecoder().decode(bytes('h\u00e9 \u20ac')), bytes('\u20ac').length,
      attempt(() => base64.decode('a')), attempt(() => base64.decode('a*==')), attempt(() => btoa('\u20ac')),
      attempt(() => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255]))),
      bytes('x') instanceof Uint8Array,
    ]);
  },
  async es256(request) {
    const [jwk, signed, signature] = JSON.parse(decodeURIComponent(request.query));
    const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('jwk', jwk, ecdsa, false, ['verify']);
    const good = await crypto.subtle.verify(ecdsa, key, base64url.decode(signature), bytes(signed));
    const bad = await crypto.subtle.verify(ecdsa, key, base64url.decode(signature), bytes(signed + 'x'));
    const refused = await crypto.subtle.sign(ecdsa, key, bytes('x')).catch((error) => error.message);
    answer(request, [good, bad, refused, key.type, key.extractable]);
  },
  async hmac(request) {
    const hs = { name: 'HMAC', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('raw', bytes('Jefe'), hs, false, ['sign', 'verify']);
    const made = new Uint8Array(await crypto.subtle.sign(hs, key, bytes('what do ya want for nothing?')));
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes('abc')));
    const extractable = await crypto.subtle.importKey('raw', bytes('k'), hs, true, ['sign']).catch((error) => error.message);
    const eddsa = await crypto.subtle.importKey('raw', bytes('k'), { name: 'Ed25519' }, false, ['sign']).catch((error) => error.message);
    answer(request, [base16.encode(made), base16.encode(hash), extractable, eddsa, typeof crypto.subtle.exportKey]);
  },
  random(request) { answer(request, [...crypto.getRandomValues(new Uint8Array(16))]); },
  async pem(request) {
    const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('spki', pem2ab(decodeURIComponent(request.query)), rsa, false, ['verify']);
    answer(request, key.type);
  },
  // A realm gives itself away by its Function: an object of the host would lead to the host's.
  async escape(request) {
    const thrownBy = (work) => { try { return work(); } catch (error) { return error; } };
    const key = await crypto.subtle.importKey('raw', bytes('k'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
    const found = {
      request, key, logger,
      method: request.getHeader,
      headers: request.getHeaders(),
      bytes: bytes('x'),
      signature: await crypto.subtle.sign('HMAC', key, bytes('x')),
      promise: httpRequest(ITEM + 'a'),
      response: await httpRequest(ITEM + 'a'),
      hostError: thrownBy(() => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255]))),
      rejection: await crypto.subtle.digest('MD5', bytes('x')).catch((error) => error),
      importError: await crypto.subtle.importKey('raw', bytes(''), { name: 'HMAC', hash: 'SHA-256' }, false, []).catch((error) => error),
      evalError: thrownBy(() => new Function('return 1')),
      overflow: thrownBy(function deeper() { request.getHeader('x'); Date.now(); return deeper(); }),
      date: new Date(),
      meta: import.meta,
    };
    const leaks = Object.keys(found).filter((name) => (found[name].constructor ?? Object).constructor !== Function);
    Error.prepareStackTrace = (_, frames) => frames;
    const frames = new Error('x').stack.flatMap((frame) => [frame.getThis(), frame.getFunction()]).filter(Boolean);
    delete Error.prepareStackTrace;
    answer(request, [leaks, frames.length, thrownBy(() => request.constructor.constructor('return process')()).name]);
  },
  poison(request) {
    Uint8Array.prototype.set = function set(...given) { globalThis.caught = given; };
    bytes('x');
    answer(request, globalThis.caught === undefined);
  },
  async dynamicImport(request) { answer(request, await import('log').then(() => 'loaded', () => 'refused')); },
};

export async function onClientRequest(request) {
  const behaviour = behaviours[request.path.slice(1)];
  if (behaviour) await behaviour(request);
}
