// A refusal that helps: what happened, in words, and the next step. JSON for programs, a small page for people.
import { wantsPage } from "./browsers.js";
import { escaped, link, page, pageHeaders } from "./pages.js";
import { policy } from "./policy.js";

const LONGEST_PATH = 200;
const LONGEST_BODY = 2000;
const ASKING_HELPS = new Set(["no_grant", "grant_expired"]);

/** RFC 6750, section 3: without credentials a challenge names no error. */
function challenge(reason, sentence) {
  const realm = 'Bearer realm="sallyport"';
  if (reason === "no_token") return realm;
  const error = reason === "duplicate_token" ? "invalid_request" : "invalid_token";
  return `${realm}, error="${error}", error_description="${sentence}"`;
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

function waysOf(found, session) {
  const { own } = policy.browser;
  const ways = [found.request_url ? link(found.request_url, "Ask for access") : link(policy.console, "Open Sallyport")];
  if (found.status === 401) ways.unshift(link(`${own}sign-in`, "Sign in"));
  if (session) ways.push(link(`${own}session`, "Your session here"));
  return ways;
}

/** Who reads a page has no token at hand, but can sign in. */
function wordsFor(found) {
  if (found.status !== 401) return found.next_step;
  const first = found.reason === "duplicate_token" ? "Delete the cookies of this site, sign in" : "Sign in";
  return `${first}, then go back and try again.`;
}

function rendered(found, asPage, session) {
  if (!asPage) return JSON.stringify(found);
  return page({
    title: `${found.status} ${found.title}`,
    heading: found.detail,
    words: wordsFor(found),
    ways: waysOf(found, session),
    small: `${found.status} ${found.reason} &middot; request <code>${escaped(found.request_id)}</code>`,
  });
}

function headersOf(facts, found, asPage) {
  const { status, reason } = found;
  const headers = asPage ? pageHeaders("'none'") : { "Content-Type": "application/problem+json", "Cache-Control": "no-store" };
  if (status === 401) headers["WWW-Authenticate"] = challenge(reason, found.detail);
  if (status === 429 && facts.verdict.wait) headers["Retry-After"] = String(Math.ceil(facts.verdict.wait));
  if (facts.probe) {
    headers["X-Sallyport-Edge"] = `deny;${reason};${facts.verdict.grants.join(",")}`;
    headers["X-Sallyport-Holds"] = `${policy.mark};${facts.verdict.mark}`;
  }
  return headers;
}

/** ``facts``: id, place, probe, verdict. A body that would not fit says less about the path, never nothing. */
export function denial(request, facts) {
  const asPage = wantsPage(request);
  const session = facts.verdict.session === true;
  const path = facts.place.path.length > LONGEST_PATH ? "" : facts.place.path;
  let found = problem(facts, request.method, path);
  if (rendered(found, asPage, session).length > LONGEST_BODY) found = problem(facts, "", "");
  const { status, reason } = found;
  return { status, headers: headersOf(facts, found, asPage), body: rendered(found, asPage, session), reason };
}
