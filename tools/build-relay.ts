import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { OUT, makeBundle, makeExecutable } from './relay-program.ts';

/*
 * `npm run build:binary`: the relay as one file, twice, in dist/relay:
 *
 *   lumamesh-relay.mjs   for those who have Node 22 or newer; the same bytes for the same commit and lockfile
 *   lumamesh-relay       that, with the pinned Node around it and V8's compiled code: runs where there is no Node
 *
 * `npm run build:binary -- --bundle` makes the first only.
 */
const BUNDLE = join(OUT, 'lumamesh-relay.mjs');
const BINARY = join(OUT, process.platform === 'win32' ? 'lumamesh-relay.exe' : 'lumamesh-relay');

function tell(file: string): void {
  const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
  process.stdout.write(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB  sha256 ${sum}\n`);
}

mkdirSync(OUT, { recursive: true });
await makeBundle(BUNDLE);
tell(BUNDLE);
if (!process.argv.includes('--bundle')) {
  makeExecutable({
    bundle: BUNDLE,
    node: process.execPath,
    output: BINARY,
    // Left as it is where there is no `strip`.
    strip: process.platform === 'linux' ? 'strip' : null,
    useCodeCache: true,
  });
  // macOS runs nothing whose signature does not fit.
  if (process.platform === 'darwin') execFileSync('codesign', ['--sign', '-', BINARY]);
  tell(BINARY);
}
