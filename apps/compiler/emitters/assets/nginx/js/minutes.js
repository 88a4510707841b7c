// Calls a minute, counted for all workers of this node in fixed minutes. The node provides the memory (node_http.conf) where
// its NGINX can; where it cannot, nothing is counted, and the console's token endpoint is the only brake.
var SECONDS = 60;

function countOf(subject, minute) {
  return ngx.shared.sp_minutes.incr(`${minute} ${subject}`, 1, 0);
}

/** Counts a call that was let in; 'granted', or 'rate_limited' with the seconds to wait in ``call.wait``. */
function count(call, limits) {
  if (limits.length === 0 || ngx.shared === undefined || ngx.shared.sp_minutes === undefined) return 'granted';
  let minute = Math.floor(call.at / SECONDS);
  let full = limits.filter((limit) => countOf(limit[0], minute) > limit[1]);
  if (full.length === 0) return 'granted';
  call.wait = (minute + 1) * SECONDS - call.at;
  return 'rate_limited';
}

export default { count };
