import { later, parse, stringify } from 'internal:realm';

const MAX_TEXT = 131_072;

class HttpResponse {
  #headers;
  #body;

  constructor({ status, headers }, body) {
    this.status = status;
    this.ok = status >= 200 && status < 300;
    this.#headers = headers;
    this.#body = body;
  }

  getHeader(name) {
    return Object.assign({ __proto__: null }, this.#headers)[String(name).toLowerCase()] ?? null;
  }

  getHeaders() {
    return { ...this.#headers };
  }

  async text() {
    if (this.#body === null) throw new Error('the body was already read');
    const body = this.#body;
    this.#body = null;
    if (body.length > MAX_TEXT) throw new Error(`the body is longer than ${MAX_TEXT} characters`);
    return body;
  }

  async json() {
    return parse(await this.text());
  }
}

/** Each call spends one of the handler's sub-requests, also when it fails. */
export async function httpRequest(url, { method = 'GET', headers = {}, body = '', timeout } = {}) {
  const named = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value].flat().map(String)]));
  const request = stringify({ url: String(url), method: String(method).toUpperCase(), headers: named, body: String(body), timeout });
  const [head, text] = await later('subrequest', request);
  return new HttpResponse(parse(head), text);
}
