import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { build } from 'esbuild';

/** What the client library may weigh, minified and compressed. */
const MAX_BYTES = 12 * 1024;

const result = await build({
  entryPoints: [join(import.meta.dirname, '../packages/client/src/browser/index.ts')],
  bundle: true,
  minify: true,
  write: false,
  format: 'esm',
  target: 'es2022',
});
const bytes = gzipSync(result.outputFiles[0]?.contents ?? new Uint8Array(0), { level: 9 }).length;
process.stdout.write(`size: the client is ${bytes} bytes min+gzip, of ${MAX_BYTES}\n`);
process.exitCode = bytes <= MAX_BYTES ? 0 : 1;
