// HTTP messages as they cross a proxy: what may pass, and what belongs to one connection only.

const HOP_BY_HOP = new Set(['connection', 'expect', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

/** [name, value, name, value...] as Node gives it, to lower-case names with lists of values. */
function collected(raw) {
  const headers = { __proto__: null };
  for (let i = 0; i < raw.length; i += 2) (headers[raw[i].toLowerCase()] ??= []).push(raw[i + 1]);
  return headers;
}

/** The end-to-end headers of a message: neither the usual hop-by-hop ones nor those its Connection header names. */
export function endToEnd(raw) {
  const headers = collected(raw);
  const named = (headers.connection ?? []).flatMap((value) => value.split(',')).map((name) => name.trim().toLowerCase());
  for (const name of [...HOP_BY_HOP, ...named]) {
    if (name !== 'host' && name !== 'content-length') delete headers[name];
  }
  return headers;
}

const LOOPBACK_FORM = /^::ffff:/;
const ORIGIN_FORM = /^\/[^#\s]*$/;

/** What arrived, as the first handler will see it; null when it is no request for a path on a host. */
export function callFrom(incoming, scheme) {
  const headers = endToEnd(incoming.rawHeaders);
  if (headers.host?.length !== 1 || headers.host[0] === '' || !ORIGIN_FORM.test(incoming.url)) return null;
  const cut = incoming.url.indexOf('?');
  return {
    method: incoming.method,
    host: headers.host[0],
    scheme,
    path: cut < 0 ? incoming.url : incoming.url.slice(0, cut),
    query: cut < 0 ? '' : incoming.url.slice(cut + 1),
    ip: (incoming.socket.remoteAddress ?? '').replace(LOOPBACK_FORM, ''),
    headers,
    variables: {},
  };
}

/** How the body is framed towards the origin is decided here, from how it arrived, and by nothing a bundle can touch. */
export function framing(incoming) {
  if (incoming.headers['transfer-encoding'] !== undefined) return { 'transfer-encoding': 'chunked' };
  if (incoming.headers['content-length'] !== undefined) return { 'content-length': incoming.headers['content-length'] };
  return ['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(incoming.method) ? {} : { 'content-length': '0' };
}

export const hasBody = (incoming) => incoming.headers['transfer-encoding'] !== undefined || Number(incoming.headers['content-length'] ?? 0) > 0;
