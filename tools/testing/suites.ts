/** A set of test files that run with the same needs. */
export interface Suite {
  readonly name: string;
  readonly patterns: readonly string[];
  /** Debian packages, by the program, or the path of a file, that shows they are there. */
  readonly needs: Readonly<Record<string, string>>;
  /**
   * `own`: a network namespace with loopback and one address that browsers dial, where that can be
   * had. `machine`: the machine's network, because the suite downloads something.
   */
  readonly network: 'own' | 'machine';
  /**
   * `fast`: part of `npm test`. `slow`: of `npm run test:slow`. `part`: of another suite, and run
   * when it is named.
   */
  readonly when: 'fast' | 'slow' | 'part';
  /**
   * `apart`: each file in a process of its own, one after another. `together`: all in one process,
   * for files that share what is dear to start.
   */
  readonly files: 'apart' | 'together';
  /** On an idle machine, with room: a suite that takes longer hangs, and is ended. */
  readonly ceilingMinutes: number;
}

const BROWSERS = {
  chromium: 'chromium',
  'firefox-esr': 'firefox-esr',
  ip: 'iproute2',
  nft: 'nftables',
};
/** Other stacks that are clients of a relay, as tests/interop/stacks.ts looks for them. */
const STACKS = {
  openssl: 'openssl',
  go: 'golang-go',
  '/usr/share/gocode/src/github.com/pion/webrtc': 'golang-github-pion-webrtc.v3-dev',
  '/usr/lib/python3/dist-packages/aiortc': 'python3-aiortc',
};
/** For a root of its own, made by debootstrap. */
const ROOTS = { debootstrap: 'debootstrap', unshare: 'util-linux', git: 'git' };
/** For Debian packages of both architectures, and a look at them. */
const PACKAGING = {
  'dpkg-deb': 'dpkg',
  gpg: 'gpg',
  lintian: 'lintian',
  strip: 'binutils',
  'aarch64-linux-gnu-strip': 'binutils-aarch64-linux-gnu',
  'qemu-aarch64': 'qemu-user',
  '/usr/aarch64-linux-gnu/lib/libc.so.6': 'libc6-arm64-cross',
  '/usr/aarch64-linux-gnu/lib/libstdc++.so.6': 'libstdc++6-arm64-cross',
  '/usr/aarch64-linux-gnu/lib/libatomic.so.1': 'libatomic1-arm64-cross',
};
const PLAIN = { needs: {}, network: 'own', when: 'fast', files: 'apart' } as const;

/** In the order in which they are started: the long ones first, so that none is left over. */
export const SUITES: readonly Suite[] = [
  {
    ...PLAIN,
    name: 'browser',
    patterns: ['tests/browser/*.test.ts'],
    needs: BROWSERS,
    files: 'together',
    ceilingMinutes: 25,
  },
  { ...PLAIN, name: 'mesh', patterns: ['tests/mesh/*.test.ts'], ceilingMinutes: 12 },
  {
    ...PLAIN,
    name: 'unit',
    patterns: ['{packages,tools,fuzz}/**/*.test.ts'],
    ceilingMinutes: 15,
  },
  {
    ...PLAIN,
    name: 'cli',
    patterns: ['tests/cli/*.test.ts'],
    needs: { 'systemd-notify': 'systemd', perl: 'perl-base' },
    ceilingMinutes: 8,
  },
  {
    ...PLAIN,
    name: 'interop',
    patterns: ['tests/interop/*.test.ts'],
    needs: STACKS,
    ceilingMinutes: 6,
  },
  {
    ...PLAIN,
    name: 'quick',
    // What install.sh asks of a machine before it builds the relay there.
    patterns: [
      'packages/{base,protocol}/src/**/*.test.ts',
      'packages/transport/src/{stun,ice,io}/*.test.ts',
      'packages/transport/src/{session,endpoint}.test.ts',
      'packages/relay/src/{cli,io}/**/*.test.ts',
      'packages/relay/src/core/*.test.ts',
    ],
    when: 'part',
    ceilingMinutes: 8,
  },
  {
    ...PLAIN,
    name: 'install',
    patterns: ['tests/install/*.test.ts'],
    needs: { ...ROOTS, 'systemd-analyze': 'systemd', ...PACKAGING },
    network: 'machine',
    when: 'slow',
    ceilingMinutes: 35,
  },
  {
    ...PLAIN,
    name: 'image',
    patterns: ['tests/image/*.test.ts'],
    needs: { ...ROOTS, buildah: 'buildah', strip: 'binutils' },
    network: 'machine',
    when: 'slow',
    ceilingMinutes: 20,
  },
  {
    ...PLAIN,
    name: 'nat',
    patterns: ['tests/nat/*.test.ts'],
    needs: BROWSERS,
    when: 'slow',
    ceilingMinutes: 20,
  },
  {
    ...PLAIN,
    name: 'binary',
    patterns: ['tests/binary/*.test.ts'],
    needs: { unshare: 'util-linux', git: 'git', ...BROWSERS },
    when: 'slow',
    ceilingMinutes: 15,
  },
  {
    ...PLAIN,
    name: 'package',
    // Its tools come from the npm registry, once for each lockfile of theirs.
    patterns: ['tests/package/*.test.ts'],
    network: 'machine',
    when: 'slow',
    ceilingMinutes: 15,
  },
  {
    ...PLAIN,
    name: 'attack',
    patterns: ['tests/attack/*.test.ts'],
    when: 'slow',
    ceilingMinutes: 18,
  },
  {
    ...PLAIN,
    name: 'browser-mesh',
    patterns: ['tests/browser/large/*.test.ts'],
    needs: BROWSERS,
    when: 'slow',
    ceilingMinutes: 15,
  },
  {
    ...PLAIN,
    name: 'mesh-large',
    patterns: ['tests/mesh/large/*.test.ts'],
    when: 'slow',
    ceilingMinutes: 45,
  },
];

/** Suites of these names, and one for each path of a test file; `null` where there is neither. */
export function findSuites(wanted: readonly string[]): readonly (Suite | null)[] {
  return wanted.map((word) => {
    const named = SUITES.find(({ name }) => name === word);
    if (named !== undefined || !/\.test\.m?[jt]s$/.test(word)) return named ?? null;
    const path = word.replace(/^\.\//, '');
    const home = SUITES.find(({ patterns }) =>
      patterns.some((pattern) => path.startsWith(pattern.replace(/[*{].*/, '')) && pattern !== ''),
    );
    const { needs, network } = path.startsWith('tests/') && home !== undefined ? home : PLAIN;
    return { ...PLAIN, name: path, patterns: [path], needs, network, ceilingMinutes: 10 };
  });
}
