// What a bundle may do to headers. Refusing loudly here is kinder than a header that silently never arrives at the edge.

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const MAX_HEADERS = 16_384;
const OWNED_BY_THE_PLATFORM = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function checkedName(name) {
  const lower = String(name).toLowerCase();
  if (!TOKEN.test(lower)) throw new Error(`invalid header name: ${lower}`);
  if (OWNED_BY_THE_PLATFORM.has(lower)) throw new Error(`the header ${lower} cannot be changed`);
  return lower;
}

function checkedValues(value) {
  const values = (Array.isArray(value) ? value : [value]).map(String);
  if (values.some((text) => CONTROL.test(text))) throw new Error('a header value holds a control character');
  return values;
}

function checkedHeaders(headers) {
  const checked = {};
  let size = 0;
  for (const [name, value] of Object.entries(headers)) {
    const values = checkedValues(value);
    checked[checkedName(name)] = values;
    size += name.length + values.join('').length;
  }
  if (size > MAX_HEADERS) throw new Error(`the response headers are longer than ${MAX_HEADERS} bytes`);
  return checked;
}

function checkedStatus(status) {
  const code = Number(status);
  if (!Number.isInteger(code) || code < 200 || code > 599) throw new Error(`invalid status: ${status}`);
  return code;
}

/** Header names are case-insensitive: one lower-case map of value lists. */
class HeaderMap {
  #map;

  constructor(map) {
    this.#map = map;
  }

  get(name) {
    const values = this.#map[String(name).toLowerCase()];
    return values === undefined ? null : [...values];
  }

  all() {
    return Object.fromEntries(Object.entries(this.#map).map(([name, values]) => [name, [...values]]));
  }

  set(name, value) {
    this.#map[checkedName(name)] = checkedValues(value);
  }

  add(name, value) {
    const key = checkedName(name);
    this.#map[key] = [...(this.#map[key] ?? []), ...checkedValues(value)];
  }

  remove(name) {
    delete this.#map[checkedName(name)];
  }
}

export { HeaderMap, checkedHeaders, checkedStatus };
