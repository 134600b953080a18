import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Metafile } from 'esbuild';
import { makeProgram } from '../packages/relay/src/cli/program.ts';
import packageJson from '../packages/relay/package.json' with { type: 'json' };
import { bashCompletion, fishCompletion, zshCompletion } from './debian/completions.ts';
import { licenseFiles } from './debian/licenses.ts';
import { manPage } from './debian/man-page.ts';
import { ARCHITECTURES, type Architecture, nodeRuntime } from './debian/node-runtime.ts';
import { settingsFile } from './debian/settings-file.ts';
import { ROOT, makeBundle, makeExecutable, timeOfPackage } from './relay-program.ts';

/*
 * `npm run build:deb`: the relay as a Debian package for amd64 and arm64, in dist/. The program is one
 * file, the bundle in the lockfile's Node for that architecture, made here for both: so without compiled
 * code, which only a machine of that kind can make. The same commit, lockfile and tools make the same bytes.
 *
 *   npm run build:deb -- --arch arm64 --version 1.2.3 --compression gzip --out FOLDER
 */
const NAME = 'lumamesh-relay';
const DEPLOY = join(ROOT, 'deploy');
const MAINTAINER = 'The Lumamesh project <lumamesh@users.noreply.github.com>';
/** Where install.sh puts things, and where they belong in Debian. */
const PLACES = [
  ['/opt/lumamesh/lumamesh-relay', `/usr/lib/${NAME}/${NAME}`],
  ['/opt/lumamesh/relay.env', `/etc/${NAME}/relay.env`],
  ['/opt/lumamesh/data', `/var/lib/${NAME}`],
] as const;
const CONTROL = `Package: ${NAME}
Version: @VERSION@
Architecture: @ARCH@
Maintainer: ${MAINTAINER}
Installed-Size: @SIZE@
Depends: libatomic1, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8), systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: systemd
Section: net
Priority: optional
Homepage: https://github.com/lumamesh/lumamesh
Description: relay by which browsers meet over WebRTC without a server
 A relay of Lumamesh, a decentralised signaling network. Pages open a data
 channel straight to a relay, over one UDP port, with no prior signaling, join
 rooms by hashed names, and exchange sealed offers and answers there. After that
 they talk to each other directly; a relay sees neither names nor data.
 .
 The program is one file that brings its own Node.js. It runs as a hardened
 service with a user of its own; relays with a common salt make a mesh.
`;

interface Settings {
  readonly version: string;
  readonly compression: string;
  readonly out: string;
}

/** The tree that is installed, but for the program. */
function makeTree(
  tree: string,
  metafile: Metafile,
  nodeFolder: string,
  { version }: Settings,
): void {
  const program = makeProgram();
  const date = new Date(timeOfPackage() * 1000);
  const shown = date.toISOString().slice(0, 10);
  const doc = `usr/share/doc/${NAME}`;
  const write = (path: string, text: string | Buffer, mode = 0o644): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text);
    chmodSync(join(tree, path), mode);
  };
  const deploy = (name: string): string => readFileSync(join(DEPLOY, name), 'utf8');
  write(`usr/bin/${NAME}`, inDebian(deploy('lumamesh-relay.sh')), 0o755);
  write(`usr/lib/systemd/system/${NAME}.service`, inDebian(deploy('lumamesh-relay.service')));
  write(`usr/lib/sysusers.d/${NAME}.conf`, deploy('debian/sysusers.conf'));
  write(`etc/${NAME}/relay.env`, settingsFile());
  write(`usr/share/man/man1/${NAME}.1.gz`, gzip(manPage(program, version, shown)));
  write(`usr/share/bash-completion/completions/${NAME}`, bashCompletion(program));
  write(`usr/share/zsh/vendor-completions/_${NAME}`, zshCompletion(program));
  write(`usr/share/fish/vendor_completions.d/${NAME}.fish`, fishCompletion(program));
  write(`usr/share/lintian/overrides/${NAME}`, deploy('debian/lintian-overrides'));
  const { copyright, thirdParty } = licenseFiles(ROOT, nodeFolder, metafile);
  write(`${doc}/copyright`, copyright);
  write(`${doc}/third-party.gz`, gzip(thirdParty));
  write(
    `${doc}/changelog.gz`,
    gzip(
      `${NAME} (${version}) stable; urgency=medium\n\n  * CHANGELOG.md of the source tells what is new.\n\n -- ${MAINTAINER}  ${rfc5322(date)}\n`,
    ),
  );
  for (const name of ['debian/low-port.conf', 'prometheus.yml', 'grafana-dashboard.json'])
    write(`${doc}/examples/${name.split('/').at(-1)}`, deploy(name));
}

