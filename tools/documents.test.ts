import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { describe, it } from 'node:test';

/*
 * What documents name exists: the files and headings of links, the sources, and the npm scripts.
 * docs/api is left out: it is generated, and compared by `npm run check`.
 */
const ROOT = join(import.meta.dirname, '..');
const DOCUMENTS = ['*.md', 'docs/*.md', 'docs/{adr,guide}/*.md'].flatMap((pattern) =>
  globSync(pattern, { cwd: ROOT }),
);
const SOURCES = new Set(
  ['{packages,apps,bench,fuzz,tests,tools}/**/*.{ts,tsx}'].flatMap((pattern) =>
    globSync(pattern, { cwd: ROOT, exclude: (name) => name === 'node_modules' }),
  ),
);
const SOURCE_NAMES = new Set(Array.from(SOURCES, (file) => basename(file)));
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** The part of a text that a pattern's first group matches, at every place. */
function matches(text: string, pattern: RegExp): readonly string[] {
  return Array.from(text.matchAll(pattern), ([, group]) => group ?? '');
}

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(file: string): readonly string[] {
  return matches(read(file), /^#+ (.*)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('documents', () => {
  for (const document of DOCUMENTS) {
    it(`${document} names what exists`, () => {
      // Code is no prose: what it names is tested by being run.
      const text = read(document).replaceAll(/^```[^]*?^```/gm, '');
      const faults: string[] = [];
      for (const target of matches(text, /\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = '', anchor = ''] = target.split('#');
        const file = path === '' ? document : join(dirname(document), path);
        if (!existsSync(resolve(ROOT, file))) faults.push(`link to ${target}`);
        else if (anchor !== '' && !anchorsOf(file).includes(anchor))
          faults.push(`heading of ${target}`);
      }
      for (const name of matches(text, /`([\w./-]+\.tsx?)`/g)) {
        const exists = name.includes('/')
          ? [...SOURCES].some((file) => file === name || file.endsWith(`/${name}`))
          : SOURCE_NAMES.has(name);
        if (!exists) faults.push(`source ${name}`);
      }
      for (const script of matches(read(document), /\bnpm run (?:-s )?([a-z][a-z:-]*)/g))
        if (!(script in scripts)) faults.push(`npm run ${script}`);
      assert.deepEqual(faults, []);
    });
  }
});
