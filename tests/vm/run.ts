import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { commitOf } from '../../tools/relay-program.ts';
import { whyNoRoot } from '../install/root.ts';
import { Machine } from './machine.ts';
import { STEPS } from './walk.ts';

/*
 * `npm run test:vm`: the package and install.sh under a real systemd, on a Debian that is booted for it; forty minutes where it has to be emulated. Root on
 * Debian, with debootstrap, qemu-system-x86, e2fsprogs and binutils. `-- --write` writes the result down in docs/vm-test.md, `-- --keep` keeps the folder,
 * `-- --skip 'watchdog|kill -9'` leaves out the steps of these names.
 */
const CHECKOUT = join(import.meta.dirname, '../..');
const CEILING_MS = 75 * 60_000;

interface Result {
  readonly name: string;
  readonly seconds: number;
  readonly detail: string;
  readonly fault: string | null;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function buildPackage(folder: string, version: string): string {
  const parameters = ['--out', folder, '--version', version, '--arch', 'amd64'];
  execFileSync(process.execPath, ['tools/build-deb.ts', ...parameters, '--compression', 'gzip'], {
    cwd: CHECKOUT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(folder, `lumamesh-relay_${version}_amd64.deb`);
}

/** The same with another version: what an upgrade replaces is the same program. */
function asVersion(file: string, version: string): string {
  const tree = join(dirname(file), 'tree-of-package');
  execFileSync('dpkg-deb', ['--raw-extract', file, tree]);
  const control = join(tree, 'DEBIAN/control');
  const text = readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: ${version}`);
  writeFileSync(control, text);
  const other = join(dirname(file), `second.deb`);
  execFileSync('dpkg-deb', ['--build', '--root-owner-group', '-Znone', tree, other], {
    stdio: 'ignore',
  });
  rmSync(tree, { recursive: true });
  return other;
}

function page(commit: string, results: readonly Result[], isEmulated: boolean): string {
  const rows = results.map(
    ({ name, seconds, detail, fault }) =>
      `| ${fault === null ? 'yes' : '**no**'} | ${name} | ${detail.replaceAll('|', '\\|')} | ${seconds} |`,
  );
  return [
    '# The relay under a real systemd',
    '',
    `What \`npm run test:vm -- --write\` found last: commit ${commit}, ${new Date().toISOString().slice(0, 10)}, in qemu ${isEmulated ? 'without KVM, so ten to thirty times slower than a machine' : 'with KVM'}. What each step asks stands in \`tests/vm/walk.ts\`.`,
    '',
    '| passed | step | seen | seconds |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

const { values } = parseArgs({
  options: {
    write: { type: 'boolean' },
    keep: { type: 'boolean' },
    skip: { type: 'string', default: '^$' },
  },
});
const steps = STEPS.filter(({ name }) => !new RegExp(values.skip).test(name));
const lacking = whyNoRoot(['debootstrap', 'qemu-system-x86_64', 'mke2fs', 'dpkg-deb', 'strip']);
if (lacking !== null) {
  say(`${lacking}; also qemu-system-x86, e2fsprogs, binutils`);
  process.exit(2);
}
const folder = await mkdtemp(join(tmpdir(), 'lumamesh-vm-'));
const results: Result[] = [];
let machine: Machine | null = null;
const ceiling = setTimeout(() => {
  say('✖ it takes too long');
  void machine?.end().then(() => process.exit(1));
}, CEILING_MS);
try {
  const first = buildPackage(folder, '1.0.0');
  const files = new Map([
    ['root/first.deb', first],
    ['root/second.deb', asVersion(first, '1.1.0')],
    ...[
      'install.sh',
      'uninstall.sh',
      'deploy/lumamesh-relay.service',
      'deploy/lumamesh-relay.sh',
    ].map((name): [string, string] => [`root/checkout/${name}`, join(CHECKOUT, name)]),
  ]);
  machine = await Machine.boot(folder, files);
  say(machine.isEmulated ? 'no KVM: the machine is emulated' : 'with KVM');
  for (const { name, run } of steps) {
    const startedAt = performance.now();
    let detail = '';
    let fault: string | null = null;
    try {
      detail = await run(machine);
    } catch (error) {
      fault = (error as Error).message;
    }
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    results.push({ name, seconds, detail, fault });
    say(
      `${fault === null ? '✔' : '✖'} ${name} (${seconds} s)${detail === '' ? '' : `: ${detail}`}`,
    );
    if (fault !== null) say(fault.replaceAll(/^/gm, '    '));
    // Without a machine, or a relay on it, nothing more can be said.
    if (fault !== null && results.length <= 2) break;
  }
  if (values.write === true)
    await writeFile(
      join(CHECKOUT, 'docs/vm-test.md'),
      page(commitOf(), results, machine.isEmulated),
    );
} finally {
  clearTimeout(ceiling);
  await machine?.end();
  if (values.keep === true) say(`kept: ${folder}`);
  else await rm(folder, { recursive: true, force: true });
}
const failed =
  results.filter(({ fault }) => fault !== null).length + (steps.length - results.length);
say(`\n${STEPS.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
