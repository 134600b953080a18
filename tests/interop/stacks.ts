import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';

/* Where the programs of other stacks come from, and whether they can be had here. */
const GUIDE = new URL('../../docs/guide/other-stacks.md', import.meta.url);
/** Debian's Go and Python packages. */
const GO_PATH = '/usr/share/gocode';
const PYTHON = '/usr/bin/python3';
const HAS_PION = existsSync(`${GO_PATH}/src/github.com/pion/webrtc`) && existsSync('/usr/bin/go');
const HAS_AIORTC = existsSync('/usr/lib/python3/dist-packages/aiortc') && existsSync(PYTHON);

export const WITHOUT_PION = HAS_PION
  ? false
  : 'pion is not installed (Debian: apt-get install golang-go golang-github-pion-webrtc.v3-dev)';
export const WITHOUT_AIORTC = HAS_AIORTC
  ? false
  : 'aiortc is not installed (Debian: apt-get install python3-aiortc)';

/** An address of this machine that every stack dials; aiortc and Firefox leave out 127.0.0.1. */
export const OWN_ADDRESS =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';

/** The program of the guide that is marked with this name. */
export function guideProgram(stack: string): string {
  const program = new RegExp(`^\`\`\`\\w+ stack ${stack}\\n([^]*?)^\`\`\`$`, 'm').exec(
    readFileSync(GUIDE, 'utf8'),
  )?.[1];
  if (program === undefined) throw new Error(`the guide has no program for ${stack}`);
  return program;
}

export interface Command {
  readonly program: string;
  readonly flags: readonly string[];
}

/** The command of a program that takes its arguments and reads its input as the guide says. */
export function guideCommand(stack: string, folder: string): Command {
  const source = guideProgram(stack);
  if (stack === 'pion') {
    const main = join(folder, 'pion-guide.go');
    writeFileSync(main, source);
    return { program: buildGo(main, folder), flags: [] };
  }
  if (stack === 'aiortc') {
    const main = join(folder, 'client.py');
    writeFileSync(main, source);
    return { program: PYTHON, flags: [main] };
  }
  // Packages are found from where the process runs, not from a folder of its own.
  return { program: process.execPath, flags: ['--input-type=module', '--eval', source] };
}

/**
 * Builds a Go program against Debian's packages, without a network. A module in GOPATH is what lets
 * old-style builds find `…/v3`.
 */
export function buildGo(main: string, folder: string): string {
  const home = mkdtempSync(join(folder, 'go-'));
  const source = join(home, 'src/client');
  mkdirSync(source, { recursive: true });
  cpSync(main, join(source, 'main.go'));
  writeFileSync(join(source, 'go.mod'), 'module client\n');
  const program = join(home, 'client');
  const built = spawnSync('go', ['build', '-o', program, '.'], {
    cwd: source,
    encoding: 'utf8',
    env: {
      ...process.env,
      GO111MODULE: 'off',
      GOFLAGS: '',
      GOPATH: `${home}:${GO_PATH}`,
      GOCACHE: process.env['GOCACHE'] ?? join(process.env['HOME'] ?? tmpdir(), '.cache/go-build'),
    },
  });
  if (built.status !== 0) throw new Error(`go build: ${built.stderr}`);
  return program;
}
