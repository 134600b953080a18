import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mutations, testIo, truncations } from '@lumamesh/testkit';
import { nodeCrypto } from '../../io/node-crypto.ts';
import { CIPHER_SUITES } from '../cipher-suite.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './record.ts';
import { RecordLayer } from './record-layer.ts';
import { RecordProtection } from './record-protection.ts';
import { DtlsReplayWindow } from './dtls-replay-window.ts';

describe('the record codec', () => {
  const record = encodePlaintextRecord(
    CONTENT_TYPE.handshake,
    0,
    2 ** 40 + 5,
    Uint8Array.of(1, 2, 3),
  );

  it('round-trips', () => {
    // type, version 1.2, epoch 0, sequence number 2^40 + 5 in six bytes, length 3, fragment
    assert.deepEqual([...record], [22, 0xfe, 0xfd, 0, 0, 1, 0, 0, 0, 0, 5, 0, 3, 1, 2, 3]);
    const result = decodeRecord(record, 0);
    assert.ok(result.ok);
    assert.equal(result.value.recordSequenceNumber, 2 ** 40 + 5);
    assert.equal(result.value.end, record.length);
  });

  it('drops a record cut anywhere and every other version', () => {
    for (const cut of truncations(record)) assert.ok(!decodeRecord(cut, 0).ok);
    const tls = record.slice();
    tls[1] = 3;
    assert.deepEqual(decodeRecord(tls, 0), { ok: false, drop: 'dtls.record.version' });
  });

  it('takes mutations without throwing', () => {
    for (const mutated of mutations(record, 2000, 2)) decodeRecord(mutated, 0);
  });
});

describe('record protection', () => {
  for (const suite of CIPHER_SUITES) {
    it(`${suite.name}: seals, opens, refuses every changed bit`, () => {
      const aead = testIo.crypto.createAead(suite.aead, new Uint8Array(suite.keyBytes).fill(7));
      const protection = new RecordProtection(
        suite,
        aead,
        new Uint8Array(suite.fixedIvBytes).fill(9),
      );
      const plaintext = Uint8Array.from({ length: 50 }, (_, i) => i);
      const sealed = protection.seal(CONTENT_TYPE.applicationData, 1, 2 ** 33 + 3, plaintext);
      assert.equal(sealed.length, plaintext.length + protection.overheadBytes);
      const decoded = decodeRecord(sealed, 0);
      assert.ok(decoded.ok);
      assert.deepEqual(protection.open(decoded.value), plaintext);
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const changed = sealed.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const again = decodeRecord(changed, 0);
        if (again.ok) assert.equal(protection.open(again.value), null, `bit ${bit}`);
      }
      for (const cut of truncations(decoded.value.fragment))
        assert.equal(protection.open({ ...decoded.value, fragment: cut }), null);
    });
  }
});

describe('the replay window', () => {
  it('takes each number once, in any order within 64', () => {
    const window = new DtlsReplayWindow();
    const order = [
      5, 3, 68, 4, 5, 3, 67, 66, 68, 6, 69, 132, 131, 68, 69, 200, 137, 136, 1000, 936, 937,
    ];
    const taken: number[] = [];
    for (const number of order) {
      if (!window.isFresh(number)) continue;
      window.markSeen(number);
      taken.push(number);
    }
    // 4 is exactly 64 behind 68, so it is too old; 6 is 62 behind.
    assert.deepEqual(taken, [5, 3, 68, 67, 66, 6, 69, 132, 131, 200, 137, 1000, 937]);
  });

  it('agrees with a plain set over a long random walk', () => {
    const window = new DtlsReplayWindow();
    const seen = new Set<number>();
    let highest = -1;
    let state = 7;
    for (let i = 0; i < 20_000; i++) {
      state = (state * 48_271) % 2_147_483_647;
      const number = Math.max(0, highest + 3 - (state % 80));
      const expected = number > highest - 64 && !seen.has(number);
      assert.equal(window.isFresh(number), expected, `${number} after ${highest}`);
      if (expected) {
        window.markSeen(number);
        seen.add(number);
        highest = Math.max(highest, number);
      }
    }
  });
});

describe('the record layer', () => {
  const suite = CIPHER_SUITES[0];
  assert.ok(suite !== undefined);
  const protection = (): RecordProtection =>
    new RecordProtection(
      suite,
      nodeCrypto.createAead(suite.aead, new Uint8Array(16)),
      new Uint8Array(4),
    );

  it('never uses a sequence number twice, and moves the window only for what authenticates', () => {
    const sender = new RecordLayer();
    const receiver = new RecordLayer();
    assert.equal(sender.encodeProtected(23, new Uint8Array(1)), null, 'no keys yet');
    sender.installWriteKeys(1, protection());
    receiver.installReadKeys(1, protection());
    const numbers = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const bytes = sender.encodeProtected(23, Uint8Array.of(i));
      assert.ok(bytes !== null);
      const record = decodeRecord(bytes, 0);
      assert.ok(record.ok && !numbers.has(record.value.recordSequenceNumber));
      numbers.add(record.value.recordSequenceNumber);
      if (i === 50) {
        // A forged record from far ahead must not push honest ones out of the window.
        const forged = bytes.slice();
        forged[5] = 0x7f;
        assert.deepEqual(receiver.read(forged, 0).record, {
          ok: false,
          drop: 'dtls.record.unauthentic',
        });
      }
      const opened = receiver.read(bytes, 0);
      assert.ok(opened.record.ok);
      assert.deepEqual(opened.record.value.payload, Uint8Array.of(i));
      assert.deepEqual(receiver.read(bytes, 0).record, { ok: false, drop: 'dtls.record.replayed' });
    }
  });
});
