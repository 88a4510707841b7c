const HEX = /^[0-9A-Fa-f]{2}$/;

/** application/x-www-form-urlencoded: "+" is a blank; a broken escape stays as it is. */
function decode(text) {
  const plain = text.replace(/\+/g, ' ');
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain.replace(/%(..)/g, (escape, pair) => (HEX.test(pair) && parseInt(pair, 16) < 128 ? String.fromCharCode(parseInt(pair, 16)) : escape));
  }
}

const encode = (text) =>
  encodeURIComponent(text)
    .replace(/%20/g, '+')
    .replace(/[!'()~]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);

const split = (query) =>
  query
    .replace(/^\?/, '')
    .split('&')
    .filter(Boolean)
    .map((pair) => {
      const cut = pair.indexOf('=');
      return cut < 0 ? [decode(pair), ''] : [decode(pair.slice(0, cut)), decode(pair.slice(cut + 1))];
    });

function pairsOf(init) {
  if (init === undefined || init === null) return [];
  if (typeof init !== 'object') return split(String(init));
  const pairs = typeof init[Symbol.iterator] === 'function' ? [...init] : Object.entries(init);
  return pairs.map(([name, value]) => [String(name), String(value)]);
}

export default class URLSearchParams {
  #pairs;

  constructor(init) {
    this.#pairs = pairsOf(init);
  }

  get(name) {
    return this.#pairs.find(([key]) => key === String(name))?.[1] ?? null;
  }

  getAll(name) {
    return this.#pairs.filter(([key]) => key === String(name)).map(([, value]) => value);
  }

  has(name) {
    return this.#pairs.some(([key]) => key === String(name));
  }

  append(name, value) {
    this.#pairs.push([String(name), String(value)]);
  }

  set(name, value) {
    const found = this.#pairs.find(([key]) => key === String(name));
    if (found === undefined) return this.append(name, value);
    found[1] = String(value);
    this.#pairs = this.#pairs.filter((pair) => pair === found || pair[0] !== found[0]);
    return undefined;
  }

  delete(name) {
    this.#pairs = this.#pairs.filter(([key]) => key !== String(name));
  }

  sort() {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  }

  forEach(visit, self) {
    for (const [name, value] of this.#pairs) visit.call(self, value, name, this);
  }

  *keys() {
    for (const [name] of this.#pairs) yield name;
  }

  *values() {
    for (const [, value] of this.#pairs) yield value;
  }

  *entries() {
    for (const [name, value] of this.#pairs) yield [name, value];
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    return this.#pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
  }
}
