import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Application, type DeclarationReflection } from 'typedoc';
import { type EntryPage, renderIndex, renderPage } from './render.ts';

/*
 * Writes docs/api from the docstrings of the client's entry points: `node
 * tools/api-reference/generate.ts`. With `--check` nothing is written, and the exit code is 1 when
 * what is there differs. The same sources give the same bytes on every machine.
 */
const ROOT = join(import.meta.dirname, '../..');
const SOURCES = join(ROOT, 'packages/client/src');
const FOLDER = join(ROOT, 'docs/api');

/** `module`: what typedoc calls it. */
const ENTRIES: readonly (EntryPage & { readonly source: string; readonly module: string })[] = [
  {
    source: 'index.ts',
    module: 'index',
    name: 'lumamesh',
    file: 'lumamesh.md',
    about: 'The whole library, for pages.',
  },
  {
    source: 'core.ts',
    module: 'core',
    name: 'lumamesh/core',
    file: 'lumamesh-core.md',
    about:
      'Relays, rooms, peers and sealed signaling, and what a page picks of `lumamesh/features`: for pages where each kilobyte counts.',
  },
  {
    source: 'features/index.ts',
    module: 'features',
    name: 'lumamesh/features',
    file: 'lumamesh-features.md',
    about: 'What a page may pick for `connect({ features })` of `lumamesh/core`.',
  },
  {
    source: 'identity.ts',
    module: 'identity',
    name: 'lumamesh/identity',
    file: 'lumamesh-identity.md',
    about: 'Who a page is beyond its visit, and how it proves that to others.',
  },
  {
    source: 'inspector.ts',
    module: 'inspector',
    name: 'lumamesh/inspector',
    file: 'lumamesh-inspector.md',
    about: 'An element that shows what a net does.',
  },
  {
    source: 'relay-list.ts',
    module: 'relay-list',
    name: 'lumamesh/relay-list',
    file: 'lumamesh-relay-list.md',
    about: 'Signed lists of relays, to embed or to take from anybody.',
  },
  {
    source: 'react/index.ts',
    module: 'react',
    name: 'lumamesh/react',
    file: 'lumamesh-react.md',
    about: 'Hooks for React.',
  },
  {
    source: 'platform/node/index.ts',
    module: 'platform/node',
    name: 'lumamesh/node',
    file: 'lumamesh-node.md',
    about: 'The library for programs in Node.',
  },
];

async function generate(): Promise<ReadonlyMap<string, string>> {
  const entries = ENTRIES.filter(({ source }) => existsSync(join(SOURCES, source)));
  const app = await Application.bootstrap({
    entryPoints: entries.map(({ source }) => join(SOURCES, source)),
    basePath: SOURCES,
    tsconfig: join(import.meta.dirname, 'tsconfig.json'),
    readme: 'none',
    disableSources: true,
    disableGit: true,
    excludeInternal: true,
    excludePrivate: true,
    excludeProtected: true,
    excludeExternals: true,
    // Types are checked by `npm run check`, with another compiler.
    skipErrorChecking: true,
    sort: ['kind', 'alphabetical'],
    logLevel: 'Error',
  });
  const project = await app.convert();
  if (project === undefined || app.logger.hasErrors())
    throw new Error('typedoc could not read the sources');
  const modules = new Map<string, DeclarationReflection>(
    project.children?.map((child) => [child.name, child]),
  );
  const pages = new Map<string, string>([['README.md', renderIndex(entries)]]);
  for (const entry of entries) {
    const module = modules.get(entry.module);
    if (module === undefined) throw new Error(`${entry.source} exports nothing`);
    pages.set(entry.file, renderPage(entry, module, entries));
  }
  return pages;
}

function committed(): ReadonlyMap<string, string> {
  const names = existsSync(FOLDER) ? readdirSync(FOLDER) : [];
  return new Map(
    names.map((name) => [name, readFileSync(join(FOLDER, name), 'utf8').replaceAll('\r\n', '\n')]),
  );
}

/** Where two texts part, for whoever wonders what has changed. */
function firstDifference(before: string, after: string): string {
  const [old, fresh] = [before.split('\n'), after.split('\n')];
  const line = fresh.findIndex((text, i) => text !== old[i]);
  const at = line === -1 ? fresh.length : line;
  return `line ${at + 1}\n  is:        ${old[at] ?? '(nothing)'}\n  should be: ${fresh[at] ?? '(nothing)'}`;
}

function check(pages: ReadonlyMap<string, string>): readonly string[] {
  const present = committed();
  const faults: string[] = [];
  for (const [name, text] of pages) {
    const old = present.get(name);
    if (old === undefined) faults.push(`docs/api/${name} is missing`);
    else if (old !== text) faults.push(`docs/api/${name}, ${firstDifference(old, text)}`);
  }
  for (const name of present.keys())
    if (!pages.has(name)) faults.push(`docs/api/${name} belongs to no entry point`);
  return faults;
}

const pages = await generate();
if (process.argv.includes('--check')) {
  const faults = check(pages);
  const verdict =
    faults.length === 0
      ? 'api: docs/api says what the sources say'
      : `${faults.join('\n')}\napi: run  node tools/api-reference/generate.ts`;
  process.stdout.write(`${verdict}\n`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} else {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, text] of pages) writeFileSync(join(FOLDER, name), text);
  process.stdout.write(`api: ${[...pages.keys()].join(', ')}\n`);
}
