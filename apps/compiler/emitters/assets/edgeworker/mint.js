// The context token that vouches for a call inside. Made at most once a minute for the same caller, edge token's age,
// service and grants, so that the mesh can remember its own verdict. It says when the edge token was made out, because
// some denials are about tokens from before a moment. The memory is a convenience: a token made anew is as good.
import { crypto } from "crypto";
import { toBase64url, toBytes } from "./bytes.js";
import { policy } from "./policy.js";

const { issuer, audience, type, algorithm, lifetime, kid, jwk } = policy.context;
const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const MOST_REMEMBERED = 256;

let signingKey = null;
let minute = 0;
const minted = new Map();

const encoded = (value) => toBase64url(toBytes(JSON.stringify(value)));

async function sign(claims) {
  if (signingKey === null) signingKey = await crypto.subtle.importKey("jwk", jwk, ECDSA, false, ["sign"]);
  const text = `${encoded({ alg: algorithm, typ: type, kid })}.${encoded(claims)}`;
  const signature = await crypto.subtle.sign(ECDSA, signingKey, toBytes(text));
  return `${text}.${toBase64url(new Uint8Array(signature))}`;
}

function forgetOld(at) {
  const current = Math.floor(at / 60);
  if (current !== minute || minted.size >= MOST_REMEMBERED) minted.clear();
  minute = current;
}

export async function contextToken(call, requestId, at) {
  forgetOld(at);
  const key = JSON.stringify([call.s, call.a, call.i, call.svc, call.g, call.vr]);
  if (!minted.has(key)) {
    const token = await sign({
      iss: issuer,
      aud: audience,
      sub: call.s,
      ...(call.a ? { act: { sub: call.a } } : {}),
      iat: at,
      exp: at + lifetime,
      txn: requestId,
      scope: `svc:${call.svc}`,
      req_wl: issuer,
      tctx: { svc: call.svc, gr: call.g, iat: call.i, ...(call.vr ? { vr: call.vr } : {}) },
    });
    minted.set(key, token);
  }
  return minted.get(key);
}
