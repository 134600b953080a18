import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { shortLivedBytes, shortLivedCopy } from './short-lived-bytes.ts';

describe('short-lived bytes', () => {
  it('are zeros that belong to one holder, of every length', () => {
    const kept: { readonly bytes: Uint8Array; readonly mark: number }[] = [];
    for (let i = 0; i < 5000; i++) {
      const length = i % 2 === 0 ? i % 400 : (i * 31) % 5000;
      const bytes = shortLivedBytes(length);
      assert.equal(bytes.length, length);
      assert.ok(bytes.every((byte) => byte === 0));
      bytes.fill((i % 255) + 1);
      kept.push({ bytes, mark: (i % 255) + 1 });
    }
    for (const { bytes, mark } of kept) assert.ok(bytes.every((byte) => byte === mark));
  });

  it('are copied', () => {
    const original = Uint8Array.of(1, 2, 3);
    const copy = shortLivedCopy(original);
    original[0] = 9;
    assert.deepEqual([...copy], [1, 2, 3]);
  });
});
