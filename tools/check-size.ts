import { gzipSync } from 'node:zlib';
import { ADAPTERS } from './adapter-entries.ts';
import { type Bundle, bundleAdapter, bundleEntry } from './client-bundle.ts';
import { ENTRIES } from './client-entries.ts';

/* What the client library and the adapters may weigh, as published: minified and compressed. */
let isOk = true;

function weigh({ file, code }: Bundle, maxBytes: number): void {
  const bytes = gzipSync(code, { level: 9 }).length;
  process.stdout.write(`size: ${file} is ${bytes} bytes min+gzip, of ${maxBytes}\n`);
  if (bytes > maxBytes) isOk = false;
}

for (const entry of ENTRIES)
  if (entry.maxBytes !== null) weigh(await bundleEntry(entry, 'esm'), entry.maxBytes);
for (const adapter of ADAPTERS) weigh(await bundleAdapter(adapter), adapter.maxBytes);
process.exitCode = isOk ? 0 : 1;
