// What becomes of a call that was let in, on the compiled map: which version answers, with which headers, and what it
// is counted for. Never whether it is let in.
import crypto from 'crypto';
import policy from './policy.js';

/** Where a caller stands between 0 and 99, for good. */
function shareOf(call, variant) {
  let told = `${call.service}\n${variant}\n${call.subject}`;
  return parseInt(crypto.createHash('sha256').update(told).digest('hex').slice(0, 8), 16) % 100;
}

function applies(rule, call) {
  if (call.at < rule[2] || (rule[3] !== null && call.at >= rule[3])) return false;
  return rule[1] >= 100 || shareOf(call, rule[7]) < rule[1];
}

/** The rules that apply, the most personal first. */
function rulesFor(r, call) {
  let own = policy.entry(r, ['traffic', call.service, call.route, call.subject]);
  return own.concat(policy.entry(r, ['traffic', call.service, call.route])).filter((rule) => applies(rule, call));
}

function change(r, headers) {
  Object.keys(headers).forEach((name) => {
    let key = name.toLowerCase().replace(/-/g, '_');
    r.variables[`sp_does_${key}`] = headers[name] === null ? 'remove' : 'set';
    r.variables[`sp_value_${key}`] = headers[name] === null ? '' : headers[name];
  });
}

/** What the rules make of a call: their names, the version ('' for the usual one), headers (null: taken away),
 *  [[what it is counted for, calls a minute], ...] and [[breaker, errors, seconds], ...]; null where none applies. */
function treatment(r, call) {
  let there = policy.entry(r, ['treated', call.service]);
  if (there.length === 0 || !there[1].includes(call.route)) return null;
  let found = rulesFor(r, call);
  if (found.length === 0) return null;
  let chosen = found.filter((rule) => rule[4] !== '');
  return {
    rules: found.map((rule) => rule[0]),
    variant: chosen.length > 0 ? chosen[0][4] : '',
    headers: Object.assign.apply(null, [{}].concat(found.slice().reverse().map((rule) => rule[5]))),
    limits: found.filter((rule) => rule[6] !== null).map((rule) => [`${rule[0]} ${call.subject}`, rule[6]]),
    breakers: found.filter((rule) => rule.length > 8).map((rule) => [rule[0], rule[8][0], rule[8][1]]),
  };
}

/** Sets where the call goes, what it carries and its breakers, each version apart; returns [[what it is counted for,
 *  calls a minute], ...]. `call.variant` is what the edge chose: followed where no rule of ours says otherwise, and only
 *  to a version there is. */
function treat(r, call) {
  let there = policy.entry(r, ['treated', call.service]);
  if (there.length === 0) return [];
  let found = treatment(r, call);
  let variant = (found !== null && found.variant) || call.variant;
  call.variant = there[0].includes(variant) ? variant : '';
  r.variables.sp_variant = call.variant === '' ? '' : `.${call.variant}`;
  if (found === null) return [];
  change(r, found.headers);
  call.rules = found.rules;
  call.breakers = found.breakers.map((one) => [`${one[0]} ${call.variant}`, one[1], one[2]]);
  return found.limits;
}

export default { treat, treatment };
