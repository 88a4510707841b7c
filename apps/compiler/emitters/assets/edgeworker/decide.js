// The decision itself, on the item of one service. Routes come most specific first; ids come sorted.
import { matches } from "./paths.js";

function findRoute(routes, method, segments) {
  return routes.findIndex(([, methods, template]) => methods.includes(method) && matches(template, segments));
}

/** A guardrail without kinds and hashes is about everybody. */
function concerns([, kinds, hashes], subject) {
  if (kinds.length === 0 && hashes.length === 0) return true;
  return kinds.includes(subject.kind) || hashes.includes(subject.hash);
}

const standsAcross = ([, , , across], route, method) =>
  across.some(([place, methods]) => place === route && methods.includes(method));

function standing([, , starts, ends], at) {
  if (at < starts) return "grant_not_started";
  return ends !== null && at >= ends ? "grant_expired" : "granted";
}

/** The best that the subject's grants amount to now: running, coming, ended, or none at all. */
function weigh(item, subject, route, at) {
  const held = item.subjects[subject.hash] || [];
  const matching = held.map((place) => item.grants[place]).filter(([, routes]) => routes.includes(route));
  for (const reason of ["granted", "grant_not_started", "grant_expired"]) {
    const grants = matching.filter((grant) => standing(grant, at) === reason).map(([id]) => id);
    if (grants.length > 0) return { reason, grants };
  }
  return { reason: "no_grant" };
}

/** Whoever was turned away, whatever is granted; ``issued`` is when the token was made out. */
function turnedAway(item, subject, at, issued) {
  const found = ((item.denied || {})[subject.hash] || []).find(
    ([, until, last]) => at < until && (last === null || issued <= last)
  );
  return found === undefined ? null : { reason: found[0], wait: found[1] - at };
}

export function decide(item, subject, method, segments, at, issued) {
  const denied = turnedAway(item, subject, at, issued);
  if (denied !== null) return denied;
  const place = findRoute(item.routes, method, segments);
  if (place < 0) return { reason: "no_route" };
  const route = item.routes[place][0];
  const barrier = item.guards.find((guard) => standsAcross(guard, place, method) && concerns(guard, subject));
  if (barrier !== undefined) return { reason: "guardrail", route };
  return { route, ...weigh(item, subject, place, at) };
}

/** Somebody acts for the subject: both must be let in, and the subject's refusal is told first. */
export function meet(subject, actor) {
  if (subject.reason !== "granted") return subject;
  if (actor.reason !== "granted") return actor;
  return { ...subject, grants: [...new Set([...subject.grants, ...actor.grants])].sort() };
}
