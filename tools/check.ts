import { spawnSync } from 'node:child_process';
import { TSC } from './compiler.ts';

/*
 * `npm run check`: types in four passes, lint with types, format, imports and purity, size, list of
 * relays, table of settings, API reference. All of them run; the exit code is 1 when one fails.
 */
const CHECKS: readonly (readonly [string, string, readonly string[]])[] = [
  ['types, Node', 'node', [TSC, '-p', 'tsconfig.json']],
  ['types, pure', 'node', [TSC, '-p', 'tsconfig.pure.json']],
  ['types, browser', 'node', [TSC, '-p', 'tsconfig.browser.json']],
  ['types, client in Node', 'node', [TSC, '-p', 'tsconfig.client-node.json']],
  ['lint', 'oxlint', ['--type-aware']],
  ['format', 'oxfmt', ['--check', '.']],
  ['house', 'node', ['tools/check-house.ts']],
  ['size', 'node', ['tools/check-size.ts']],
  ['relay list', 'node', ['tools/check-relay-list.ts']],
  ['settings table', 'node', ['tools/settings-table.ts', '--check']],
  ['API reference', 'node', ['tools/api-reference/generate.ts', '--check']],
];

const failed: string[] = [];
for (const [name, command, parameters] of CHECKS) {
  const { status, stdout, stderr } = spawnSync(command, parameters, {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  const isOk = status === 0;
  process.stdout.write(`${isOk ? 'ok  ' : 'FAIL'} ${name}\n`);
  if (!isOk) {
    failed.push(name);
    process.stdout.write(`${stdout ?? ''}${stderr ?? ''}\n`);
  }
}
if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
