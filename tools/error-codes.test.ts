import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { listSettings } from '@lumamesh/relay';

/*
 * docs/errors.md beside the sources, both ways: a code that no source has is stale, a code that the
 * document does not have is a promise broken. Codes are texts in capitals with an underscore; one
 * without (`OFFLINE`) is found where it is documented, or given to `LumameshError` directly.
 */
const ROOT = join(import.meta.dirname, '..');
const LITERAL = /'([A-Z][A-Z\d]*(?:_[A-Z\d]+)+)'/g;
const THROWN = /LumameshError\(\s*'([A-Z\d_]+)'/g;
/** Texts in capitals that are no codes: settings, other environment variables, cipher suites, reasons in the log. */
const OTHER_NAMES = new Set([
  ...listSettings().map(({ variable }) => variable),
  'LUMAMESH_CONFIG',
  'LUMAMESH_HAND_OVER',
  'LUMAMESH_HOME',
  'LUMAMESH_TOKEN',
  'NOTIFY_SOCKET',
  'HTTP_PORT',
  'ADDRESS_FULL',
]);
const isCode = (text: string): boolean => !OTHER_NAMES.has(text) && !text.startsWith('TLS_');

/** The sources that are shipped, as one text each, below these folders. */
function readSources(...folders: readonly string[]): readonly string[] {
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.{ts,tsx}`, { cwd: ROOT }))
    .filter((file) => !/\.test(-support)?\.tsx?$|node_modules/.test(file))
    .map((file) => readFileSync(join(ROOT, file), 'utf8'));
}

/** The codes in these sources; words without an underscore only when they are documented. */
function codesIn(sources: readonly string[]): ReadonlySet<string> {
  const found = sources.flatMap((text) => [
    ...[...text.matchAll(LITERAL), ...text.matchAll(THROWN)].map(([, code]) => code ?? ''),
    ...[...documented].filter((code) => text.includes(`'${code}'`)),
  ]);
  return new Set(found.filter(isCode));
}

/** The first cells of a section's tables. */
function codesOfSection(heading: string): ReadonlySet<string> {
  const section = text.split(/^(?=## )/m).find((part) => part.startsWith(`## ${heading}`));
  assert(section !== undefined, `docs/errors.md has no section "${heading}"`);
  const cells = section.split('\n').flatMap((line) => /^\|([^|]*)\|/.exec(line)?.[1] ?? []);
  return new Set(cells.flatMap((cell) => Array.from(cell.matchAll(/`([A-Z\d_]+)`/g), codeOf)));
}

const codeOf = ([, code]: RegExpMatchArray): string => code ?? '';
const text = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
const page = codesOfSection('In a page');
const program = codesOfSection('From `lumamesh-relay`');
const frames = codesOfSection('From a relay');
const documented: ReadonlySet<string> = new Set([...page, ...program, ...frames]);

/** The codes of one set that none of the others has. */
function without(codes: ReadonlySet<string>, ...others: ReadonlySet<string>[]): readonly string[] {
  return [...codes].filter((code) => !others.some((other) => other.has(code)));
}

describe('docs/errors.md', () => {
  it('has every code that the client has, and the pages section no other', () => {
    const client = codesIn(readSources('packages/client/src', 'packages/base/src'));
    assert.deepEqual(without(client, page, frames), []);
    // A page sees some of the relay's error frames as they are.
    assert.deepEqual(without(page, client, frames), []);
  });

  it('has no code for pages that no test in browsers provokes, or says why it cannot', () => {
    const tests = ['tests/browser/page/errors.ts', 'tests/browser/large/errors.test.ts']
      .map((file) => readFileSync(join(ROOT, file), 'utf8'))
      .join('\n');
    // A scenario by that name, or the code beside the reason.
    const isNamed = (code: string): boolean =>
      new RegExp(`^  ${code}:|'${code}',\\s+'`, 'm').test(tests);
    assert.deepEqual(
      [...page].filter((code) => !isNamed(code)),
      [],
    );
  });

  it('has exactly the codes of error frames that a relay sends', () => {
    const core = codesIn(readSources('packages/relay/src/core', 'packages/protocol/src'));
    assert.deepEqual([...core].toSorted(), [...frames].toSorted());
  });

  it('has every code that the program ends with, and its section no other', () => {
    const shell = codesIn(
      readSources('packages/{base,transport}/src', 'packages/relay/src/{io,cli}', 'apps/*/src'),
    );
    assert.deepEqual(without(shell, documented), []);
    assert.deepEqual(without(program, shell), []);
  });
});