/** A file of deploy/ with the places of the package. */
function inDebian(text: string): string {
  const moved = PLACES.reduce((all, [from, to]) => all.replaceAll(from, to), text).replaceAll(
    /^# (?:A Lumamesh relay\. install\.sh copies|lumamesh-relay\.service\.d).*\n/gm,
    '',
  );
  if (moved.includes('/opt/')) throw new Error('deploy/ names a place that the package has not');
  return moved;
}

function build(
  architecture: Architecture,
  bundle: string,
  metafile: Metafile,
  settings: Settings,
): string {
  const { strip, binutils, node } = ARCHITECTURES[architecture];
  const stripper = node === process.arch ? 'strip' : strip;
  if (!hasProgram(stripper))
    throw new Error(
      `no ${stripper}: apt-get install ${node === process.arch ? 'binutils' : binutils}`,
    );
  const work = mkdtempSync(join(settings.out, '.deb-'));
  try {
    const tree = join(work, 'tree');
    const nodeFolder = nodeRuntime(ROOT, architecture);
    makeTree(tree, metafile, nodeFolder, settings);
    const program = join(tree, `usr/lib/${NAME}/${NAME}`);
    makeExecutable({
      bundle,
      node: join(nodeFolder, 'bin/node'),
      output: program,
      strip: stripper,
      useCodeCache: false,
    });
    chmodSync(program, 0o755);
    makeControl(tree, architecture, settings);
    const file = join(settings.out, `${NAME}_${settings.version}_${architecture}.deb`);
    execFileSync(
      'dpkg-deb',
      ['--build', '--root-owner-group', `-Z${settings.compression}`, tree, file],
      {
        env: { ...process.env, SOURCE_DATE_EPOCH: String(timeOfPackage()) },
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    return file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function makeControl(tree: string, architecture: Architecture, { version }: Settings): void {
  const files = filesIn(tree);
  const kibibytes = files.reduce(
    (sum, file) => sum + Math.ceil(statSync(join(tree, file)).size / 1024),
    0,
  );
  const folder = join(tree, 'DEBIAN');
  mkdirSync(folder);
  const write = (name: string, text: string, mode = 0o644): void => {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), mode);
  };
  write(
    'control',
    CONTROL.replace('@VERSION@', version)
      .replace('@ARCH@', architecture)
      .replace('@SIZE@', String(kibibytes)),
  );
  write('conffiles', `/etc/${NAME}/relay.env\n`);
  write(
    'md5sums',
    files
      .filter((file) => !file.startsWith('etc/'))
      .map((file) => `${md5(join(tree, file))}  ${file}\n`)
      .join(''),
  );
  for (const name of ['preinst', 'postinst', 'prerm', 'postrm'])
    write(name, readFileSync(join(DEPLOY, 'debian', name), 'utf8'), 0o755);
  // Folders as every umask would not make them.
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true }))
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755);
}

function filesIn(tree: string): readonly string[] {
  return readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .toSorted();
}

function md5(file: string): string {
  return createHash('md5').update(readFileSync(file)).digest('hex');
}

function gzip(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}

function rfc5322(date: Date): string {
  return date.toUTCString().replace(/GMT$/, '+0000');
}

function hasProgram(name: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)));
}

const { values } = parseArgs({
  options: {
    arch: { type: 'string', multiple: true, default: Object.keys(ARCHITECTURES) },
    version: { type: 'string', default: packageJson.version.replace('-', '~') },
    compression: { type: 'string', default: 'xz' },
    out: { type: 'string', default: join(ROOT, 'dist') },
  },
});
const settings: Settings = values;
mkdirSync(settings.out, { recursive: true });
const work = mkdtempSync(join(settings.out, '.bundle-'));
try {
  const bundle = join(work, 'lumamesh-relay.mjs');
  const metafile = await makeBundle(bundle);
  for (const one of values.arch) {
    if (!(one in ARCHITECTURES))
      throw new Error(`no package for ${one}: there are ${Object.keys(ARCHITECTURES).join(', ')}`);
    const file = build(one as Architecture, bundle, metafile, settings);
    const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
    process.stdout.write(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB  sha256 ${sum}\n`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
