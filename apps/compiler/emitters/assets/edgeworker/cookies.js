// The cookies of a browser's session. They are between the browser and this edge: the origin neither sees nor sets them.
// With TLS their names begin with __Host-, which keeps sibling hosts from setting them.
import { policy } from "./policy.js";

const SECURE = policy.browser.url.startsWith("https:") ? "; Secure" : "";
const OURS = /^(?:__host-|__secure-)?sallyport-(?:session|sign-in)$/i;
const MENTIONED = /sallyport-(?:session|sign-in)/i;

const trimmed = (text) => text.replace(/^[ \t]+|[ \t]+$/g, "");
const partsOf = (headers) => headers.flatMap((header) => header.split(";")).map(trimmed);

function pairOf(part) {
  const cut = part.indexOf("=");
  return cut < 0 ? [part, null] : [trimmed(part.slice(0, cut)), trimmed(part.slice(cut + 1))];
}

/** Every value under exactly this name in all Cookie headers; quotes mean nothing (RFC 6265, section 4.2). */
export function cookieValues(request, name) {
  const pairs = partsOf(request.getHeader("Cookie") || []).map(pairOf);
  return pairs.filter(([key, value]) => key === name && value !== null).map(([, value]) => value);
}

export function setCookie(name, value, seconds) {
  const age = seconds === undefined ? "" : `; Max-Age=${seconds}`;
  return `${name}=${value}; Path=/${age}; HttpOnly; SameSite=Lax${SECURE}`;
}

export const dropCookie = (name) => setCookie(name, "", 0);

/** The application's own cookies go on as they came. One that still mentions ours, however it is quoted, does not. */
export function removeOurCookies(request) {
  const headers = request.getHeader("Cookie") || [];
  if (!headers.some((header) => MENTIONED.test(header))) return;
  const kept = partsOf(headers).filter((part) => part !== "" && !OURS.test(pairOf(part)[0]));
  const theirs = kept.filter((part) => !MENTIONED.test(part)).join("; ");
  if (theirs === "") request.removeHeader("Cookie");
  else request.setHeader("Cookie", theirs);
}

/** Nobody behind us begins or ends a session here. */
export function removeOurSetCookies(response) {
  const given = response.getHeader("Set-Cookie") || [];
  const theirs = given.filter((cookie) => !OURS.test(pairOf(cookie.split(";", 1)[0])[0]));
  if (theirs.length === given.length) return;
  if (theirs.length === 0) response.removeHeader("Set-Cookie");
  else response.setHeader("Set-Cookie", theirs);
}
