import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';

/*
 * The rules of the house that no linter knows: which package may import which, which folders may
 * touch clock, timers and Node, how long a file may be, and what must not stand in the tree. Prints
 * each fault with its place; exits with 1 when there is one.
 */
const ROOT = join(import.meta.dirname, '..');
const MAX_LINES = 350;

/** Packages by what they may import of ours (DESIGN: imports only point inwards). */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ['@lumamesh/base'],
  transport: ['@lumamesh/base'],
  relay: ['@lumamesh/base', '@lumamesh/protocol', '@lumamesh/transport', '@lumamesh/transport/io'],
  client: ['@lumamesh/base', '@lumamesh/protocol'],
};
/** Outside these folders of a package there is no clock, no timer, no Node. */
const OUTER_FOLDERS = ['io', 'cli', 'platform', 'react'];
/** Inside the transport these never see each other; only session.ts and endpoint.ts see all. */
const SEPARATE_LAYERS = ['dtls', 'sctp', 'datachannel'];
/** The client's kernel, which knows no feature, only their contract (feature.ts). */
const KERNEL_FOLDERS = ['net', 'room', 'peer'];
const IMPURE =
  /\b(Date\.now|performance\.now|setTimeout|setInterval|setImmediate|Math\.random)\b|from 'node:/;
/** Browser globals: outside the platform they are arguments, too. */
const BROWSER_GLOBAL =
  /(?<![\w.'])(globalThis|localStorage|sessionStorage)\b(?!')|(?<![\w.])(document|navigator)\./;
const FORBIDDEN_TEXT = /\/(home|Users)\/\w+\/|registry\.(?!npmjs\.org)[a-z]+\.[a-z]+/;
/** A longer source is explained in ARCHITECTURE.md, by its name. */
const ARCHITECTURE = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');

const faults: string[] = [];
/** Relative imports of sources, by file. */
const imports = new Map<string, readonly string[]>();

function fault(file: string, line: number, text: string): void {
  faults.push(`${relative(ROOT, file)}:${line}: ${text}`);
}

function* filesIn(folder: string): Iterable<string> {
  for (const name of readdirSync(folder)) {
    if (name === 'node_modules' || name === '.git' || name === 'dist' || name === '.lumamesh')
      continue;
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* filesIn(path);
    else yield path;
  }
}

function isTest(file: string): boolean {
  return /\.test(-support)?\.ts$/.test(file);
}

/** The folder of a file inside its package's `src`, such as `io` or `dtls`; empty at the top. */
function layerOf(file: string): string {
  return /packages\/[^/]+\/src\/([^/]+)\//.exec(file)?.[1] ?? '';
}

function checkImport(file: string, line: number, specifier: string): void {
  const name = /packages\/([^/]+)\//.exec(file)?.[1] ?? '';
  if (name === 'adapters') return checkAdapterImport(file, line, specifier);
  const allowed = ALLOWED[name];
  if (allowed === undefined || isTest(file)) return;
  const layer = layerOf(file);
  if (specifier.startsWith('.')) {
    const path = resolve(dirname(file), specifier);
    const target = layerOf(path);
    imports.set(file, [...(imports.get(file) ?? []), path]);
    if (name === 'client' && KERNEL_FOLDERS.includes(layer) && target === 'features')
      fault(file, line, `the kernel must not import ${target}/`);
    if (
      name === 'client' &&
      !OUTER_FOLDERS.includes(layer) &&
      layer !== '' &&
      /\/platform\/(browser|node)\//.test(path)
    )
      fault(file, line, 'a platform is an argument');
    if (layer === 'core' && OUTER_FOLDERS.includes(target))
      fault(file, line, `core must not import ${target}/`);
    if (
      name === 'transport' &&
      SEPARATE_LAYERS.includes(layer) &&
      SEPARATE_LAYERS.includes(target) &&
      layer !== target &&
      !(layer === 'datachannel' && target === 'sctp')
    ) {
      fault(file, line, `${layer}/ must not import ${target}/`);
    }
    if (name === 'transport' && !OUTER_FOLDERS.includes(layer) && target === 'io')
      fault(file, line, 'only io/ imports io/');
  } else if (specifier.startsWith('@lumamesh/') || specifier === 'lumamesh') {
    if (
      !allowed.includes(specifier) &&
      !(file.includes('/platform/node/') && specifier.startsWith('@lumamesh/transport'))
    )
      fault(file, line, `${name} must not import ${specifier}`);
    if (specifier.endsWith('/io') && !OUTER_FOLDERS.includes(layer))
      fault(file, line, `only outer folders import ${specifier}`);
  } else if (!specifier.startsWith('node:') && !OUTER_FOLDERS.includes(layer))
    fault(file, line, `${specifier}: libraries are for the outer folders`);
}

/** What is published with nothing but peers imports nothing else. */
function checkAdapterImport(file: string, line: number, specifier: string): void {
  if (isTest(file)) return;
  const path = resolve(dirname(file), specifier);
  if (specifier.startsWith('.'))
    return void imports.set(file, [...(imports.get(file) ?? []), path]);
  const [folder = ''] = /^.*packages\/adapters\/[^/]+/.exec(file) ?? [];
  const { peerDependencies = {} } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  ) as { peerDependencies?: Record<string, string> };
  const isPeer = Object.keys(peerDependencies).some(
    (peer) => specifier === peer || specifier.startsWith(`${peer}/`),
  );
  // What is published has the few functions of `base` that it uses inside.
  if (!isPeer && specifier !== '@lumamesh/base')
    fault(file, line, `${specifier} is no peer dependency of this adapter`);
}

