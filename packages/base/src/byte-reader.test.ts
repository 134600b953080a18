import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';

it('reads back what a writer wrote', () => {
  const bytes = new ByteWriter(1)
    .uint8(1)
    .uint16(0x0203)
    .uint24(0x040506)
    .uint32(0xfffefdfc)
    .uint48(0xffff_ffff_fffe)
    .vector(2, (w) => w.bytes(Uint8Array.of(9, 8)))
    .zeros(1)
    .finish();
  const reader = new ByteReader(bytes);
  assert.deepEqual(
    [reader.uint8(), reader.uint16(), reader.uint24(), reader.uint32(), reader.uint48()],
    [1, 0x0203, 0x040506, 0xfffefdfc, 0xffff_ffff_fffe],
  );
  const inner = reader.sub(reader.uint16());
  assert.deepEqual(inner.rest(), Uint8Array.of(9, 8));
  assert.equal(reader.uint8(), 0);
  assert.ok(reader.done && inner.done);
});

it('never throws: a read beyond the end answers zero and ends every loop', () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3));
  assert.equal(reader.uint32(), 0);
  assert.ok(!reader.ok && reader.remaining === 0 && !reader.done);
  assert.equal(reader.bytes(5).length, 0);
  assert.ok(!reader.sub(1).ok);
});
