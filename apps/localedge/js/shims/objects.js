// The request and response objects of each handler, with the documented members and no others: a bundle that relies on
// anything else must fail here, not at Akamai.
import { HeaderMap, checkedHeaders, checkedStatus } from 'internal:headers';
import { parse } from 'internal:realm';

const MAX_VARIABLES = 1024;
const MAX_RESPOND_BODY = 2048;
const CACHE_KEY_METHODS = ['excludeCookie', 'excludeHeader', 'excludeQueryArgument', 'includeCookie', 'includeHeader', 'includeQueryArgument', 'includeVariable', 'includeScheme'];

const plainProperties = (event) => ({
  host: event.host,
  method: event.method,
  path: event.path,
  scheme: event.scheme,
  query: event.query,
  url: event.query === '' ? event.path : `${event.path}?${event.query}`,
  clientIp: event.ip,
  cpCode: 0,
  userLocation: undefined,
  device: undefined,
});

const readHeaders = (headers) => ({
  getHeader: (name) => headers.get(name),
  getHeaders: () => headers.all(),
});

const writeHeaders = (headers) => ({
  setHeader: (name, value) => headers.set(name, value),
  addHeader: (name, value) => headers.add(name, value),
  removeHeader: (name) => headers.remove(name),
});

const readVariables = (event) => ({
  getVariable: (name) => event.variables[name],
});

function setVariable(event, name, value) {
  if (!/^PMUSER_[A-Z0-9_]{1,25}$/.test(name)) throw new Error(`not a PMUSER_ variable: ${name}`);
  const next = { __proto__: null, ...event.variables, [name]: String(value) };
  const size = Object.entries(next).reduce((sum, [key, text]) => sum + key.length + text.length, 0);
  if (size > MAX_VARIABLES) throw new Error(`PMUSER_ variables are longer than ${MAX_VARIABLES} characters`);
  event.variables = next;
}

const writeVariables = (event) => ({
  setVariable: (name, value) => setVariable(event, name, value),
});

const mayRespond = (event) => ({
  respondWith(status, headers, body, denyReason) {
    const text = String(body ?? '');
    if (text.length > MAX_RESPOND_BODY) throw new Error(`respondWith: the body is longer than ${MAX_RESPOND_BODY} characters`);
    event.answer = { status: checkedStatus(status), headers: checkedHeaders(headers ?? {}), body: text, denyReason };
  },
});

function route(event, { path, query, origin } = {}) {
  if (origin !== undefined) event.origin = String(origin);
  if (path !== undefined) event.path = String(path);
  if (query !== undefined) event.query = String(query);
}

const onlyClientRequest = (event) => ({
  wasTerminated: () => event.answer !== null,
  route: (target) => route(event, target),
  // There is no cache here, so the key may be described but has no effect.
  cacheKey: Object.freeze(Object.fromEntries(CACHE_KEY_METHODS.map((name) => [name, () => undefined]))),
});

const body = (event) => ({
  text: async () => event.body,
  json: async () => parse(event.body),
});

function clientRequest(event) {
  const headers = new HeaderMap(event.headers);
  return Object.freeze({
    ...plainProperties(event),
    ...readHeaders(headers),
    ...writeHeaders(headers),
    ...readVariables(event),
    ...writeVariables(event),
    ...mayRespond(event),
    ...onlyClientRequest(event),
  });
}

function originRequest(event) {
  const headers = new HeaderMap(event.headers);
  return Object.freeze({
    ...plainProperties(event),
    ...readHeaders(headers),
    ...writeHeaders(headers),
    ...readVariables(event),
    ...writeVariables(event),
    ...mayRespond(event),
  });
}

function settledRequest(event) {
  return Object.freeze({
    ...plainProperties(event),
    ...readHeaders(new HeaderMap(event.headers)),
    ...readVariables(event),
    ...writeVariables(event),
    ...mayRespond(event),
  });
}

function providerRequest(event) {
  return Object.freeze({
    ...plainProperties(event),
    ...readHeaders(new HeaderMap(event.headers)),
    ...readVariables(event),
    ...body(event),
  });
}

function response(event) {
  const headers = new HeaderMap(event.response.headers);
  return Object.freeze({
    get status() {
      return event.response.status;
    },
    set status(code) {
      event.response.status = checkedStatus(code);
    },
    ...readHeaders(headers),
    ...writeHeaders(headers),
  });
}

export { clientRequest, originRequest, providerRequest, response, settledRequest };
