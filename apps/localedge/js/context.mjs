// A bundle in a context of its own: ES modules linked against our shims, no code generation, no host objects.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import vm from 'node:vm';

const PUBLIC = ['cookies', 'create-response', 'crypto', 'encoding', 'http-request', 'log', 'url-search-params'];
// At Akamai, but not here: better refused at activation than half there.
const ABSENT = ['html-rewriter', 'streams', 'text-encode-transform'];
const INTERNAL = ['events', 'headers', 'objects', 'realm'];

const shimSource = (name) => readFileSync(new URL(`./shims/${name}.js`, import.meta.url), 'utf8');
const SOURCES = new Map([...PUBLIC.map((name) => [name, shimSource(name)]), ...INTERNAL.map((name) => [`internal:${name}`, shimSource(name)])]);

class ModuleGraph {
  #context;
  #files;
  #modules = new Map();

  constructor(context, files) {
    this.#context = context;
    this.#files = files;
  }

  /** Shims may import shims; bundle files may import public shims and, relatively, other bundle files. */
  #resolve(specifier, referrer) {
    const fromBundle = referrer.startsWith('bundle:');
    if (PUBLIC.includes(specifier) || (!fromBundle && SOURCES.has(specifier))) return specifier;
    if (fromBundle && /^\.\.?\//.test(specifier)) {
      const name = join(dirname(referrer.slice('bundle:'.length)), specifier);
      if (this.#files[name] !== undefined) return `bundle:${name}`;
    }
    throw new Error(ABSENT.includes(specifier) ? `the local edge has no '${specifier}'` : `cannot import '${specifier}'`);
  }

  #module(identifier) {
    if (!this.#modules.has(identifier)) {
      const source = identifier.startsWith('bundle:') ? this.#files[identifier.slice('bundle:'.length)] : SOURCES.get(identifier);
      this.#modules.set(identifier, new vm.SourceTextModule(source, { context: this.#context, identifier }));
    }
    return this.#modules.get(identifier);
  }

  async evaluate(identifier) {
    const module = this.#module(identifier);
    if (module.status === 'unlinked') await module.link((specifier, referrer) => this.#module(this.#resolve(specifier, referrer.identifier)));
    await module.evaluate();
    return module.namespace;
  }
}

/** A context holding the shims only; ``operations(intrinsics)`` gives the host functions they call. */
export async function openContext(operations, files = {}) {
  // DONT_CONTEXTIFY: global look-ups through an intercepted sandbox object are twenty times slower.
  const context = vm.createContext(vm.constants.DONT_CONTEXTIFY, { codeGeneration: { strings: false, wasm: false } });
  const graph = new ModuleGraph(context, files);
  const realm = await graph.evaluate('internal:realm');
  realm.install(operations({ Uint8Array: context.Uint8Array }));
  const { dispatch } = await graph.evaluate('internal:events');
  return {
    /** Evaluates the bundle's main.js; ``run(phase, json, done)`` then runs one event. */
    async open() {
      const bundle = await graph.evaluate('bundle:main.js');
      const handlers = Object.keys(bundle).filter((name) => typeof bundle[name] === 'function');
      return { handlers, run: (phase, json, done) => dispatch(bundle, phase, json, done) };
    },
  };
}
