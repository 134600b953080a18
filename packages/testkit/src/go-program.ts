import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Debian's Go packages. */
const GO_PATH = '/usr/share/gocode';

/** Why programs on pion cannot be built here, or `false`. */
export const WITHOUT_PION =
  existsSync(`${GO_PATH}/src/github.com/pion/webrtc`) && existsSync('/usr/bin/go')
    ? false
    : 'pion is not installed (Debian: apt-get install golang-go golang-github-pion-webrtc.v3-dev)';

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
