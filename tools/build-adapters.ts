import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { adapterDeclarations } from './adapter-declarations.ts';
import { ADAPTERS, adapterFolder, adapterManifest } from './adapter-entries.ts';
import { bundleAdapter } from './client-bundle.ts';
import { KEPT, linkedReadme } from './client-manifest.ts';

/*
 * `npm run build:adapters`: each adapter as it is published, in its folder's dist: one ES module with
 * its declarations. `npm run build:adapters -- yjs` builds one; `--scripts` leaves declarations out.
 */
const ROOT = join(import.meta.dirname, '..');
const names = process.argv.slice(2).filter((word) => word !== '--scripts');
const chosen = ADAPTERS.filter(({ name }) => names.length === 0 || names.includes(name));
const declarations = process.argv.includes('--scripts')
  ? new Map<string, string>()
  : await adapterDeclarations(chosen);

for (const adapter of chosen) {
  const dist = join(ROOT, adapterFolder(adapter), 'dist');
  const write = (file: string, text: string): void => writeFileSync(join(dist, file), text);
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  const { file, code, map } = await bundleAdapter(adapter);
  write(file, `${code}//# sourceMappingURL=${file}.map\n`);
  write(`${file}.map`, map);
  const types = `${adapter.name}.d.ts`;
  const declared = declarations.get(adapter.name);
  if (declared !== undefined) write(types, declared);
  const source = adapterManifest(adapter);
  const manifest = {
    ...Object.fromEntries(KEPT.map((field) => [field, source[field]])),
    type: 'module',
    sideEffects: false,
    exports: {
      '.': { types: `./${types}`, default: `./${file}` },
      './package.json': './package.json',
    },
    // For resolvers from before `exports`.
    module: `./${file}`,
    main: `./${file}`,
    types: `./${types}`,
    files: [file, `${file}.map`, types],
    engines: { node: '>=20' },
    publishConfig: { access: 'public', provenance: true },
  };
  write('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
  write('README.md', linkedReadme(join(ROOT, adapterFolder(adapter)), adapterFolder(adapter)));
  cpSync(join(ROOT, 'LICENSE'), join(dist, 'LICENSE'));
}
