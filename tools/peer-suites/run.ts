import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sandboxPrefix } from '../testing/sandbox.ts';
import { CannotFetch, Checkout } from './checkout.ts';
import { type PeerSuite, SUITES } from './suites.ts';

/*
 * `npm run peer-suites -- [trystero tinybase rxdb automerge y-protocols] [--mirror NAME=PATH]…`: the
 * suites of the libraries that the adapters are for, on the adapters as they are published. Each is
 * fetched for the run, at the commit that it names, into a folder outside the tree, and removed
 * afterwards. A mirror is a git directory on this machine that has the commit. As root on Linux it all
 * runs in a network namespace of its own, once it is fetched.
 *
 * Exit code: 0 all have passed, 1 one has failed, 2 one could not be fetched, and was not run.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { mirror: { type: 'string', multiple: true, default: [] }, keep: { type: 'boolean' } },
});
const mirrors = new Map(values.mirror.map((pair) => splitAt(pair, pair.indexOf('='))));
const unknown = positionals.filter((name) => !SUITES.some((suite) => suite.name === name));
if (unknown.length > 0) {
  say(`no suite ${unknown.join(', ')}: ${SUITES.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const results: (readonly [name: string, result: string])[] = [];
for (const suite of SUITES) {
  if (positionals.length > 0 && !positionals.includes(suite.name)) continue;
  const { name, source } = suite;
  say(`\n== ${name}: ${nameOf(source)}`);
  const checkout = new Checkout();
  try {
    if ('repository' in source) checkout.fetch(source, mirrors.get(name));
    await suite.prepare(checkout);
    const sandbox = sandboxPrefix('own') ?? [];
    let isGood = true;
    for (const { title, command, environment = {}, times = 1 } of suite.commands(checkout))
      for (let i = 0; i < times; i++) {
        const status = checkout.run([...sandbox, ...command], environment);
        results.push([
          `${name}: ${title}`,
          status === 0 ? 'passed' : `FAILED (exit code ${status})`,
        ]);
        isGood &&= status === 0;
      }
    if (!isGood) process.exitCode = 1;
  } catch (error) {
    if (!(error instanceof CannotFetch)) throw error;
    results.push([name, `NOT RUN: it cannot be fetched: ${error.message}`]);
    process.exitCode ??= 2;
  } finally {
    if (values.keep === true) say(`kept: ${checkout.folder}`);
    else checkout.close();
  }
}
const { stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
say(`\nLumamesh ${stdout.trim()}`);
for (const [name, result] of results) say(`${name.padEnd(60)} ${result}`);

function splitAt(text: string, at: number): readonly [string, string] {
  return [text.slice(0, at), text.slice(at + 1)];
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function nameOf(source: PeerSuite['source']): string {
  if ('installed' in source) return versionOf(source.installed);
  if ('registry' in source) return `${source.registry} ${source.version}`;
  return `${source.repository} ${source.commit}`;
}

function versionOf(name: string): string {
  const manifest = join(import.meta.dirname, '../../node_modules', name, 'package.json');
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string };
  return `${name} ${version}`;
}
