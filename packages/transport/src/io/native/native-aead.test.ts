import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { AeadName } from '@lumamesh/base';
import { nodeCrypto } from '../node-crypto.ts';
import { loadFfi } from './ffi.ts';
import { AEAD_LAYOUT, HMAC_LAYOUT, Slab, aeadSlab, hmacSlab } from './memory.ts';
import { nativeAeads } from './native-aead.ts';
import { nativeHmacs } from './native-hmac.ts';
import {
  type AeadSource,
  type MaskSource,
  aeadFault,
  areAlike,
  hmacFault,
  maskFault,
} from './self-test.ts';

const ALGORITHMS: readonly (readonly [AeadName, number])[] = [
  ['aes-128-gcm', 16],
  ['aes-256-gcm', 32],
  ['chacha20-poly1305', 32],
];
const NONCE = new Uint8Array(12).fill(3);
const AAD = new Uint8Array(13).fill(4);

const isLinux = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

describe('native AEADs', { skip: !isLinux && 'native code is for Linux' }, () => {
  const { ffi, library } = loadFfi();
  const native = nativeAeads(ffi, library, nodeCrypto);

  it('agree with their specifications and with node:crypto', () => {
    assert.equal(aeadFault(native, nodeCrypto), null);
    for (const [algorithm, keyBytes] of ALGORITHMS)
      for (let length = 0; length < 300; length++)
        assert.ok(
          areAlike(native, nodeCrypto, algorithm, nodeCrypto.randomBytes(keyBytes), length),
        );
  });

  it('are found out by their own test when they are wrong', () => {
    const zeros: AeadSource = {
      createAead: (algorithm, key) => ({
        ...native.createAead(algorithm, key),
        seal: (_nonce, _aad, plaintext, out, offset) => out.set(plaintext, offset),
      }),
    };
    assert.match(aeadFault(zeros, nodeCrypto) ?? '', /not as specified/);
    const credulous: AeadSource = {
      createAead: (algorithm, key) => ({
        ...native.createAead(algorithm, key),
        open: (nonce, aad, sealed) =>
          native.createAead(algorithm, key).open(nonce, aad, sealed) ??
          new Uint8Array(Math.max(0, sealed.length - 16)),
      }),
    };
    assert.match(aeadFault(credulous, nodeCrypto) ?? '', /differs from node:crypto/);
  });

  it('mask record numbers as node:crypto does, and take no other samples', () => {
    assert.equal(maskFault(native, nodeCrypto), null);
    const wrong: MaskSource = { createRecordMask: () => ({ mask: () => new Uint8Array(16) }) };
    assert.match(maskFault(wrong, nodeCrypto) ?? '', /differs from node:crypto/);
    const mask = native.createRecordMask('aes-128-gcm', new Uint8Array(16));
    for (const length of [0, 15, 17]) assert.throws(() => mask.mask(new Uint8Array(length)));
  });

  it('leave what does not fit into the slab to node:crypto', () => {
    for (const [algorithm, keyBytes] of ALGORITHMS) {
      const key = new Uint8Array(keyBytes).fill(5);
      const [ours, theirs] = [
        native.createAead(algorithm, key),
        nodeCrypto.createAead(algorithm, key),
      ];
      for (const [aadBytes, length] of [
        [13, AEAD_LAYOUT.input.byteLength],
        [13, AEAD_LAYOUT.input.byteLength + 1],
        [13, 100_000],
        [64, 10],
        [65, 10],
        [5000, 10],
        [0, 0],
      ] as const) {
        const aad = new Uint8Array(aadBytes).fill(1);
        const plaintext = new Uint8Array(length).fill(2);
        const [a, b] = [new Uint8Array(length + 16), new Uint8Array(length + 16)];
        ours.seal(NONCE, aad, plaintext, a, 0);
        theirs.seal(NONCE, aad, plaintext, b, 0);
        assert.deepEqual(a, b, `${algorithm}, ${aadBytes} and ${length} bytes`);
        assert.deepEqual(ours.open(NONCE, aad, a), plaintext);
      }
    }
  });

  it('refuse keys of another length, and take no sealed text that is too short', () => {
    for (const [algorithm, keyBytes] of ALGORITHMS) {
      assert.throws(() => native.createAead(algorithm, new Uint8Array(keyBytes - 1)), RangeError);
      assert.throws(() => native.createAead(algorithm, new Uint8Array(keyBytes + 1)), RangeError);
      const aead = native.createAead(algorithm, new Uint8Array(keyBytes));
      for (let length = 0; length < 16; length++)
        assert.equal(aead.open(NONCE, AAD, new Uint8Array(length)), null);
    }
  });

  it('write nothing beside the place that they are given', () => {
    const aead = native.createAead('aes-128-gcm', new Uint8Array(16));
    const out = new Uint8Array(100).fill(0xaa);
    aead.seal(NONCE, AAD, new Uint8Array(20), out, 30);
    assert.ok(out.subarray(0, 30).every((byte) => byte === 0xaa));
    assert.ok(out.subarray(66).every((byte) => byte === 0xaa));
    assert.throws(() => aead.seal(NONCE, AAD, new Uint8Array(20), new Uint8Array(35), 0));
  });

  it('leave no error behind for node:crypto to find', () => {
    const aead = native.createAead('aes-128-gcm', new Uint8Array(16));
    for (let i = 0; i < 100; i++) assert.equal(aead.open(NONCE, AAD, new Uint8Array(50)), null);
    assert.equal(createHash('sha256').update('').digest('hex').slice(0, 8), 'e3b0c442');
    assert.throws(() => createHash('none'), /Digest method not supported/);
  });

  it('work on while the garbage collector moves everything else', () => {
    const kept: Uint8Array[] = [];
    for (let i = 0; i < 2000; i++) {
      kept.push(new Uint8Array(5000).fill(i));
      if (kept.length > 50) kept.splice(0, 25);
      assert.ok(areAlike(native, nodeCrypto, 'aes-128-gcm', nodeCrypto.randomBytes(16), i % 1500));
    }
  });
});

