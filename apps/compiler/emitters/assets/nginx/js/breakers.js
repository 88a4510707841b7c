// A service that fails too often is left alone for a while. Failures are counted for all workers of this node, for each rule
// and version apart, in memory that the node provides (node_http.conf) where its NGINX can; where it cannot, none is.
//
// Of each breaker the times of its last failures are kept, as many as it takes to trip it, in places used in turn; no
// place is ever read to be written, so that workers cannot lose each other's.
function memory() {
  return ngx.shared === undefined ? undefined : ngx.shared.sp_failures;
}

/** Seconds until calls are let through again; 0 when they are. `breakers`: [[name, errors, seconds], ...]. */
function rest(breakers, at) {
  let kept = breakers.length === 0 ? undefined : memory();
  if (kept === undefined) return 0;
  return breakers.reduce((longest, one) => Math.max(longest, (kept.get(`until ${one[0]}`) || 0) - at), 0);
}

/** A call was answered by a failure. What was under way when a breaker tripped is not held against the service. */
function failed(breakers, at) {
  let kept = memory();
  if (kept !== undefined) breakers.forEach((one) => count(kept, one[0], one[1], one[2], at));
}

function count(kept, name, errors, seconds, at) {
  if ((kept.get(`until ${name}`) || 0) > at) return;
  let number = kept.incr(`failures ${name}`, 1, 0);
  kept.set(`failed ${number % errors} ${name}`, at);
  let first = kept.get(`failed ${(number + 1) % errors} ${name}`);
  if (first !== undefined && at - first < seconds) kept.set(`until ${name}`, at + seconds);
}

export default { failed, rest };
