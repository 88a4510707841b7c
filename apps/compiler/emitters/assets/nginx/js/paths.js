// The one meaning of a path, the same at every door. A path that could be read in two ways has no segments (null).
// Written for njs 0.7.9 and later: no destructuring, no for...of, and `var` for what other functions use.
var SIMPLE = /^(?:(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/?|\/)$/;
var VISIBLE = /^\/[\x21-\x7e]*$/;
var AMBIGUOUS = /[?#;\\]/;
var ESCAPES = /^(?:[^%]|%[0-9A-Fa-f][0-9A-Fa-f])*$/;
var FORBIDDEN = /[/\\%;\x00-\x1f\x7f-\x9f]/;

function decode(raw) {
  try {
    let text = decodeURIComponent(raw);
    return FORBIDDEN.test(text) || text === '.' || text === '..' ? null : text;
  } catch (e) {
    return null;
  }
}

function segmentsOf(path) {
  if (SIMPLE.test(path)) return path.slice(1).split('/');
  if (!VISIBLE.test(path) || AMBIGUOUS.test(path) || !ESCAPES.test(path)) return null;
  let parts = path.slice(1).split('/').map(decode);
  for (let i = 0; i < parts.length; i++) {
    if (parts[i] === null || (parts[i] === '' && i < parts.length - 1)) return null;
  }
  return parts;
}

/** The path as it was sent, without query; '' when the request target is not simply a path. */
function sentPath(r) {
  let target = r.variables.request_uri || '';
  let line = r.variables.request || '';
  let start = line.indexOf(' ') + 1;
  if (line.slice(start, start + target.length) !== target) return '';
  let cut = target.indexOf('?');
  return cut < 0 ? target : target.slice(0, cut);
}

/** ``template`` holds a literal per segment, or null where a parameter stands. */
function matches(template, segments) {
  for (let i = 0; i < template.length; i++) {
    if (template[i] === null ? segments[i] === '' : segments[i] !== template[i]) return false;
  }
  return true;
}

export default { matches, segmentsOf, sentPath };
