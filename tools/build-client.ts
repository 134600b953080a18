import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleAll } from './client-bundle.ts';
import { folders, publishedManifest, publishedReadme } from './client-manifest.ts';

/*
 * `npm run build:client`: the package `lumamesh` as it is published, in packages/client/dist.
 * lumamesh.js alone is the file to drop into a page. What it consists of: client-entries.ts.
 *
 * `npm run build:client -- --scripts` leaves the declarations out, for tests in browsers.
 */
const ROOT = join(import.meta.dirname, '..');
const DIST = join(ROOT, 'packages/client/dist');

rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST, { recursive: true });
const write = (file: string, text: string): void => writeFileSync(join(DIST, file), text);
const writeJson = (file: string, value: object): void =>
  write(file, `${JSON.stringify(value, null, 2)}\n`);

for (const { file, code, map } of await bundleAll()) {
  write(file, `${code}//# sourceMappingURL=${file}.map\n`);
  write(`${file}.map`, map);
}
if (!process.argv.includes('--scripts')) {
  const { declareEntries } = await import('./client-declarations.ts');
  for (const [file, declarations] of await declareEntries()) {
    write(`${file}.d.ts`, declarations);
    // The same for who requires it: nothing in them depends on the kind of module.
    write(`${file}.d.cts`, declarations);
  }
}
for (const [folder, manifest] of folders()) {
  mkdirSync(join(DIST, folder), { recursive: true });
  writeJson(join(folder, 'package.json'), manifest);
}
writeJson('package.json', publishedManifest());
write('README.md', publishedReadme());
cpSync(join(ROOT, 'LICENSE'), join(DIST, 'LICENSE'));
