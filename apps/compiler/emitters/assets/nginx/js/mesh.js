// The doors of the mesh. NGINX asks a door where a request goes next and jumps to the named location of that name; any
// answer that is not the name of a location ends as 500, which is answered as "policy unavailable". So: deny by default.
//
// A js_set function that forgets to return gives the value of the one before it, and one that throws gives nothing.
// Hence one function per request, which always returns a text, and leaves everything else in variables.
import breakers from './breakers.js';
import certificate from './certificate.js';
import context from './context.js';
import denial from './denial.js';
import minutes from './minutes.js';
import paths from './paths.js';
import policy from './policy.js';
import traffic from './traffic.js';

var REQUEST_ID = /^[0-9a-f]{32}$/;
var SUBJECT = /^[^\x00-\x20\x7f]+$/;
var PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'";
var OWNED_FAMILIES = /^(?:x-sallyport-|x-auth-request-|x-ssl-client-|ssl-client-)/;

function newCall(r) {
  return {
    at: Date.now() / 1000,
    id: r.variables.request_id,
    method: r.method,
    accept: r.headersIn.Accept || '',
    service: r.variables.sp_own_service || '',
    path: '',
    peer: '',
    subject: '',
    actor: null,
    issued: null,
    reason: 'policy_unavailable',
    grants: [],
    variant: '',
    rules: [],
    breakers: [],
    tokens: 0,
    probe: false,
    owned: false,
  };
}

// One look at the headers: is it a probe, how many tokens came, is there any that speaks in our name?
function survey(r, call) {
  let headers = r.rawHeadersIn;
  for (let i = 0; i < headers.length; i++) {
    let name = headers[i][0].toLowerCase();
    if (name === 'txn-token') call.tokens += 1;
    else if (name === 'x-sallyport-probe') call.probe = call.probe || isOn(headers[i][1]);
    else if (OWNED_FAMILIES.test(name)) call.owned = true;
  }
}

function isOn(value) {
  return value.split(',').some((part) => part.trim() === '1');
}

function peerFault(r, call) {
  if (r.variables.ssl_client_verify !== 'SUCCESS') return 'bad_client_certificate';
  call.peer = r.variables.sp_known_peer || '';
  return call.peer === '' ? 'unknown_workload' : null;
}

function adoptRequestId(r, call) {
  let given = r.headersIn['X-Request-Id'] || '';
  if (REQUEST_ID.test(given)) call.id = given;
}

// The ingress and the sidecars ask the same of a context token; `call.service` is known by then.
function tokenFault(r, call) {
  if (call.tokens === 0) return 'edge_token_absent';
  if (call.tokens > 1) return 'duplicate_token';
  let told = context.recall(r.variables.sp_context, call.at);
  if (told.reason !== null) return told.reason;
  call.subject = SUBJECT.test(told.subject) ? told.subject : '';
  if (told.actor !== null) call.actor = SUBJECT.test(told.actor) ? told.actor : '';
  call.issued = told.issued;
  if (told.service !== call.service) return 'service_mismatch';
  call.grants = told.grants;
  call.variant = told.variant;
  return null;
}

function own(object, name) {
  return Object.prototype.hasOwnProperty.call(object, name) ? object[name] : undefined;
}

// Base paths are compared as they were sent, whole segments only; the longest wins.
function locate(r, call, sent) {
  let bases = own(mesh.hosts, (r.headersIn.Host || '').toLowerCase().replace(/:[0-9]+$/, '')) || {};
  let parts = sent.split('/');
  call.path = sent;
  for (let depth = Math.min(parts.length, mesh.deepestBase); depth > 0; depth--) {
    let base = parts.slice(0, depth).join('/');
    let found = own(bases, base);
    if (found !== undefined) {
      call.service = found[0];
      call.path = sent === base && base !== '' ? '/' : sent.slice(base.length);
      r.variables.sp_upstream = found[1];
      r.variables.sp_server_name = found[2];
      return true;
    }
  }
  return false;
}

function judgeAtIngress(r, call) {
  let fault = peerFault(r, call);
  if (fault !== null) return fault;
  let fromEdge = call.peer === mesh.edge;
  if (fromEdge) adoptRequestId(r, call);
  if (!locate(r, call, paths.sentPath(r))) return 'no_service';
  if (paths.segmentsOf(call.path) === null) return 'bad_path';
  return fromEdge ? tokenFault(r, call) || 'granted' : 'edge_token_absent';
}

function judgeAtSidecar(r, call) {
  let fault = peerFault(r, call);
  if (fault !== null) return fault;
  call.path = paths.sentPath(r);
  if (call.peer === mesh.ingress) {
    adoptRequestId(r, call);
    fault = tokenFault(r, call);
    if (fault !== null) return fault;
  } else {
    call.subject = `workload:${call.peer}`;
  }
  return settle(r, call);
}

/** What the policy says of a call whose subject is known, whether its service is left alone, and whether the call is
 *  within its limits. */
