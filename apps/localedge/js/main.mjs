// The engine: commands come in on stdin, answers go out on stdout, one JSON line each. It ends with its parent.
import { stdin, stdout } from 'node:process';

import { Decisions, LogFile, Shipper } from './decisions.mjs';
import { Door } from './door.mjs';
import { ItemStore } from './edgekv.mjs';
import { Guards } from './guards.mjs';
import { readLines, writeLine } from './lines.mjs';
import { Offline } from './offline.mjs';
import { Origin } from './origin.mjs';
import { Runtime } from './runtime.mjs';
import { Streams } from './streams.mjs';

const OFFLINE = process.argv.includes('--offline');
const GRACE_MS = 2_000;
const NETWORKS = ['STAGING', 'PRODUCTION'];

const stores = new Map(NETWORKS.map((network) => [network, new ItemStore(network, OFFLINE)]));
const runtimes = new Map(
  NETWORKS.map((network) => [network, new Runtime((request, limits, spec) => stores.get(network).answer(request, limits, spec.edgeWorkerId))]),
);
const guards = new Map(NETWORKS.map((network) => [network, new Guards()]));
const offline = new Offline(runtimes.get('PRODUCTION'));

const decoded = (files) => Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text, 'base64').toString('utf8')]));

const origin = new Origin();
const doors = [];
const sinks = [];
const streams = new Map(NETWORKS.map((network) => [network, new Streams()]));
let shipper = null;

/** ``listeners``: {network, node, host, port}; answers with the ports in the same order. */
async function serve({ listeners, log, ship }) {
  if (log) sinks.push(new LogFile(log));
  if (ship) sinks.push((shipper = new Shipper(ship)));
  const ports = [];
  for (const { network, node, host, port } of listeners) {
    const decisions = new Decisions(node, sinks, streams.get(network));
    const door = new Door({ runtime: runtimes.get(network), origin, guards: guards.get(network), decisions });
    doors.push(door);
    ports.push(await door.listen({ host, port }));
  }
  return ports;
}

async function close() {
  await Promise.all(doors.map((door) => door.close(GRACE_MS)));
  await Promise.all([...sinks, ...streams.values()].map((sink) => sink.drain(GRACE_MS)));
}

const commands = {
  origin: (settings) => origin.configure(settings),
  serve,
  close,
  token: ({ token }) => shipper?.setToken(token),
  activate: ({ network, spec }) => runtimes.get(network).activate({ ...spec, files: decoded(spec.files) }),
  streams: ({ network, list }) => streams.get(network).configure(list),
  deactivate: ({ network }) => runtimes.get(network).deactivate(),
  items: ({ network, clear, writes }) => {
    const store = stores.get(network);
    if (clear) store.clear();
    for (const write of writes) store.write(write);
  },
  guards: ({ networks }) => guards.forEach((guard, network) => guard.set(networks[network] ?? {})),
  tokens: ({ tokens }) => stores.forEach((store) => store.setTokens(tokens)),
  fault: ({ fault }) => stores.forEach((store) => store.setFault(fault)),
  run: ({ requests, now }) => offline.runAll(requests, now),
  status: () => ({
    active: Object.fromEntries([...runtimes].map(([network, runtime]) => [network, runtime.active])),
    telemetry: { waiting: shipper?.waiting ?? 0, lost: sinks.reduce((sum, sink) => sum + sink.lost, 0) },
  }),
};

async function obey({ id, command, ...given }) {
  try {
    writeLine(stdout, { id, result: (await commands[command](given)) ?? null });
  } catch (error) {
    writeLine(stdout, { id, error: { code: error.code ?? 'EW_RUNTIME', message: String(error.message ?? error) } });
  }
}

readLines(stdin, obey);
stdin.on('end', () => process.exit(0));
