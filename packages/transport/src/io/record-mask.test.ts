import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { AeadName } from '@lumamesh/base';
import { chooseIoPath } from './io-path.ts';

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

/*
 * QUIC masks its headers as DTLS 1.3 does its record numbers (RFC 9147 §4.2.3), and RFC 9001 has
 * examples: §A.2, and §A.5 for ChaCha20.
 */
const EXAMPLES: readonly (readonly [AeadName, string, string, string])[] = [
  [
    'aes-128-gcm',
    '9f50449e04a0e810283a1e9933adedd2',
    'd1b1c98dd7689fb8ec11d242b123dc9b',
    '437b9aec36',
  ],
  [
    'chacha20-poly1305',
    '25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4',
    '5e5cd55c41f69080575d7999c25a5bfb',
    'aefefe7d03',
  ],
];

for (const choice of ['auto', 'off'] as const)
  it(`masks of record numbers are those of the examples in RFC 9001 (native I/O: ${choice})`, () => {
    const { crypto } = chooseIoPath(choice);
    for (const [algorithm, key, sample, expected] of EXAMPLES) {
      const mask = crypto.createRecordMask(algorithm, bytes(key)).mask(bytes(sample));
      // A record number has two bytes at most.
      assert.deepEqual([...mask.subarray(0, 2)], [...bytes(expected).subarray(0, 2)]);
    }
  });
