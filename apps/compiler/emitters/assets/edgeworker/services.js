// Which service answers at an address. Base paths are compared as they were sent, whole segments only, longest first.
// What is below our own path is no service's.
import { policy } from "./policy.js";
import { segmentsOf } from "./paths.js";

const HOSTS = new Map(policy.hosts);
const OWN = policy.browser.own;

export const NOWHERE = { service: "", key: "", path: "", segments: null };

export const nameOf = (host) => host.toLowerCase().replace(/:\d+$/, "");

export function locate(host, path) {
  for (const [base, service, key] of path.startsWith(OWN) ? [] : HOSTS.get(nameOf(host)) || []) {
    if (base === "" || path === base || path.startsWith(`${base}/`)) {
      const below = path.slice(base.length) || "/";
      return { service, key, path: below, segments: segmentsOf(below) };
    }
  }
  return NOWHERE;
}

/** What follows our own path at a host that we serve, or null. */
export function ownAddress(host, path) {
  return path.startsWith(OWN) && HOSTS.has(nameOf(host)) ? path.slice(OWN.length) : null;
}
