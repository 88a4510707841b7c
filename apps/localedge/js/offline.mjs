// Runs requests without a network: what the acceptance run and the tests use.

const CONCURRENT = 16;

const lowered = (headers) => Object.fromEntries(Object.entries(headers).map(([name, values]) => [name.toLowerCase(), [values].flat()]));

const eventOf = ({ method = 'GET', host = 'localhost', path = '/', headers = {}, ip = '127.0.0.1', body = '' }) => {
  const cut = path.indexOf('?');
  return {
    method,
    host,
    scheme: 'https',
    path: cut < 0 ? path : path.slice(0, cut),
    query: cut < 0 ? '' : path.slice(cut + 1),
    ip,
    body,
    headers: { host: [host], ...lowered(headers) },
  };
};

export class Offline {
  #runtime;

  constructor(runtime) {
    this.#runtime = runtime;
  }

  /** With ``response`` {status, headers} the response handlers run too, as if the origin had answered that. */
  async #run({ response, ...request }, now) {
    const event = eventOf(request);
    const outcome = await this.#runtime.run('request', JSON.stringify(event), now);
    if (outcome.action !== 'forward' || response === undefined) return outcome;
    const answered = { ...event, variables: outcome.variables, response: { headers: {}, ...response } };
    const relayed = await this.#runtime.run('response', JSON.stringify(answered), now);
    return { ...outcome, variables: relayed.variables, relayed };
  }

  async runAll(requests, now) {
    const results = new Array(requests.length);
    let next = 0;
    const lane = async () => {
      while (next < requests.length) {
        const index = next;
        next += 1;
        results[index] = await this.#run(requests[index], now);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, lane));
    return results;
  }
}