function settle(r, call) {
  let found = policy.decideBoth(r, call);
  call.route = found.route;
  call.grants = found.grants || [];
  call.guardrail = found.guardrail;
  call.wait = found.wait;
  if (found.reason !== 'granted') return found.reason;
  let limits = found.limits.concat(traffic.treat(r, call));
  if (call.probe) return 'granted';
  call.wait = breakers.rest(call.breakers, call.at);
  if (call.wait > 0) return 'breaker_open';
  if (call.breakers.length > 0) r.variables.sp_breakers = JSON.stringify(call.breakers);
  return minutes.count(call, limits);
}

/** Asked as an answer goes out, for a service with a breaker: one that failed is counted, whatever else becomes of it. */
function answered(r) {
  try {
    let told = r.status < 500 ? '' : r.variables.sp_breakers || '';
    if (told !== '') breakers.failed(JSON.parse(told), Date.now() / 1000);
  } catch (e) {
    r.error(`not counted as failed: ${e}`);
  }
}

function tell(r, call) {
  let verdict = call.reason === 'granted' ? 'allow' : 'deny';
  let grants = call.grants.join(',');
  r.variables.sp_told = '1';
  r.variables.sp_verdict = verdict;
  r.variables.sp_reason = call.reason;
  r.variables.sp_id = call.id;
  r.variables.sp_method = call.method;
  r.variables.sp_peer = call.peer;
  r.variables.sp_subject = call.subject;
  r.variables.sp_actor = call.actor || '';
  r.variables.sp_service = call.service;
  r.variables.sp_route = call.route || '';
  r.variables.sp_path = call.path;
  r.variables.sp_grants = grants;
  r.variables.sp_rules = call.rules.join(',');
  if (call.probe) {
    r.variables.sp_probe = '1';
    r.variables.sp_answer = `${verdict};${call.reason};${call.grants.concat(call.rules).join(',')}`;
  }
}

function refuse(r, call) {
  let found = denial.denial(call);
  r.variables.sp_body = found.body;
  r.variables.sp_cache = 'no-store';
  if (found.asPage) r.variables.sp_csp = PAGE_POLICY;
  if (found.status === 401) r.variables.sp_challenge = 'Bearer';
  if (found.status >= 429 && call.wait > 0) r.variables.sp_retry = String(Math.ceil(call.wait));
  return `${found.status}_${found.asPage ? 'page' : 'problem'}`;
}

/** The call with all that was found out about it; `call.reason` is never missing. */
function judged(r, judge) {
  let call = newCall(r);
  try {
    survey(r, call);
    call.reason = judge(r, call);
  } catch (e) {
    r.error(`no decision: ${e}`);
    call.reason = 'policy_unavailable';
  }
  tell(r, call);
  return call;
}

function decideWith(r, judge) {
  let call = judged(r, judge);
  if (call.reason !== 'granted') return refuse(r, call);
  return call.owned ? 'forward_bare' : 'forward';
}

function atIngress(r) {
  return decideWith(r, judgeAtIngress);
}

function atSidecar(r) {
  let next = decideWith(r, judgeAtSidecar);
  return next.startsWith('forward') && r.variables.sp_probe === '1' ? 'probe' : next;
}

// What NGINX itself refused. Its error page has forgotten the method, and perhaps the path.
function refusal(r, call) {
  let forced = r.variables.sp_forced;
  call.method = (r.variables.request || '').split(' ')[0].slice(0, 32);
  if (forced === 'no_route') return judgeAs(r, call);
  let fault = peerFault(r, call);
  call.path = paths.sentPath(r);
  return forced === 'policy_unavailable' ? forced : fault || forced;
}

// A method NGINX has no use for is judged like any other, but there is no way for it to get through.
function judgeAs(r, call) {
  let judge = r.variables.sp_point === 'ingress' ? judgeAtIngress : judgeAtSidecar;
  let reason = judge(r, call);
  if (reason !== 'granted') return reason;
  call.grants = [];
  return 'no_route';
}

function refused(r) {
  return decideWith(r, refusal);
}

/** Only asked for a certificate whose fingerprint is not in the map: one issued after this revision was compiled. */
function peerNamed(r) {
  return certificate.workloadOf(r.variables.ssl_client_raw_cert || '', mesh.trustDomain);
}

/** What the policy says of a call: [reason, grants], and what traffic rules make of it, if any does. The call is taken
 *  to come with a token made out that second. */
function rehearsed(r, one) {
  let call = { service: one[0], subject: one[1], actor: null, method: one[2], path: one[3], at: one[4], issued: one[4] };
  let found = policy.decideBoth(r, call);
  call.route = found.route;
  let told = found.reason === 'granted' ? traffic.treatment(r, call) : null;
  let said = [found.reason, found.grants || []];
  return told === null ? said : said.concat([[told.rules, told.variant, told.headers, told.limits, told.breakers]]);
}

/** Asked by the node before a revision is put in force: a list of calls in, what the policy says of each out. */
function rehearse(r) {
  r.return(200, JSON.stringify(JSON.parse(r.requestText).map((one) => rehearsed(r, one))));
}

export default {
  adoptRequestId, answered, atIngress, atSidecar, judged, locate, peerNamed, refused, rehearse, settle, tokenFault,
  verify: context.verify,
};
