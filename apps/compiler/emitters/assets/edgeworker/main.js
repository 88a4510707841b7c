// The edge door. A call is judged when it arrives, gets its context token on the way to the origin, and its request id
// on the way back. Whatever goes wrong, the door stays shut: every handler answers 503 rather than let an error decide.
import { logger } from "log";
import { removeOurSetCookies } from "./cookies.js";
import { decide, meet } from "./decide.js";
import { denial } from "./denial.js";
import { isProbe, removeOwned } from "./headers.js";
import { contextToken } from "./mint.js";
import { newRequestId, NO_REQUEST_ID, recall, remember, VARIABLE_ID } from "./memory.js";
import { policy } from "./policy.js";
import { locate, NOWHERE, ownAddress } from "./services.js";
import { identify } from "./sessions.js";
import { answerOwn, signInInstead } from "./signin.js";
import { readItem } from "./store.js";
import { subjectOf } from "./subjects.js";
import { obey, treat, UNTREATED } from "./traffic.js";

const now = () => Math.floor(Date.now() / 1000);

const NOBODY = { subject: "", actor: "", issued: 0, route: "", grants: [], mark: "", traffic: UNTREATED };

/** The verdict on a call; what it needs to know is fetched only when the cheaper checks have passed. */
async function judge(request, place) {
  const own = ownAddress(request.host, request.path);
  if (own !== null) return { ...NOBODY, ...(await answerOwn(request, own, now())) };
  if (place === NOWHERE) return { ...NOBODY, reason: "no_service" };
  if (place.segments === null) return { ...NOBODY, reason: "bad_path" };
  const token = await identify(request, now());
  if (token.reason !== null) return { ...NOBODY, ...token };
  const known = { ...NOBODY, subject: token.subject, actor: token.actor, issued: token.issued, session: token.session };
  const subject = await subjectOf(token.subject);
  if (subject === null) return { ...known, reason: "unknown_subject" };
  const item = await readItem(place.service, place.key);
  const at = now();
  const decideFor = (who) => decide(item, who, request.method, place.segments, at, token.issued);
  let found = decideFor(subject);
  if (token.actor !== "") {
    const actor = await subjectOf(token.actor);
    found = meet(found, actor === null ? { reason: "unknown_subject" } : decideFor(actor));
  }
  const traffic = found.reason === "granted" ? await treat(item, subject, token.subject, found.route, at) : UNTREATED;
  return { ...known, mark: item.mark || "", ...found, traffic };
}

function respond(request, id, { status, headers, body, reason }) {
  request.respondWith(status, { ...headers, "X-Request-Id": id }, body, reason);
}

/** Our own pages, the way to sign in, or a refusal. */
async function turnAway(request, facts) {
  const answer = facts.verdict.answer || (await signInInstead(request, facts)) || denial(request, facts);
  respond(request, facts.id, answer);
}

/** The answer to any error. It must not depend on anything that may have caused one. */
function shut(request, error) {
  logger.error(`sallyport: ${error.name}: ${error.message}`);
  const id = request.getVariable(VARIABLE_ID) || NO_REQUEST_ID;
  const verdict = { ...NOBODY, reason: "policy_unavailable" };
  respond(request, id, denial(request, { id, place: NOWHERE, probe: false, verdict }));
}

async function admit(request) {
  const id = newRequestId();
  request.setVariable(VARIABLE_ID, id);
  const probe = isProbe(request);
  const place = locate(request.host, request.path);
  let verdict;
  try {
    verdict = await judge(request, place);
  } catch (error) {
    logger.error(`sallyport: ${error.name}: ${error.message}`);
    verdict = { ...NOBODY, reason: "policy_unavailable" };
  }
  remember(request, { verdict, place, probe });
  if (verdict.reason !== "granted") await turnAway(request, { id, place, probe, verdict });
  removeOwned(request);
  if (verdict.reason === "granted") obey(request, verdict.traffic);
}

async function accompany(request) {
  const call = recall(request);
  if (call === null || call.v !== "allow") throw new Error("a call without a verdict reached the origin stage");
  // Once more, because this is the last stage before the origin and property rules may have run in between.
  removeOwned(request);
  const id = request.getVariable(VARIABLE_ID);
  request.setHeader("Txn-Token", await contextToken(call, id, now()));
  request.setHeader("X-Request-Id", id);
  if (call.pr === 1) request.setHeader("X-Sallyport-Probe", "1");
}

/** What our doors say about a decision is for those who asked for it; others get the request id only. */
function dismiss(request, response) {
  const call = recall(request);
  const probed = call !== null && call.pr === 1;
  if (!probed) removeVerdicts(response);
  else {
    response.setHeader("X-Sallyport-Edge", `${call.v};${call.r};${[...call.g, ...(call.t || [])].join(",")}`);
    response.setHeader("X-Sallyport-Holds", `${policy.mark};${call.h}`);
  }
  if (call !== null && call.v === "allow") removeOurSetCookies(response);
  response.setHeader("X-Request-Id", request.getVariable(VARIABLE_ID) || NO_REQUEST_ID);
}

function removeVerdicts(response) {
  for (const name of Object.keys(response.getHeaders())) {
    if (name.toLowerCase().startsWith("x-sallyport-")) response.removeHeader(name);
  }
}

export async function onClientRequest(request) {
  try {
    await admit(request);
  } catch (error) {
    shut(request, error);
  }
}

export async function onOriginRequest(request) {
  try {
    await accompany(request);
  } catch (error) {
    shut(request, error);
  }
}

export function onClientResponse(request, response) {
  try {
    dismiss(request, response);
  } catch (error) {
    shut(request, error);
  }
}
