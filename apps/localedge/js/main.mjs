// The engine: commands come in on stdin, answers go out on stdout, one JSON line each. It ends with its parent.
import { stdin, stdout } from 'node:process';

import { ItemStore } from './edgekv.mjs';
import { readLines, writeLine } from './lines.mjs';
import { Offline } from './offline.mjs';
import { Runtime } from './runtime.mjs';

const OFFLINE = process.argv.includes('--offline');
const NETWORKS = ['STAGING', 'PRODUCTION'];

const stores = new Map(NETWORKS.map((network) => [network, new ItemStore(network, OFFLINE)]));
const runtimes = new Map(
  NETWORKS.map((network) => [network, new Runtime((request, limits, spec) => stores.get(network).answer(request, limits, spec.edgeWorkerId))]),
);
const offline = new Offline(runtimes.get('PRODUCTION'));

const decoded = (files) => Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text, 'base64').toString('utf8')]));

const commands = {
  activate: ({ network, spec }) => runtimes.get(network).activate({ ...spec, files: decoded(spec.files) }),
  deactivate: ({ network }) => runtimes.get(network).deactivate(),
  items: ({ network, clear, writes }) => {
    const store = stores.get(network);
    if (clear) store.clear();
    for (const write of writes) store.write(write);
  },
  tokens: ({ tokens }) => stores.forEach((store) => store.setTokens(tokens)),
  fault: ({ fault }) => stores.forEach((store) => store.setFault(fault)),
  run: ({ requests, now }) => offline.runAll(requests, now),
  status: () => ({ active: Object.fromEntries([...runtimes].map(([network, runtime]) => [network, runtime.active])) }),
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
