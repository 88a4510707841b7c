// A refusal that helps: what happened, in words, and the next step. JSON for programs, a small page for people.
var PRESENTABLE = /^[\x21-\x7e]{0,200}$/;
var JSON_TYPES = ['application/json', 'application/problem+json'];
var ASKING_HELPS = ['no_grant', 'grant_expired'];

function escaped(text) {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

function qualityOf(entry) {
  let given = entry.slice(1).filter((parameter) => parameter.startsWith('q='))[0];
  return given === undefined ? 1 : Number(given.slice(2)) || 0;
}

function weightOf(accepted, types) {
  return accepted
    .toLowerCase()
    .split(',')
    .map((entry) => entry.split(';').map((part) => part.trim()))
    .filter((entry) => types.includes(entry[0]))
    .reduce((most, entry) => Math.max(most, qualityOf(entry)), 0);
}

function wantsPage(accepted) {
  let page = weightOf(accepted, ['text/html']);
  return page > 0 && page >= weightOf(accepted, JSON_TYPES);
}

function requestUrl(call) {
  if (!ASKING_HELPS.includes(call.reason)) return undefined;
  let asked = [['service', call.service], ['method', call.method], ['path', call.path], ['rid', call.id]];
  let query = asked.filter((pair) => pair[1] !== '').map((pair) => `${pair[0]}=${encodeURIComponent(pair[1])}`);
  return `${mesh.console}/requests/new?${query.join('&')}`;
}

function problem(call, text) {
  return {
    type: `${mesh.console}/docs/reasons#${call.reason}`,
    title: call.reason.replace(/_/g, ' '),
    status: text[0],
    detail: text[1],
    reason: call.reason,
    request_id: call.id,
    point: 'mesh',
    service: call.service,
    method: call.method,
    path: PRESENTABLE.test(call.path) ? call.path : '',
    next_step: text[2],
    request_url: requestUrl(call),
    guardrail: call.guardrail,
  };
}

function page(found) {
  let link = found.request_url || mesh.console;
  let label = found.request_url ? 'Ask for access' : 'Open Sallyport';
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${found.status} ${escaped(found.title)}</title>
<style>:root{color-scheme:light dark;background:Canvas;color:CanvasText}body{font:16px/1.5 system-ui,sans-serif;
max-width:36rem;margin:15vh auto;padding:0 1rem}small{opacity:.8}</style></head><body><main>
<h1>${escaped(found.detail)}</h1><p>${escaped(found.next_step)}</p><p><a href="${escaped(link)}">${label}</a></p>
<p><small>${found.status} ${found.reason} &middot; request <code>${found.request_id}</code></small></p>
</main></body></html>
`;
}

/** Returns {status, asPage, body}. ``call``: reason, id, service, method, path, guardrail, accept. */
function denial(call) {
  let found = problem(call, mesh.texts[call.reason]);
  let asPage = wantsPage(call.accept);
  return { status: found.status, asPage: asPage, body: asPage ? page(found) : JSON.stringify(found) };
}

export default { denial };
