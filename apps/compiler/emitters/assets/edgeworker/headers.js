// Headers that speak in our name or in an identity provider's. A client may send them; nobody behind us may see them.
import { removeOurCookies } from "./cookies.js";

const OWNED = new Set([
  "authorization",
  "forwarded",
  "remote-user",
  "txn-token",
  "x-client-cert",
  "x-forwarded-client-cert",
  "x-forwarded-email",
  "x-forwarded-groups",
  "x-forwarded-user",
  "x-http-method-override",
  "x-original-url",
  "x-remote-user",
  "x-request-id",
  "x-rewrite-url",
]);
const OWNED_FAMILIES = /^(?:x-sallyport-|x-auth-request-|x-ssl-client-|ssl-client-)/;

/** Many servers read ``x_remote_user`` as ``x-remote-user``, so underscores count as hyphens. */
export const canonical = (name) => name.toLowerCase().replace(/_/g, "-");

function isOwned(name) {
  const known = canonical(name);
  return OWNED.has(known) || OWNED_FAMILIES.test(known);
}

export function removeOwned(request) {
  for (const name of Object.keys(request.getHeaders())) {
    if (isOwned(name)) request.removeHeader(name);
  }
  removeOurCookies(request);
}

/** "May I?": decided like any call, but it must not reach the application. In doubt it is a probe. */
export function isProbe(request) {
  const values = request.getHeader("X-Sallyport-Probe") || [];
  return values.some((value) => value.split(",").some((part) => part.trim() === "1"));
}
