// Tokens of the console: one JWT, ES256 and nothing else, by one of our keys. Every claim the door relies on must be there.
import { crypto } from "crypto";
import { fromBase64url, fromBytes, toBytes } from "./bytes.js";
import { policy } from "./policy.js";

const { issuer, audience, type, algorithm, leeway } = policy.token;
const EDGE_TOKEN = { type, audience, bound: false };
const BEARER = /^bearer +(\S+) *$/i;
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
const SIGNATURE_BYTES = 64;
const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

const JWKS = new Map(policy.token.keys);
const imported = new Map();

async function keyNamed(kid) {
  if (!imported.has(kid)) {
    imported.set(kid, await crypto.subtle.importKey("jwk", JWKS.get(kid), ECDSA, false, ["verify"]));
  }
  return imported.get(kid);
}

function bytesOf(text) {
  return text.length % 4 === 1 ? null : fromBase64url(text);
}

function jsonObject(text) {
  try {
    const found = JSON.parse(fromBytes(bytesOf(text)));
    return typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

async function isSigned(token, kid) {
  const cut = token.lastIndexOf(".");
  const signature = bytesOf(token.slice(cut + 1));
  if (signature === null || signature.length !== SIGNATURE_BYTES) return false;
  return crypto.subtle.verify(ECDSA, await keyNamed(kid), signature, toBytes(token.slice(0, cut)));
}

const isText = (value) => typeof value === "string" && value !== "";
const isNumber = (value) => typeof value === "number";

/** Whoever acts for the subject; only the outermost counts. Left out is fine, misspelt is not. */
const isActor = (act) => act === undefined || (act !== null && isText(act.sub));

/** A session says whose browser it is for; what it says is compared by whoever knows the browser's secret. */
const isBound = (cnf) => typeof cnf === "object" && cnf !== null && isText(cnf.s256);

function isComplete({ iss, sub, aud, iat, exp, act, cnf, nbf = 0 }, { bound }) {
  const audible = isText(aud) || Array.isArray(aud);
  const whole = isText(iss) && isText(sub) && [iat, exp, nbf].every(isNumber) && audible && isActor(act);
  return whole && (!bound || isBound(cnf));
}

function claimFault(claims, wanted, at) {
  if (!isComplete(claims, wanted)) return "missing_claim";
  if (claims.iss !== issuer) return "wrong_issuer";
  if (Math.max(claims.iat, claims.nbf || 0) > at + leeway) return "token_not_yet_valid";
  if (claims.exp + leeway <= at) return "expired_token";
  return [claims.aud].flat().includes(wanted.audience) ? null : "wrong_audience";
}

async function fault(token, header, claims, wanted, at) {
  if (header === null || claims === null) return "malformed_token";
  if (header.typ !== wanted.type) return "bad_type";
  if (header.alg !== algorithm) return "bad_algorithm";
  if (!JWKS.has(header.kid)) return "unknown_key";
  if (!(await isSigned(token, header.kid))) return "bad_signature";
  return claimFault(claims, wanted, at);
}

/** Whose a token is ({reason: null, subject, actor, issued, holder}), or the first thing wrong with it ({reason}).
 * ``wanted``: its type and audience, and whether it must be bound to a browser. */
export async function checkToken(token, wanted, at) {
  const [header, claims] = COMPACT.test(token) ? token.split(".", 2).map(jsonObject) : [null, null];
  const reason = await fault(token, header, claims, wanted, at);
  if (reason !== null) return { reason };
  const holder = wanted.bound ? claims.cnf.s256 : "";
  return { reason, subject: claims.sub, actor: claims.act ? claims.act.sub : "", issued: claims.iat, holder };
}

/** The same of the token in the Authorization headers of a call. */
export async function checkAuthorization(values, at) {
  if (values.length > 1) return { reason: "duplicate_token" };
  const found = values.length === 1 ? BEARER.exec(values[0]) : null;
  return found === null ? { reason: "no_token" } : checkToken(found[1], EDGE_TOKEN, at);
}
