// The decision, on the compiled map. Every lookup goes through one map whose keys are exact and whose values are JSON.
import crypto from 'crypto';
import paths from './paths.js';

var LONGEST_KEY = 160;
var UNSAFE = /[\x00-\x20"$';A-Z\\^{}\x7f]/g;
var KINDS = ['person', 'workload', 'agent'];

// NGINX compares map keys without respect to case, and reads some characters as syntax: both are spelt out.
function escaped(letter) {
  return /[A-Z]/.test(letter) ? `^${letter.toLowerCase()}` : `^${letter.charCodeAt(0)}.`;
}

function keyOf(parts) {
  let key = parts.map((part) => part.replace(UNSAFE, escaped)).join(' ');
  return key.length <= LONGEST_KEY ? key : `sha256 ${crypto.createHash('sha256').update(key).digest('hex')}`;
}

function entry(r, parts) {
  r.variables.sp_key = keyOf(parts);
  return JSON.parse(r.variables.sp_entry || '[]');
}

function routeFor(r, service, method, segments) {
  let lanes = entry(r, ['routes', service, method.toLowerCase(), String(segments.length)]);
  for (let i = 0; i < lanes.length; i++) {
    if (paths.matches(lanes[i][1], segments)) return lanes[i][0];
  }
  return null;
}

function kindOf(subject) {
  let parts = subject.split(':');
  return parts.length > 1 && KINDS.includes(parts[0]) ? parts[0] : null;
}

function barrier(r, service, method, route, subject) {
  let standing = entry(r, ['guards', service, method.toLowerCase(), route]);
  if (standing.length === 0) return null;
  let kind = kindOf(subject);
  let named = entry(r, ['guarded', service, subject]);
  for (let i = 0; i < standing.length; i++) {
    let kinds = standing[i][1];
    if (kinds === null || kinds.includes(kind) || named.includes(standing[i][0])) return standing[i][0];
  }
  return null;
}

/** Whoever was turned away, whatever is granted. ``issued``: when the token was made out, null without a token. */
function turnedAway(r, call) {
  let told = entry(r, ['denied', call.service, call.subject]);
  for (let i = 0; i < told.length; i++) {
    let meant = told[i][2] === null || (call.issued !== null && call.issued <= told[i][2]);
    if (call.at < told[i][1] && meant) return { reason: told[i][0], wait: told[i][1] - call.at };
  }
  return null;
}

function standingOf(grant, at) {
  if (at < grant[1]) return 'grant_not_started';
  return grant[2] !== null && at >= grant[2] ? 'grant_expired' : 'granted';
}

/** The best that the subject's grants amount to now: running, coming, ended, or none at all. */
function weigh(held, at) {
  let reasons = ['granted', 'grant_not_started', 'grant_expired'];
  for (let i = 0; i < reasons.length; i++) {
    let grants = held.filter((grant) => standingOf(grant, at) === reasons[i]).map((grant) => grant[0]);
    if (grants.length > 0) return { reason: reasons[i], grants: grants };
  }
  return { reason: 'no_grant', grants: [] };
}

/** What a call of this subject has to be counted for: [[subject, calls a minute]]. Only agents have a limit. */
function limitsOf(r, call) {
  if (kindOf(call.subject) !== 'agent') return [];
  return entry(r, ['limit', call.service, call.subject]).map((most) => [call.subject, most]);
}

/** Returns {reason, route, grants, guardrail, wait, limits}. ``call``: service, subject, method, path (below the base, as sent),
 *  at, issued. */
function decide(r, call) {
  if (kindOf(call.subject) === null) return { reason: 'unknown_subject' };
  let segments = paths.segmentsOf(call.path);
  if (segments === null) return { reason: 'bad_path' };
  let denied = turnedAway(r, call);
  if (denied !== null) return denied;
  let route = routeFor(r, call.service, call.method, segments);
  if (route === null) return { reason: 'no_route' };
  let guardrail = barrier(r, call.service, call.method, route, call.subject);
  if (guardrail !== null) return { reason: 'guardrail', route: route, guardrail: guardrail };
  let found = weigh(entry(r, ['grants', call.service, route, call.subject]), call.at);
  found.route = route;
  if (found.reason === 'granted') found.limits = limitsOf(r, call);
  return found;
}

/** Somebody acts for the subject: both must be let in, and the subject's refusal is told first. */
function decideBoth(r, call) {
  let found = decide(r, call);
  if (call.actor === null || found.reason !== 'granted') return found;
  let acting = decide(r, Object.assign({}, call, { subject: call.actor }));
  if (acting.reason !== 'granted') return acting;
  found.limits = found.limits.concat(acting.limits);
  found.grants = found.grants.concat(acting.grants.filter((grant) => !found.grants.includes(grant))).sort();
  return found;
}

export default { decideBoth, entry };
