// What a browser says of a call by itself, and scripts cannot make it say: where the call came from, and what it is for.
import { policy } from "./policy.js";
import { nameOf } from "./services.js";

const { url } = policy.browser;
const SCHEME = url.slice(0, url.indexOf(":"));
const DEFAULT_PORT = SCHEME === "https" ? /:443$/ : /:80$/;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
const JSON_TYPES = new Set(["application/json", "application/problem+json"]);
const SEVERAL = "";

/** Where browsers find this host; the start of every address we send them to. */
export const homeOf = (request) => url.replace("{host}", nameOf(request.host));

/** Cookies that need TLS would not come back. */
export const isWithoutTls = (request) => SCHEME === "https" && request.scheme === "http";

function only(request, name) {
  const values = request.getHeader(name);
  if (values === null || values === undefined) return undefined;
  return values.length === 1 ? values[0] : SEVERAL;
}

/** A handshake for a WebSocket is a GET, but what follows may do anything. */
export const mayChangeSomething = (request) =>
  !SAFE_METHODS.has(request.method) || only(request, "Upgrade") !== undefined;

/** Whether a page of this very host made the call. Not even a sibling host may; silence proves nothing. */
export function comesFromHere(request) {
  const site = only(request, "Sec-Fetch-Site");
  const origin = only(request, "Origin");
  const own = `${SCHEME}://${request.host.toLowerCase().replace(DEFAULT_PORT, "")}`;
  if (site === undefined) return origin === own;
  return site === "same-origin" && [undefined, "null", own].includes(origin);
}

function weightOf(accepted, types) {
  const weights = accepted
    .toLowerCase()
    .split(",")
    .map((entry) => entry.split(";").map((part) => part.trim()))
    .filter(([type]) => types.has(type))
    .map(([, ...parameters]) => parameters.find((parameter) => parameter.startsWith("q=")))
    .map((quality) => (quality === undefined ? 1 : Number(quality.slice(2)) || 0));
  return Math.max(0, ...weights);
}

export function wantsPage(request) {
  const accepted = (request.getHeader("Accept") || []).join(",");
  const page = weightOf(accepted, new Set(["text/html"]));
  return page > 0 && page >= weightOf(accepted, JSON_TYPES);
}

/** Somebody goes to a page, in a window of its own: what can be sent elsewhere and come back. */
export function isNavigation(request) {
  const reads = request.method === "GET" || request.method === "HEAD";
  const isOrSilent = (name, value) => [undefined, value].includes(only(request, name));
  return (
    reads && wantsPage(request) && isOrSilent("Sec-Fetch-Mode", "navigate") && isOrSilent("Sec-Fetch-Dest", "document")
  );
}
