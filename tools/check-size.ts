import { gzipSync } from 'node:zlib';
import { bundleEntry } from './client-bundle.ts';
import { ENTRIES } from './client-entries.ts';

/* What the client library may weigh, as published: minified and compressed. */
let isOk = true;
for (const entry of ENTRIES) {
  const { maxBytes } = entry;
  if (maxBytes === null) continue;
  const { file, code } = await bundleEntry(entry, 'esm');
  const bytes = gzipSync(code, { level: 9 }).length;
  process.stdout.write(`size: ${file} is ${bytes} bytes min+gzip, of ${maxBytes}\n`);
  if (bytes > maxBytes) isOk = false;
}
process.exitCode = isOk ? 0 : 1;
