// The context token: verified once here, behind a cache, for all requests that carry the same one.
var COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
var SIGNATURE_BYTES = 64;
var LONGEST_MEMORY = 60;

function jsonObject(text) {
  if (text.length % 4 === 1) return null;
  try {
    let found = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof found === 'object' && !Array.isArray(found) ? found : null;
  } catch (e) {
    return null;
  }
}

// Preloaded lists are read by index: they lack the methods of arrays.
function keyNamed(kid) {
  let keys = mesh.context.keys;
  for (let i = 0; i < keys.length; i++) {
    if (keys[i][0] === kid) return keys[i][1];
  }
  return null;
}

async function isSigned(token, spki) {
  let cut = token.lastIndexOf('.');
  let signature = Buffer.from(token.slice(cut + 1), 'base64url');
  if (token.slice(cut + 1).length % 4 === 1 || signature.length !== SIGNATURE_BYTES) return false;
  let curve = { name: 'ECDSA', namedCurve: 'P-256' };
  let key = await crypto.subtle.importKey('spki', Buffer.from(spki, 'base64'), curve, false, ['verify']);
  let signed = Buffer.from(token.slice(0, cut));
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, signature, signed);
}

function isText(value) {
  return typeof value === 'string' && value !== '';
}

/** Whoever acts for the subject; only the outermost counts. Left out is fine, misspelt is not. */
function isActor(act) {
  return act === undefined || (act !== null && isText(act.sub));
}

function isComplete(claims) {
  let times = [claims.iat, claims.exp, claims.nbf === undefined ? 0 : claims.nbf];
  let context = claims.tctx;
  return (
    isText(claims.iss) &&
    isText(claims.sub) &&
    isActor(claims.act) &&
    times.every((time) => typeof time === 'number') &&
    (isText(claims.aud) || Array.isArray(claims.aud)) &&
    typeof context === 'object' &&
    context !== null &&
    isText(context.svc)
  );
}

function claimFault(claims, at) {
  if (!isComplete(claims)) return 'missing_claim';
  if (claims.iss !== mesh.context.issuer) return 'wrong_issuer';
  if (Math.max(claims.iat, claims.nbf || 0) > at + mesh.context.leeway) return 'token_not_yet_valid';
  if (claims.exp + mesh.context.leeway <= at) return 'expired_token';
  return [].concat(claims.aud).includes(mesh.context.audience) ? null : 'wrong_audience';
}

async function fault(token, header, claims, at) {
  if (header === null || claims === null) return 'malformed_token';
  if (header.typ !== mesh.context.type) return 'bad_type';
  if (header.alg !== mesh.context.algorithm) return 'bad_algorithm';
  let spki = keyNamed(header.kid);
  if (spki === null) return 'unknown_key';
  if (!(await isSigned(token, spki))) return 'bad_signature';
  return claimFault(claims, at);
}

/** When the token that the edge was shown was made out; an edge that does not say yet means its own token. */
function issuedOf(claims) {
  return typeof claims.tctx.iat === 'number' ? claims.tctx.iat : claims.iat;
}

function grantsOf(context) {
  return Array.isArray(context.gr) ? context.gr.filter(isText) : [];
}

/** The answer of the verifier: what the token says, or what is wrong with it. Only a good token is remembered. */
async function verify(r) {
  let at = Date.now() / 1000;
  let token = r.headersIn['X-Sallyport-Token'] || '';
  let parts = COMPACT.test(token) ? token.split('.') : null;
  let header = parts === null ? null : jsonObject(parts[0]);
  let claims = parts === null ? null : jsonObject(parts[1]);
  let reason = await fault(token, header, claims, at);
  let told = { reason: reason };
  let memory = 0;
  if (reason === null) {
    told = {
      reason: null,
      subject: claims.sub,
      actor: claims.act === undefined ? null : claims.act.sub,
      issued: issuedOf(claims),
      service: claims.tctx.svc,
      variant: isText(claims.tctx.vr) ? claims.tctx.vr : '',
      ends: claims.exp + mesh.context.leeway,
      grants: grantsOf(claims.tctx),
    };
    memory = Math.max(0, Math.min(LONGEST_MEMORY, Math.floor(told.ends - at)));
  }
  r.headersOut['X-Accel-Expires'] = String(memory);
  r.headersOut['X-Sallyport-Context'] = Buffer.from(JSON.stringify(told)).toString('base64url');
  r.return(200, '');
}

/** What the verifier said, checked once more against the clock; throws when it said nothing. */
function recall(encoded, at) {
  let told = JSON.parse(Buffer.from(encoded, 'base64url').toString());
  return told.reason === null && told.ends <= at ? { reason: 'expired_token' } : told;
}

export default { recall, verify };
