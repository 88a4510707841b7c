// Who calls: by a token in the Authorization header, or by the session of a browser, which is a token in a cookie beside
// the secret of the browser it was made for. The token once came in an address, which others may have read; the secret
// never did, and neither is worth anything without the other.
import { crypto } from "crypto";
import { comesFromHere, mayChangeSomething } from "./browsers.js";
import { toBase64url, toBytes } from "./bytes.js";
import { cookieValues } from "./cookies.js";
import { policy } from "./policy.js";
import { nameOf } from "./services.js";
import { checkAuthorization, checkToken } from "./tokens.js";

const SESSION = /^([A-Za-z0-9_-]{43})\.([^]{1,3500})$/;
const SECRET_BYTES = 32;

/** What others may know of a browser's secret. */
export async function challengeOf(secret) {
  return toBase64url(new Uint8Array(await crypto.subtle.digest("SHA-256", toBytes(secret))));
}

export const newSecret = () => toBase64url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));

export const sessionOf = (secret, token) => `${secret}.${token}`;

/** A session token is good at one host. */
export const checkSessionToken = (token, request, at) =>
  checkToken(token, { type: policy.browser.type, audience: nameOf(request.host), bound: true }, at);

/** The session a browser shows, as ``checkToken`` says it; ``session`` is true of a good one. */
export async function checkSession(request, at) {
  const held = cookieValues(request, policy.browser.session);
  if (held.length !== 1) return { reason: held.length === 0 ? "no_token" : "duplicate_token" };
  const found = SESSION.exec(held[0]);
  if (found === null) return { reason: "malformed_token" };
  const token = await checkSessionToken(found[2], request, at);
  if (token.reason !== null) return token;
  if (token.holder !== (await challengeOf(found[1]))) return { reason: "other_browser" };
  return { ...token, session: true };
}

/** Whoever sends an Authorization header means it: no cookie mends one that is wrong. */
export async function identify(request, at) {
  const authorization = request.getHeader("Authorization");
  if (authorization !== null && authorization !== undefined) return checkAuthorization(authorization, at);
  const found = await checkSession(request, at);
  // The browser sends the cookie whoever made it call, so a call that may change something needs more than the cookie.
  if (found.reason === null && mayChangeSomething(request) && !comesFromHere(request)) {
    return { ...found, reason: "cross_site" };
  }
  return found;
}
