// EdgeKV holds no names: subjects appear there as keyed hashes, cut to 96 bits.
import { crypto } from "crypto";
import { toBase64url, toBytes } from "./bytes.js";
import { policy } from "./policy.js";

const KINDS = new Set(policy.kinds);
const HASH_BYTES = 12;
let salt = null;

async function hash(subject) {
  if (salt === null) {
    salt = await crypto.subtle.importKey("raw", toBytes(policy.salt), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  }
  const full = await crypto.subtle.sign({ name: "HMAC" }, salt, toBytes(subject));
  return toBase64url(new Uint8Array(full).subarray(0, HASH_BYTES));
}

/** Kind and hash of a subject id such as ``person:ada``, or null when nobody of that kind ever calls. */
export async function subjectOf(id) {
  const kind = id.includes(":") ? id.slice(0, id.indexOf(":")) : "";
  return KINDS.has(kind) ? { kind, hash: await hash(id) } : null;
}
