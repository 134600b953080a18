import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { listSettings } from '@lumamesh/relay';

/*
 * install.sh runs before there is a Node to read the schema with, so it repeats the names of the
 * settings. A name that is missing from its list would be dropped silently on an upgrade.
 */
const SCRIPT = readFileSync(join(import.meta.dirname, '../install.sh'), 'utf8');
const UNIT = readFileSync(join(import.meta.dirname, '../deploy/lumamesh-relay.service'), 'utf8');

function words(pattern: RegExp): readonly string[] {
  const list = pattern.exec(SCRIPT)?.[1];
  assert(list !== undefined, `install.sh has nothing that matches ${pattern}`);
  return list.trim().split(/\s+/);
}

const listed = words(/^SETTINGS=\(([^)]*)\)/m);

describe('the settings that install.sh keeps', () => {
  it('are those of the schema, each once', () => {
    const declared = listSettings().map(({ variable }) => variable);
    assert.deepEqual(listed.toSorted(), declared.toSorted());
  });

  it('are checked before the build where they are whole numbers', () => {
    const numbers = listSettings().filter(({ allowed }) => allowed.startsWith('a whole number'));
    assert.deepEqual(
      words(/^WHOLE_NUMBERS=\(([^)]*)\)/m).toSorted(),
      numbers.map(({ variable }) => variable).toSorted(),
    );
  });

  it('stand in no environment of the unit, where they would count more than relay.env', () => {
    const lines = UNIT.matchAll(/^Environment=([A-Z_\d]+)=/gm);
    const ofUnit = Array.from(lines, ([, name]) => name ?? '').filter((n) => listed.includes(n));
    assert.deepEqual(ofUnit, []);
  });
});
