const parts = (header) => [header ?? ''].flat().join('; ').split(/;\s*/).filter((pair) => pair.includes('='));

/** The Cookie request header, read and rewritten. */
export class Cookies {
  #pairs;

  constructor(header, options) {
    const decode = options?.decode ?? ((text) => text);
    this.#pairs = parts(header).map((pair) => {
      const cut = pair.indexOf('=');
      return [pair.slice(0, cut).trim(), decode(pair.slice(cut + 1).trim())];
    });
  }

  get(name) {
    return this.#pairs.find(([key]) => key === name)?.[1];
  }

  getAll(name) {
    return this.#pairs.filter(([key]) => key === name).map(([, value]) => value);
  }

  names() {
    return this.#pairs.map(([key]) => key);
  }

  add(name, value) {
    this.#pairs.push([String(name), String(value)]);
  }

  delete(name) {
    this.#pairs = this.#pairs.filter(([key]) => (name instanceof RegExp ? !name.test(key) : key !== name));
  }

  toHeader() {
    return this.#pairs.map(([key, value]) => `${key}=${value}`).join('; ');
  }
}

/** One Set-Cookie response header. */
export class SetCookie {
  constructor({ name, value, maxAge, domain, path, expires, sameSite, secure = false, httpOnly = false } = {}) {
    Object.assign(this, { name, value, maxAge, domain, path, expires, sameSite, secure, httpOnly });
  }

  toHeader() {
    const expires = this.expires instanceof Date ? this.expires.toUTCString() : this.expires;
    const attributes = [
      ['Max-Age', this.maxAge],
      ['Domain', this.domain],
      ['Path', this.path],
      ['Expires', expires],
      ['SameSite', this.sameSite],
    ].filter(([, value]) => value !== undefined);
    const flags = [this.secure && 'Secure', this.httpOnly && 'HttpOnly'].filter(Boolean);
    const pairs = [[this.name, this.value], ...attributes].map(([key, value]) => `${key}=${value}`);
    return [...pairs, ...flags].join('; ');
  }
}
