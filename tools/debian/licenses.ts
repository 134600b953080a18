import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

interface Bundled {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly text: string;
}

/** The packages of the registry that went into a bundle. */
function bundledPackages(metafile: Metafile, root: string): readonly Bundled[] {
  const folders = new Set<string>();
  for (const input of Object.keys(metafile.inputs)) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  return [...folders].toSorted().map((folder) => {
    const { name, version, license } = JSON.parse(
      readFileSync(join(root, folder, 'package.json'), 'utf8'),
    ) as { name: string; version: string; license?: string };
    const file = readdirSync(join(root, folder)).find((one) => /^licen[cs]e([.-]\w+)*$/i.test(one));
    const text = file === undefined ? '' : readFileSync(join(root, folder, file), 'utf8').trim();
    return { name, version, license: license ?? 'see its text', text };
  });
}

/**
 * `copyright` of the package: our licence, and by whose licences the rest is. The texts of those are
 * in `third-party`, Apache-2.0 besides in /usr/share/common-licenses.
 */
export function licenseFiles(
  root: string,
  nodeFolder: string,
  metafile: Metafile,
): { readonly copyright: string; readonly thirdParty: string } {
  const packages = bundledPackages(metafile, root);
  const line = '-'.repeat(80);
  return {
    copyright: [
      'lumamesh-relay, a relay of the Lumamesh signaling network\nSource: https://github.com/lumamesh/lumamesh\n',
      readFileSync(join(root, 'LICENSE'), 'utf8'),
      'The program holds Node.js with its libraries (MIT and others), and these packages of the npm',
      'registry. The texts of their licences are in third-party.gz in this folder; Apache-2.0 is also',
      '/usr/share/common-licenses/Apache-2.0.\n',
      ...packages.map(({ name, version, license }) => `  ${name} ${version}: ${license}`),
      '',
    ].join('\n'),
    thirdParty: [
      `Node.js\n\n${readFileSync(join(nodeFolder, 'LICENSE'), 'utf8')}`,
      ...packages.map(
        ({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`,
      ),
    ].join(`\n${line}\n\n`),
  };
}
