import { call } from 'internal:realm';

const words = (value) => {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null) {
    try {
      return JSON.stringify(value);
    } catch {
      return '[object]';
    }
  }
  return String(value);
};

/** printf-like, as documented: %s %d %i %f %o %O %j and %%; arguments left over are appended. */
function format(first, ...rest) {
  const text = words(first).replace(/%[sdifoOj%]/g, (directive) => {
    if (directive === '%%') return '%';
    return rest.length === 0 ? directive : words(rest.shift());
  });
  return [text, ...rest.map(words)].join(' ');
}

const at = (level) => (...parts) => {
  call('log', level, format(...parts));
};

export const logger = Object.freeze({
  log: at('info'),
  trace: at('trace'),
  debug: at('debug'),
  info: at('info'),
  warn: at('warn'),
  error: at('error'),
});
