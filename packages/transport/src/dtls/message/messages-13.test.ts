import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Decoded, decoded, dropped } from '@lumamesh/base';
import { mutations, overlong, truncations } from '@lumamesh/testkit';
import { decodeAck, encodeAck } from './ack.ts';
import {
  decodeCertificate13,
  decodeCertificateRequest13,
  encodeCertificate13,
  encodeCertificateRequest13,
} from './certificate-13.ts';
import { decodeEncryptedExtensions, encodeEncryptedExtensions } from './encrypted-extensions.ts';
import { decodeKeyUpdate, encodeKeyUpdate } from './key-update.ts';
import {
  encodeClientShares,
  encodeServerShare,
  readClientShares,
  readServerShare,
} from './key-share.ts';
import { readCookie } from '../retry-request.ts';

const orDropped =
  <T>(read: (data: Uint8Array) => T | null) =>
  (data: Uint8Array): Decoded<T> => {
    const value = read(data);
    return value === null ? dropped('null') : decoded(value);
  };
const share = { groupId: 0x11ec, publicKey: new Uint8Array(40).fill(7) };
const other = { groupId: 29, publicKey: new Uint8Array(32).fill(8) };
const numbers = [
  { epoch: 2, recordSequenceNumber: 0 },
  { epoch: 3, recordSequenceNumber: 2 ** 40 + 5 },
];

/** Each message: its encoding, its decoder, and what must come out. */
const units: [string, Uint8Array, (body: Uint8Array) => Decoded<unknown>, unknown][] = [
  ['ACK', encodeAck(numbers), decodeAck, numbers],
  ['KeyUpdate', encodeKeyUpdate(true), decodeKeyUpdate, { isRequested: true }],
  [
    'EncryptedExtensions',
    encodeEncryptedExtensions(new Map([[14, Uint8Array.of(1, 2)]])),
    decodeEncryptedExtensions,
    new Map([[14, Uint8Array.of(1, 2)]]),
  ],
  [
    'Certificate',
    encodeCertificate13([Uint8Array.of(1, 2, 3), Uint8Array.of(4)]),
    decodeCertificate13,
    [Uint8Array.of(1, 2, 3), Uint8Array.of(4)],
  ],
  [
    'CertificateRequest',
    encodeCertificateRequest13(),
    decodeCertificateRequest13,
    { signatureAlgorithms: [0x0403] },
  ],
  [
    'key_share of a client',
    encodeClientShares([share, other]),
    orDropped(readClientShares),
    [share, other],
  ],
  ['key_share of a server', encodeServerShare(share), orDropped(readServerShare), share],
  ['cookie', Uint8Array.of(0, 3, 1, 2, 3), orDropped(readCookie), Uint8Array.of(1, 2, 3)],
];

describe('messages of DTLS 1.3', () => {
  for (const [name, bytes, decode, expected] of units) {
    it(`${name}: round trip, cut anywhere, over-long, mutated`, () => {
      assert.deepEqual(decode(bytes), { ok: true, value: expected });
      for (const cut of truncations(bytes)) assert.ok(!decode(cut).ok, `${cut.length} bytes`);
      assert.ok(!decode(overlong(bytes)).ok);
      for (const mutated of mutations(bytes, 3000, 6)) decode(mutated);
    });
  }

  it('an ACK has its bytes as RFC 9147 §7 draws them', () => {
    // length 16; epoch 2 as uint64; sequence number 258 as uint64
    assert.deepEqual(
      [...encodeAck([{ epoch: 2, recordSequenceNumber: 258 }])],
      [0, 16, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2],
    );
    // What no record can have is left out, and the rest stays.
    const huge = encodeAck(numbers);
    huge[2] = 1;
    assert.deepEqual(decodeAck(huge), { ok: true, value: numbers.slice(1) });
  });

  it('a group is offered once, and KeyUpdate says 0 or 1', () => {
    assert.equal(readClientShares(encodeClientShares([share, share])), null);
    assert.ok(!decodeKeyUpdate(Uint8Array.of(2)).ok);
    assert.equal(
      readClientShares(encodeClientShares([{ groupId: 29, publicKey: new Uint8Array(0) }])),
      null,
    );
  });
});
