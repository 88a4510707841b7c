// Which service answers at an address. Base paths are compared as they were sent, whole segments only, longest first.
import { policy } from "./policy.js";
import { segmentsOf } from "./paths.js";

const HOSTS = new Map(policy.hosts);

export const NOWHERE = { service: "", key: "", path: "", segments: null };

export function locate(host, path) {
  const name = host.toLowerCase().replace(/:\d+$/, "");
  for (const [base, service, key] of HOSTS.get(name) || []) {
    if (base === "" || path === base || path.startsWith(`${base}/`)) {
      const below = path.slice(base.length) || "/";
      return { service, key, path: below, segments: segmentsOf(below) };
    }
  }
  return NOWHERE;
}