describe('native HMACs', { skip: !isLinux && 'native code is for Linux' }, () => {
  const { ffi, library } = loadFfi();
  const native = nativeHmacs(ffi, library, nodeCrypto);

  it('agree with their specifications and with node:crypto, by turns of all digests', () => {
    assert.equal(hmacFault(native, nodeCrypto), null);
    for (let i = 0; i < 2000; i++) {
      const algorithm = (['sha1', 'sha256', 'sha384'] as const)[i % 3] ?? 'sha1';
      const key = nodeCrypto.randomBytes(1 + (i % 300));
      const data = nodeCrypto.randomBytes((i * 7) % 2500);
      assert.deepEqual(
        [...native.hmac(algorithm, key, data)],
        [...nodeCrypto.hmac(algorithm, key, data)],
      );
    }
    assert.ok(native.isIntact());
  });

  it('are found out by their own test when they are wrong', () => {
    const zeros = { hmac: () => new Uint8Array(32) };
    assert.match(hmacFault(zeros, nodeCrypto) ?? '', /not as specified/);
  });
});

describe('a slab', { skip: !isLinux && 'native code is for Linux' }, () => {
  const { ffi } = loadFfi();

  it('shows when something was written beside it', () => {
    for (const offset of [-1, -64, 100, 163]) {
      const slab = new Slab(ffi, 100);
      slab.bytes.fill(0);
      assert.ok(slab.isIntact);
      new Uint8Array(slab.bytes.buffer)[slab.bytes.byteOffset + offset] = 0;
      assert.ok(!slab.isIntact, `at ${offset}`);
    }
  });

  it('gives no pointer to what does not lie in it', () => {
    const slab = new Slab(ffi, 100);
    assert.equal(slab.pointer(60, 40) - slab.pointer(0, 100), 60n);
    for (const [offset, byteLength] of [
      [0, 101],
      [100, 1],
      [-1, 2],
      [50, -1],
      [2 ** 53, 1],
      [Number.NaN, 1],
      [1, Number.NaN],
      [0.5, 1],
      [1, Infinity],
    ] as const)
      assert.throws(() => slab.pointer(offset, byteLength), RangeError, `${offset} ${byteLength}`);
  });

  for (const [name, layout, slab] of [
    ['AEADs', AEAD_LAYOUT, aeadSlab(ffi)],
    ['HMACs', HMAC_LAYOUT, hmacSlab(ffi)],
  ] as const)
    it(`for ${name} has parts that do not overlap, and lie where they should`, () => {
      const { end, ...parts } = layout;
      let last = 0;
      for (const [part, { offset, byteLength }] of Object.entries(parts)) {
        assert.ok(offset >= last && offset % 4 === 0, part);
        last = offset + byteLength;
      }
      assert.ok(last <= end);
      assert.equal(slab.bytes.length, end);
      assert.equal(layout.parameters.offset % 8, 0);
      assert.equal(layout.written.offset % 8, 0);
    });
});
