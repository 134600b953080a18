import assert from 'node:assert/strict';
import { it } from 'node:test';
import { printable, printableJson } from './printable.ts';

/**
 * A colour, a C1 control sequence introducer, a bell, a line separator, text turned around, an
 * invisible tag beyond the basic plane.
 */
const NASTY = 'a\u001B[31mb\u009B2Jc\u0007d\u2028e\u202Ef\u{E0041}g\r\nh';

it('shows what a stranger wrote, and lets no terminal obey it', () => {
  assert.equal(
    printable(NASTY),
    String.raw`a\u{1b}[31mb\u{9b}2Jc\u{7}d\u{2028}e\u{202e}f\u{e0041}g\u{d}\u{a}h`,
  );
  assert.equal(printable('Ordinary, wörld → “x” 漢字 🎉'), 'Ordinary, wörld → “x” 漢字 🎉');
});

it('writes JSON of it that means the same', () => {
  const text = printableJson({ [NASTY]: [NASTY], n: 1 });
  assert.deepEqual(JSON.parse(text), { [NASTY]: [NASTY], n: 1 });
  assert.match(text, /^[\n -~]*$/);
});
