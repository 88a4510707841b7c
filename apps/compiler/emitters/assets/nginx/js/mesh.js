// The doors of the mesh. NGINX asks a door where a request goes next and jumps to the named location of that name; any
// answer that is not the name of a location ends as 500, which is answered as "policy unavailable". So: deny by default.
//
// A js_set function that forgets to return gives the value of the one before it, and one that throws gives nothing.
// Hence one function per request, which always returns a text, and leaves everything else in variables.
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
  export default {
  adoptRequestId, atIngress, atSidecar, judged, locate, peerNamed, refused, rehearse, settle, tokenFault,
  verify: context.verify,
};
