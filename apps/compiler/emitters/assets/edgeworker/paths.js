// The one meaning of a path, the same at every door: see the documentation page "Paths". A path that could be read in two
// ways has no segments (null) and is refused.
const SIMPLE = /^(?:(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\/?|\/)$/;
const VISIBLE = /^\/[\x21-\x7e]*$/;
const AMBIGUOUS = /[?#;\\]/;
const ESCAPES = /^(?:[^%]|%[0-9A-Fa-f]{2})*$/;
// eslint-disable-next-line no-control-regex
const FORBIDDEN = /[/\\%;\x00-\x1f\x7f-\x9f]/;

function decode(raw) {
  try {
    const text = decodeURIComponent(raw);
    return FORBIDDEN.test(text) || text === "." || text === ".." ? null : text;
  } catch {
    return null;
  }
}

export function segmentsOf(path) {
  if (SIMPLE.test(path)) return path.slice(1).split("/");
  if (!VISIBLE.test(path) || AMBIGUOUS.test(path) || !ESCAPES.test(path)) return null;
  const parts = path.slice(1).split("/").map(decode);
  const last = parts.length - 1;
  return parts.every((part, place) => part !== null && (part !== "" || place === last)) ? parts : null;
}

/** A template is plain text by construction: literals, or a whole ``{parameter}`` that stands for anything but nothing. */
export function matches(template, segments) {
  const wanted = template.slice(1).split("/");
  if (wanted.length !== segments.length) return false;
  return wanted.every((part, place) => (part.startsWith("{") ? segments[place] !== "" : segments[place] === part));
}