function checkSource(file: string): void {
  const lines = readFileSync(file, 'utf8').split('\n');
  const isSource = /\/(packages|apps|tools)\//.test(file) && !isTest(file);
  if (isSource && lines.length > MAX_LINES + 1 && !ARCHITECTURE.includes(basename(file)))
    fault(
      file,
      MAX_LINES,
      `longer than ${MAX_LINES} lines: split it, or say why in ARCHITECTURE.md`,
    );
  const isPure =
    /packages\/(base|protocol|transport|relay|client)\/src\//.test(file) &&
    !isTest(file) &&
    !OUTER_FOLDERS.includes(layerOf(file));
  for (const [i, text] of lines.entries()) {
    const specifier = /(?:from|import\() ?'([^']+)'/.exec(text)?.[1];
    if (specifier !== undefined) checkImport(file, i + 1, specifier);
    const code = text.replace(/^\s*(\*|\/\/|\/\*).*/, '');
    if (isPure && IMPURE.test(code))
      fault(file, i + 1, 'a clock, timer, Math.random or Node in pure code: make it an argument');
    if (isPure && /packages\/client\//.test(file) && BROWSER_GLOBAL.test(code))
      fault(file, i + 1, 'a global of the browser in neutral code: make it an argument');
    if (/\b(it|test|describe)\.(skip|only|todo)\(/.test(code))
      fault(file, i + 1, 'a test that is skipped, todo or only');
  }
}

/** Files that import each other, types included: the first circle found from each file. */
function checkCircles(): void {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      const circle = [...path.slice(path.indexOf(file)), file].map((one) => basename(one));
      return fault(file, 1, `imports form a circle: ${circle.join(' → ')}`);
    }
    if (done.has(file)) return;
    for (const target of imports.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
}

for (const file of filesIn(ROOT)) {
  if (/\.(ts|md|json|sh|yml|html|css)$/.test(file) || /\.ci\//.test(file)) {
    for (const [i, text] of readFileSync(file, 'utf8').split('\n').entries()) {
      if (FORBIDDEN_TEXT.test(text) && !file.endsWith('check-house.ts'))
        fault(file, i + 1, 'a path of one machine, or a host that is not the public one');
    }
  }
  if (file.endsWith('.ts') && !file.endsWith('.d.ts')) checkSource(file);
}

checkCircles();
process.stdout.write(
  faults.length === 0
    ? 'house: imports, purity, sizes and texts are in order\n'
    : `${faults.join('\n')}\n${faults.length} faults\n`,
);
process.exitCode = faults.length === 0 ? 0 : 1;
