// What one handler leaves for the next. Handlers of one call may run in different instances, so this travels in PMUSER_
// variables: 1024 characters for everything, which is why ids travel and the context token is made later.
// The same two variables go to the log.
import { crypto } from "crypto";
import { hex } from "./bytes.js";

export const VARIABLE_ID = "PMUSER_SP_RID";
export const NO_REQUEST_ID = "0".repeat(32);
const VARIABLE_CALL = "PMUSER_SP_V";
const ROOM = 900;

export function newRequestId() {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}

/** One grant is enough to be let in; a list that would not fit loses its tail, never its head. */
export function remember(request, { verdict, place, probe }) {
  const call = {
    p: "edge",
    v: verdict.reason === "granted" ? "allow" : "deny",
    r: verdict.reason,
    s: verdict.subject,
    ...(verdict.actor === "" ? {} : { a: verdict.actor }),
    i: verdict.issued,
    svc: place.service,
    rt: verdict.route,
    g: [...verdict.grants],
    ...(verdict.traffic.variant === "" ? {} : { vr: verdict.traffic.variant }),
    ...(verdict.traffic.rules.length === 0 ? {} : { t: verdict.traffic.rules }),
    pr: probe ? 1 : 0,
    ...(probe ? { h: verdict.mark } : {}),
  };
  let text = JSON.stringify(call);
  while (text.length > ROOM && call.g.length > 0) {
    call.g.pop();
    text = JSON.stringify(call);
  }
  request.setVariable(VARIABLE_CALL, text);
}

export function recall(request) {
  const text = request.getVariable(VARIABLE_CALL);
  return text ? JSON.parse(text) : null;
}
