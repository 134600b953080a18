import { gzipSync } from 'node:zlib';
import { CLIENT_FILES, bundleClient } from './client-bundle.ts';

/* What the client library may weigh, as published: minified and compressed. */
let isOk = true;
for (const [file, { maxBytes }] of Object.entries(CLIENT_FILES)) {
  // The keys of CLIENT_FILES.
  const bytes = gzipSync(await bundleClient(file as keyof typeof CLIENT_FILES), {
    level: 9,
  }).length;
  process.stdout.write(`size: ${file} is ${bytes} bytes min+gzip, of ${maxBytes}\n`);
  if (bytes > maxBytes) isOk = false;
}
process.exitCode = isOk ? 0 : 1;
