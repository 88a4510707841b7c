// Asked by an ingress about each call before it lets it through: may it? The same token check and the same decision as
// at our own doors. An ingress passes on whatever headers the caller sent, so nothing is believed but what it says
// itself: for NGINX Ingress Controller in the address it asks, for NGINX Gateway Fabric in two headers it always sets.
import doors from './mesh.js';
import paths from './paths.js';

var METHOD = /^[A-Z]{1,32}$/;
var BY_ADDRESS = /^\/nic\/([A-Za-z0-9_-]+)\/([^\/?#]*)(\/.*)$/;
var BY_HEADERS = /^\/gateway\/([A-Za-z0-9_-]+)(?:[\/?].*)?$/;

function asked(r) {
  let target = r.variables.request_uri || '';
  let told = BY_ADDRESS.exec(target);
  if (told !== null) return { key: told[1], method: told[2], target: told[3] };
  told = BY_HEADERS.exec(target);
  if (told === null) return null;
  return { key: told[1], method: r.headersIn.Method || '', target: r.headersIn.Path || '' };
}

function withoutQuery(target) {
  let cut = target.indexOf('?');
  return cut < 0 ? target : target.slice(0, cut);
}

function judge(r, call) {
  call.probe = false;
  doors.adoptRequestId(r, call);
  let question = asked(r);
  if (question === null) return 'no_service';
  call.method = METHOD.test(question.method) ? question.method : '';
  if (!doors.locate(r, call, withoutQuery(question.target))) return 'no_service';
  if (r.variables.sp_upstream !== `sp_door_${question.key}`) return 'no_service';
  if (paths.segmentsOf(call.path) === null) return 'bad_path';
  return doors.tokenFault(r, call) || doors.settle(r, call);
}

// An ingress understands 2xx, 401 and 403; all else it takes for a fault of ours, and answers 500.
function statusOf(reason) {
  if (reason === 'granted') return 204;
  return mesh.texts[reason][0] === 401 ? 401 : 403;
}

function answer(r) {
  let call = doors.judged(r, judge);
  let status = statusOf(call.reason);
  r.headersOut['X-Sallyport-Reason'] = call.reason;
  r.headersOut['X-Request-Id'] = call.id;
  if (status === 401) r.headersOut['WWW-Authenticate'] = 'Bearer';
  if (status === 204) {
    r.headersOut['X-Sallyport-Subject'] = call.subject;
    r.headersOut['X-Sallyport-Actor'] = call.actor || '';
    r.headersOut['X-Sallyport-Grant'] = call.grants.join(',');
  }
  r.return(status);
}

export default { answer, verify: doors.verify };
