import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  serial16Add,
  serial16Diff,
  serial16Lt,
  serial32Add,
  serial32Diff,
  serial32Lt,
  serial32Lte,
} from './serial.ts';

it('compares 32-bit serials across the wrap (RFC 1982 §3.2)', () => {
  assert.ok(serial32Lt(0xffff_ffff, 0));
  assert.ok(!serial32Lt(0, 0xffff_ffff));
  assert.ok(serial32Lte(7, 7) && !serial32Lt(7, 7));
  assert.equal(serial32Add(0xffff_ffff, 2), 1);
  assert.equal(serial32Add(0, -1), 0xffff_ffff);
  assert.equal(serial32Diff(3, 0xffff_fffe), 5);
  assert.equal(serial32Diff(0xffff_fffe, 3), -5);
});

it('compares 16-bit serials across the wrap', () => {
  assert.ok(serial16Lt(0xffff, 0) && !serial16Lt(0, 0xffff) && !serial16Lt(9, 9));
  assert.equal(serial16Add(0xffff, 1), 0);
  assert.equal(serial16Diff(1, 0xffff), 2);
});
