// A refusal that helps: what happened, in words, and the next step. JSON for programs, a small page for people.
import { policy } from "./policy.js";

const LONGEST_PATH = 200;
const LONGEST_BODY = 2000;
const ASKING_HELPS = new Set(["no_grant", "grant_expired"]);
const JSON_TYPES = new Set(["application/json", "application/problem+json"]);
const SAFE = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escaped = (text) => text.replace(/[&<>"']/g, (letter) => SAFE[letter]);

function weightOf(accepted, types) {
  const weights = accepted
    .toLowerCase()
    .split(",")
    .map((entry) => entry.split(";").map((part) => part.trim()))
    .filter(([type]) => types.has(type))
    .map(([, ...parameters]) => parameters.find((parameter) => parameter.startsWith("q=")))
    .map((quality) => (quality === undefined ? 1 : Number(quality.slice(2)) || 0));
  return Math.max(0, ...weights);
}

function wantsPage(request) {
  const accepted = (request.getHeader("Accept") || []).join(",");
  const page = weightOf(accepted, new Set(["text/html"]));
  return page > 0 && page >= weightOf(accepted, JSON_TYPES);
}

/** Asking is one click away when the caller is known and only a grant is missing. */
function requestUrl({ verdict, place, id }, method, path) {
  if (!ASKING_HELPS.has(verdict.reason)) return undefined;
  const asked = { service: place.service, method, path, rid: id };
  const known = Object.entries(asked).filter(([, value]) => value !== "");
  const query = known.map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return `${policy.console}/requests/new?${query.join("&")}`;
}

function problem(facts, method, path) {
  const { reason } = facts.verdict;
  const [status, sentence, nextStep] = policy.texts[reason];
  return {
    type: `${policy.console}/docs/reasons#${reason}`,
    title: reason.replace(/_/g, " "),
    status,
    detail: sentence,
    reason,
    request_id: facts.id,
    point: "edge",
    service: facts.place.service,
    method,
    path,
    next_step: nextStep,
    request_url: requestUrl(facts, method, path),
  };
}

function page(found) {
  const [link, label] = found.request_url ? [found.request_url, "Ask for access"] : [policy.console, "Open Sallyport"];
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${found.status} ${escaped(found.title)}</title>
<style>:root{color-scheme:light dark;background:Canvas;color:CanvasText}body{font:16px/1.5 system-ui,sans-serif;
max-width:36rem;margin:15vh auto;padding:0 1rem}small{opacity:.8}</style></head><body><main>
<h1>${escaped(found.detail)}</h1><p>${escaped(found.next_step)}</p><p><a href="${escaped(link)}">${label}</a></p>
<p><small>${found.status} ${found.reason} &middot; request <code>${found.request_id}</code></small></p>
</main></body></html>
`;
}

function rendered(found, asPage) {
  return asPage ? page(found) : JSON.stringify(found);
}

function headersOf(facts, status, asPage) {
  const headers = {
    "Content-Type": asPage ? "text/html; charset=utf-8" : "application/problem+json",
    "Cache-Control": "no-store",
    "X-Request-Id": facts.id,
  };
  if (status === 401) headers["WWW-Authenticate"] = "Bearer";
  if (status === 429 && facts.verdict.wait) headers["Retry-After"] = String(Math.ceil(facts.verdict.wait));
  if (asPage) headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'";
  if (facts.probe) {
    headers["X-Sallyport-Edge"] = `deny;${facts.verdict.reason};${facts.verdict.grants.join(",")}`;
    headers["X-Sallyport-Holds"] = `${policy.mark};${facts.verdict.mark}`;
  }
  return headers;
}

/** ``facts``: id, place, probe, verdict. A body that would not fit says less about the path, never nothing. */
export function denial(request, facts) {
  const asPage = wantsPage(request);
  const path = facts.place.path.length > LONGEST_PATH ? "" : facts.place.path;
  let found = problem(facts, request.method, path);
  if (rendered(found, asPage).length > LONGEST_BODY) found = problem(facts, "", "");
  const { status, reason } = found;
  return { status, headers: headersOf(facts, status, asPage), body: rendered(found, asPage), reason };
}
