import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';

/*
 * `npm test`: all suites, one after another; `npm test -- unit cli` runs these. `quick` is part of
 * `unit` and runs when it is named: what install.sh asks of a machine before it builds the relay
 * there. What a suite needs from the system is installed where that is possible (root on Debian)
 * and loudly named where it is not. On CI a skip is a failure. The last line counts tests over all
 * suites.
 */
interface Suite {
  readonly name: string;
  readonly patterns: readonly string[];
  /** Debian packages, by the program that shows they are there. */
  readonly needs: Readonly<Record<string, string>>;
  /**
   * Whether its tests need an address that browsers dial, so a network namespace of their own where
   * that can be had.
   */
  readonly inNamespace: boolean;
  /** Only when it is named. */
  readonly isExtra?: true;
}

const BROWSERS = {
  chromium: 'chromium',
  'firefox-esr': 'firefox-esr',
  ip: 'iproute2',
  nft: 'nftables',
};
/** For a root of its own, made by debootstrap. */
const ROOTS = { debootstrap: 'debootstrap', unshare: 'util-linux', git: 'git' };

const SUITES: readonly Suite[] = [
  { name: 'unit', patterns: ['{packages,tools}/**/*.test.ts'], needs: {}, inNamespace: false },
  {
    name: 'quick',
    patterns: [
      'packages/{base,protocol}/src/**/*.test.ts',
      'packages/transport/src/{stun,ice,io}/*.test.ts',
      'packages/transport/src/{session,endpoint}.test.ts',
      'packages/relay/src/{cli,io}/**/*.test.ts',
      'packages/relay/src/core/*.test.ts',
    ],
    needs: {},
    inNamespace: false,
    isExtra: true,
  },
  {
    name: 'cli',
    patterns: ['tests/cli/*.test.ts'],
    needs: { 'systemd-notify': 'systemd', perl: 'perl-base' },
    inNamespace: false,
  },
  { name: 'mesh', patterns: ['tests/mesh/*.test.ts'], needs: {}, inNamespace: false },
  {
    name: 'interop',
    patterns: ['tests/interop/*.test.ts'],
    needs: { openssl: 'openssl' },
    inNamespace: false,
  },
  { name: 'browser', patterns: ['tests/browser/*.test.ts'], needs: BROWSERS, inNamespace: true },
  // They make namespaces of their own.
  { name: 'nat', patterns: ['tests/nat/*.test.ts'], needs: BROWSERS, inNamespace: false },
  {
    name: 'binary',
    patterns: ['tests/binary/*.test.ts'],
    needs: { ...ROOTS, ...BROWSERS },
    inNamespace: true,
  },
  {
    name: 'install',
    patterns: ['tests/install/*.test.ts'],
    needs: { ...ROOTS, 'systemd-analyze': 'systemd' },
    inNamespace: false,
  },
];

const ROOT = join(import.meta.dirname, '..');
const isRoot = process.getuid?.() === 0;
const isCi = (process.env['CI'] ?? '') !== '';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function has(program: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(join(folder, program)));
}

/**
 * Installs what is missing, where this is Debian and we may; what is still missing is said by the
 * tests that skip for it.
 */
function install(suites: readonly Suite[]): void {
  const missing = suites
    .flatMap(({ needs }) => Object.entries(needs))
    .filter(([program]) => !has(program));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  if (!isRoot || !has('apt-get')) {
    say(
      `! not installed: ${packages.join(', ')}. As root on Debian: apt-get update && apt-get install -y ${packages.join(' ')}`,
    );
    return;
  }
  say(`installing ${packages.join(', ')}`);
  for (const command of ['apt-get update', `apt-get install -y ${packages.join(' ')}`]) {
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', `DEBIAN_FRONTEND=noninteractive ${command}`],
      { encoding: 'utf8' },
    );
    if (status !== 0) say(`! ${command} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  }
}

/**
 * Makes a network namespace with an address of its own; answers the command that runs something in
 * it and the one that takes it down again.
 */
function makeNamespace(): { readonly prefix: readonly string[]; remove(): void } | null {
  if (!isRoot || !has('ip')) return null;
  const name = `lumamesh-${process.pid}`;
  const run = (parameters: string): boolean => spawnSync('ip', parameters.split(' ')).status === 0;
  const isMade =
    run(`netns add ${name}`) &&
    run(`-n ${name} link set lo up`) &&
    run(`-n ${name} link add outside type veth peer name inside`) &&
    run(`-n ${name} addr add 10.77.0.1/24 dev outside`) &&
    run(`-n ${name} link set outside up`) &&
    run(`-n ${name} link set inside up`) &&
    run(`-n ${name} route add default dev outside`);
  const remove = (): void => void run(`netns del ${name}`);
  if (isMade) return { prefix: ['ip', 'netns', 'exec', name], remove };
  remove();
  return null;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

async function runSuite(suite: Suite): Promise<Counts> {
  const files = globSync([...suite.patterns], {
    cwd: ROOT,
    exclude: (path) => path.includes('node_modules'),
  }).toSorted();
  const namespace = suite.inNamespace ? makeNamespace() : null;
  say(
    `\n── ${suite.name}: ${files.length} files${namespace === null ? '' : ', in a network namespace of its own'}`,
  );
  // Browsers share two cores with all that they talk to: one file after the other.
  const concurrency = suite.name === 'unit' ? [] : ['--test-concurrency=1'];
  const command = [
    ...(namespace?.prefix ?? []),
    process.execPath,
    '--test',
    '--test-reporter=spec',
    ...concurrency,
    ...files,
  ];
  const child = spawn(command[0] ?? '', command.slice(1), {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
    process.stdout.write(data);
  });
  const status = await new Promise<number>((resolve) =>
    child.on('exit', (code) => resolve(code ?? 1)),
  );
  namespace?.remove();
  const count = (word: string): number =>
    Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
  const counts = {
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped') + count('todo'),
  };
  // A runner that dies, or finds nothing, has not passed.
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  // A suite that is skipped as a whole counts as one, by the line that says why.
  if (counts.passed + counts.failed + counts.skipped === 0)
    counts[/^\s*﹣ .*#/m.test(output) ? 'skipped' : 'failed'] = 1;
  return counts;
}

const wanted = process.argv.slice(2);
const suites = SUITES.filter(({ name, isExtra }) =>
  wanted.length === 0 ? isExtra !== true : wanted.includes(name),
);
if (suites.length === 0) {
  say(`no suite of that name; there are ${SUITES.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
install(suites);
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const suite of suites) {
  const counts = await runSuite(suite);
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
if (total.skipped > 0)
  say(
    `\n! ${total.skipped} tests were skipped; each says above what it lacks${isCi ? ', and on CI that is a failure' : ''}`,
  );
say(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed > 0 || (isCi && total.skipped > 0) ? 1 : 0;
