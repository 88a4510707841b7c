import { checkedHeaders, checkedStatus } from 'internal:headers';

const MAX_BODY = 100_000;

let contentOf;

class Response {
  #content;

  constructor(content) {
    this.#content = content;
    Object.freeze(this);
  }

  static {
    contentOf = (response) => (typeof response === 'object' && response !== null && #content in response ? response.#content : null);
  }
}

export function createResponse(...given) {
  const [status, headers, body] = given.length === 1 ? [200, {}, given[0]] : given;
  const text = String(body ?? '');
  if (text.length > MAX_BODY) throw new Error(`createResponse: the body is longer than ${MAX_BODY} bytes`);
  return new Response({ status: checkedStatus(status), headers: checkedHeaders(headers ?? {}), body: text });
}

export { contentOf };
