import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isClockSet } from './own-record.ts';

it('a clock that is set is told from one that goes', () => {
  const before = { wallMs: Date.UTC(2020, 0), monotonicMs: 5000 };
  const after = (wallMs: number): boolean =>
    isClockSet(before, { wallMs: before.wallMs + wallMs, monotonicMs: 65_000 });
  assert.equal(after(60_000), false);
  assert.equal(after(75_000), false);
  assert.equal(after(7 * 365 * 86_400_000), true);
  assert.equal(after(-120_000), true);
});
