// Runs the handlers of one event and reports one line of JSON. The two phases are what the proxy needs to know: what to
// do with a request, and what to do with the origin's response.
import { contentOf } from 'create-response';
import { clientRequest, originRequest, providerRequest, response, settledRequest } from 'internal:objects';
import { call, parse, stringify } from 'internal:realm';

/** ``begin`` starts the handler's clocks in the host; a handler the bundle does not export costs nothing. */
async function handle(bundle, name, ...given) {
  if (typeof bundle[name] !== 'function') return undefined;
  call('begin', name);
  return bundle[name](...given);
}

const respond = (event) => ({ action: 'respond', ...event.answer });

async function provide(bundle, event) {
  const content = contentOf(await handle(bundle, 'responseProvider', providerRequest(event)));
  if (content === null) throw new Error('responseProvider did not return createResponse(...)');
  return { action: 'respond', provided: true, ...content };
}

async function request(bundle, event) {
  await handle(bundle, 'onClientRequest', clientRequest(event));
  if (event.answer !== null) return respond(event);
  if (typeof bundle.responseProvider === 'function') return provide(bundle, event);
  await handle(bundle, 'onOriginRequest', originRequest(event));
  if (event.answer !== null) return respond(event);
  return { action: 'forward', path: event.path, query: event.query, headers: event.headers, origin: event.origin };
}

async function answer(bundle, event) {
  for (const name of ['onOriginResponse', 'onClientResponse']) {
    if (name === 'onOriginResponse' && event.response.provided) continue;
    await handle(bundle, name, settledRequest(event), response(event));
    if (event.answer !== null) return respond(event);
  }
  return { action: 'relay', status: event.response.status, headers: event.response.headers };
}

const PHASES = { request, response: answer };

/** The words of the error and the bundle's own lines; where the runtime's files live is nobody's business. */
function textOf(error) {
  try {
    const lines = String(error?.stack ?? error).split('\n');
    return lines.filter((line) => !/^\s+at /.test(line) || line.includes('bundle:')).join('\n').slice(0, 1000);
  } catch {
    return 'an error that cannot be shown';
  }
}

/** Maps without a prototype: a header called "constructor" is a header like any other. */
function eventFrom(given) {
  const bare = (map) => Object.assign({ __proto__: null }, map);
  const answered = given.response && { ...given.response, headers: bare(given.response.headers) };
  return { ...given, answer: null, origin: '', headers: bare(given.headers), variables: bare(given.variables), response: answered };
}

function dispatch(bundle, phase, json, done) {
  const event = eventFrom(parse(json));
  PHASES[phase](bundle, event).then(
    (outcome) => done(stringify({ ...outcome, variables: event.variables })),
    (error) => done(stringify({ action: 'error', error: { code: 'EW_RUNTIME', message: textOf(error) }, variables: event.variables })),
  );
}

export { dispatch };
