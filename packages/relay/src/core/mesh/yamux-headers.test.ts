import assert from 'node:assert/strict';
import { it } from 'node:test';
import { concatBytes } from '@lumamesh/base';
import {
  YAMUX_DATA,
  YAMUX_PING,
  YAMUX_SYN,
  type YamuxHeader,
  YamuxHeaders,
} from './yamux-headers.ts';

/** version, type, flags, stream id, length */
function frame(type: number, flags: number, length: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint8(1, type);
  view.setUint16(2, flags);
  view.setUint32(4, 7);
  view.setUint32(8, length);
  return type === YAMUX_DATA ? concatBytes([bytes, new Uint8Array(length)]) : bytes;
}

const BYTES = concatBytes([
  frame(YAMUX_DATA, YAMUX_SYN, 3),
  frame(YAMUX_PING, YAMUX_SYN, 99),
  frame(YAMUX_DATA, 0, 0),
  frame(1, 0, 262_144),
]);
const HEADERS: YamuxHeader[] = [
  { type: YAMUX_DATA, flags: YAMUX_SYN, length: 3 },
  { type: YAMUX_PING, flags: YAMUX_SYN, length: 99 },
  { type: YAMUX_DATA, flags: 0, length: 0 },
  { type: 1, flags: 0, length: 262_144 },
];

it('reads headers and passes over data, wherever the bytes are cut', () => {
  for (let cut = 0; cut <= BYTES.length; cut++) {
    const headers = new YamuxHeaders();
    const read = [BYTES.subarray(0, cut), BYTES.subarray(cut)].flatMap((chunk) => [
      ...headers.push(chunk),
    ]);
    assert.deepEqual(read, HEADERS, `cut at ${cut}`);
  }
  const bytewise = new YamuxHeaders();
  assert.deepEqual(
    [...BYTES].flatMap((byte) => [...bytewise.push(Uint8Array.of(byte))]),
    HEADERS,
  );
});
