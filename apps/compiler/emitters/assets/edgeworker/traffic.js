// What becomes of a call that was let in, on the item of its service: which version answers, at which origin, with which
// headers. Never whether it is let in. The version travels inside the context token; a limit is the mesh's to keep, which
// can count.
import { crypto } from "crypto";
import { toBytes } from "./bytes.js";
import { canonical } from "./headers.js";

const WHOLE = 100;
const MOST_TOLD = 12;

export const UNTREATED = { variant: "", origin: "", headers: {}, rules: [] };

/** Where a caller stands between 0 and 99, for good. */
async function shareOf(service, variant, subject) {
  const digest = await crypto.subtle.digest("SHA-256", toBytes(`${service}\n${variant}\n${subject}`));
  const [a, b, c, d] = new Uint8Array(digest);
  return (a * 0x1000000 + b * 0x10000 + c * 0x100 + d) % WHOLE;
}

function concerns([, routes, hashes, , starts, ends], who, route, at) {
  if (at < starts || (ends !== null && at >= ends) || !routes.includes(route)) return false;
  return hashes === null || hashes.includes(who.hash);
}

/** ``subject`` is whose call it is, by name; ``who`` the same as the item knows it. */
export async function treat(item, who, subject, route, at) {
  const found = [];
  for (const rule of item.traffic || []) {
    const [, , , percent, , , , , share] = rule;
    if (!concerns(rule, who, route, at)) continue;
    if (percent < WHOLE && (await shareOf(item.svc, share, subject)) >= percent) continue;
    found.push(rule);
  }
  if (found.length === 0) return UNTREATED;
  const [, , , , , , variant, , , origin = ""] = found.find((rule) => rule[6] !== "") || found[0];
  return {
    variant,
    origin: variant === "" ? "" : origin,
    headers: Object.assign({}, ...found.map(([, , , , , , , headers]) => headers).reverse()),
    rules: found.map(([id]) => id).slice(0, MOST_TOLD),
  };
}

/** Sends the call where its rules want it, with their headers. Whatever a client wrote there goes, however it spelt it. */
export function obey(request, { headers, origin }) {
  if (origin !== "") request.route({ origin });
  const ruled = new Set(Object.keys(headers).map(canonical));
  for (const name of ruled.size > 0 ? Object.keys(request.getHeaders()) : []) {
    if (ruled.has(canonical(name))) request.removeHeader(name);
  }
  for (const [name, value] of Object.entries(headers)) {
    if (value !== null) request.setHeader(name, value);
  }
}
