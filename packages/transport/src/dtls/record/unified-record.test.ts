import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mutations, truncations } from '@lumamesh/testkit';
import { nodeCrypto } from '../../io/node-crypto.ts';
import { CIPHER_SUITES_13, type CipherSuite13 } from '../cipher-suite-13.ts';
import { RecordProtection13 } from './record-protection-13.ts';
import { DtlsReplayWindow } from './dtls-replay-window.ts';
import { RecordLayer } from './record-layer.ts';
import { CONTENT_TYPE } from './record.ts';
import { decodeUnifiedRecord, fullSequenceNumber, isUnified } from './unified-record.ts';

const secretOf = (suite: CipherSuite13): Uint8Array =>
  new Uint8Array(suite.hash === 'sha384' ? 48 : 32).fill(3);
const protection = (suite: CipherSuite13) =>
  new RecordProtection13(nodeCrypto, suite, secretOf(suite));
const [AES_128] = CIPHER_SUITES_13;
assert.ok(AES_128 !== undefined);

/** Two sides that share keys of one epoch, one way. */
function layers(epoch = 3): { readonly sender: RecordLayer; readonly receiver: RecordLayer } {
  const sender = new RecordLayer();
  const receiver = new RecordLayer();
  assert.ok(AES_128 !== undefined);
  sender.installWriteKeys(epoch, protection(AES_128));
  receiver.installReadKeys(epoch, protection(AES_128));
  return { sender, receiver };
}

describe('the unified header (RFC 9147 §4)', () => {
  const body = new Uint8Array(20).fill(9);
  // 001 C S L EE: no connection id, 16 bits of sequence number, length, epoch 3
  const full = Uint8Array.of(0b0010_1111, 0x12, 0x34, 0, 20, ...body);

  it('is read in each of its forms', () => {
    const forms: [Uint8Array, number, number][] = [
      [full, 2, 25],
      [Uint8Array.of(0b0010_1011, 0x12, 0x34, ...body), 2, 23],
      [Uint8Array.of(0b0010_0111, 0x12, 0, 20, ...body), 1, 24],
      [Uint8Array.of(0b0010_0011, 0x12, ...body), 1, 22],
    ];
    for (const [bytes, sequenceBytes, end] of forms) {
      const record = decodeUnifiedRecord(bytes, 0);
      assert.ok(record.ok);
      assert.deepEqual(
        [record.value.epochBits, record.value.sequenceBytes, record.value.end],
        [3, sequenceBytes, end],
      );
      assert.deepEqual([...record.value.sealed], [...body]);
    }
  });

  it('is dropped when cut, when it claims more than there is, and with a connection id', () => {
    for (const cut of truncations(full)) assert.ok(!decodeUnifiedRecord(cut, 0).ok);
    const long = full.slice();
    long[4] = 21;
    assert.deepEqual(decodeUnifiedRecord(long, 0), { ok: false, drop: 'dtls.record.length' });
    const withId = full.slice();
    withId[0] = 0b0011_1111;
    assert.deepEqual(decodeUnifiedRecord(withId, 0), {
      ok: false,
      drop: 'dtls.record.connectionId',
    });
    for (const mutated of mutations(full, 2000, 5)) decodeUnifiedRecord(mutated, 0);
    for (let first = 0; first < 256; first++)
      assert.equal(isUnified(first), first >= 32 && first < 64);
  });

  it('stands for the sequence number closest to the expected one (§4.2.2)', () => {
    assert.equal(fullSequenceNumber(0, 2, 0), 0);
    assert.equal(fullSequenceNumber(0xffff, 2, 0), 0xffff, 'nothing is below zero');
    assert.equal(fullSequenceNumber(1, 2, 0xffff), 0x1_0001);
    assert.equal(fullSequenceNumber(0xfffe, 2, 0x1_0001), 0xfffe);
    assert.equal(fullSequenceNumber(5, 1, 0x1fe), 0x205);
    for (let expected = 0; expected < 200_000; expected += 77)
      for (const distance of [-100, -1, 0, 1, 100])
        if (expected + distance >= 0)
          assert.equal(
            fullSequenceNumber((expected + distance) & 0xff, 1, expected),
            expected + distance,
          );
  });
});

describe('record protection of DTLS 1.3', () => {
  for (const suite of CIPHER_SUITES_13) {
    it(`${suite.name}: seals, opens, refuses every changed bit, hides number and content type`, () => {
      const plaintext = Uint8Array.from({ length: 50 }, (_, i) => i);
      const sealed = protection(suite).seal(CONTENT_TYPE.applicationData, 3, 70_000, plaintext);
      assert.equal(sealed.length, plaintext.length + protection(suite).overheadBytes);
      const open = (bytes: Uint8Array): number[] | null => {
        const record = decodeUnifiedRecord(bytes, 0);
        if (!record.ok) return null;
        const window = new DtlsReplayWindow();
        window.markSeen(69_990);
        const opened = protection(suite).open(record.value, window);
        if (!opened.ok) return null;
        assert.equal(opened.value.contentType, CONTENT_TYPE.applicationData);
        assert.equal(opened.value.recordSequenceNumber, 70_000);
        return [...opened.value.plaintext];
      };
      assert.deepEqual(open(sealed), [...plaintext]);
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const changed = sealed.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        // The low bits of the epoch choose the keys; here there is one set of them.
        if (bit < 2) continue;
        assert.equal(open(changed), null, `bit ${bit}`);
      }
      // Another number in the record: another mask, so nothing of the header repeats.
      const next = protection(suite).seal(CONTENT_TYPE.applicationData, 3, 70_001, plaintext);
      assert.notDeepEqual(next.subarray(5), sealed.subarray(5));
    });
  }

  it('takes padding, and drops a record of nothing but zeros', () => {
    const { sender, receiver } = layers();
    const padded = sender.encodeProtected(0, Uint8Array.of(7, CONTENT_TYPE.alert, 0, 0));
    const zeros = sender.encodeProtected(0, new Uint8Array(9));
    assert.ok(padded !== null && zeros !== null);
    const { record } = receiver.read(padded, 0);
    assert.ok(record.ok);
    assert.deepEqual([record.value.contentType, ...record.value.payload], [CONTENT_TYPE.alert, 7]);
    assert.deepEqual(receiver.read(zeros, 0).record, {
      ok: false,
      drop: 'dtls.record.contentType',
    });
  });
});

describe('the epochs of DTLS 1.3', () => {
  it('are told apart, each with numbers and a window of its own', () => {
    const { sender, receiver } = layers(2);
    sender.installWriteKeys(3, protection(AES_128));
    receiver.installReadKeys(3, protection(AES_128));
    for (let i = 0; i < 70; i++) {
      for (const epoch of [2, 3]) {
        const bytes = sender.encodeProtected(23, Uint8Array.of(i), epoch);
        assert.ok(bytes !== null);
        const { record } = receiver.read(bytes, 0);
        assert.ok(record.ok);
        assert.deepEqual([record.value.epoch, record.value.recordSequenceNumber], [epoch, i]);
        assert.deepEqual(receiver.read(bytes, 0).record, {
          ok: false,
          drop: 'dtls.record.replayed',
        });
      }
    }
    const last = sender.encodeProtected(23, Uint8Array.of(1), 2);
    assert.ok(last !== null);
    receiver.forgetReadKeysBefore(3);
    assert.deepEqual(receiver.read(last, 0).record, { ok: false, drop: 'dtls.record.early' });
  });

  it('follow each other through 2^16 numbers, and over forged ones', () => {
    const { sender, receiver } = layers();
    for (let i = 0; i < 66_000; i++) {
      const bytes = sender.encodeProtected(23, Uint8Array.of(i & 0xff));
      assert.ok(bytes !== null);
      // A stranger plays with the masked bits: the window does not move.
      if (i % 1000 === 0) {
        const forged = bytes.slice();
        forged[1] = (forged[1] ?? 0) ^ 0x40;
        assert.ok(!receiver.read(forged, 0).record.ok);
      }
      // Most are lost.
      if (i % 97 !== 0) continue;
      const { record } = receiver.read(bytes, 0);
      assert.ok(record.ok && record.value.recordSequenceNumber === i);
    }
  });

  it('know nothing of epoch 1, whatever a header of DTLS 1.2 says', () => {
    const { receiver } = layers();
    const record = Uint8Array.of(23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2);
    assert.deepEqual(receiver.read(record, 0).record, { ok: false, drop: 'dtls.record.epoch' });
  });
});

describe('keys of records', () => {
  it('rest where many others are used, and are derived anew with the next record', () => {
    let derived = 0;
    const crypto = {
      ...nodeCrypto,
      createAead: (...parameters: Parameters<typeof nodeCrypto.createAead>) => {
        derived += 1;
        return nodeCrypto.createAead(...parameters);
      },
    };
    const side = (i: number) =>
      new RecordProtection13(crypto, AES_128, new Uint8Array(32).fill(i & 0xff));
    const connections = Array.from({ length: 600 }, (_, i) => {
      const sender = new RecordLayer();
      const receiver = new RecordLayer();
      sender.installWriteKeys(3, side(i));
      receiver.installReadKeys(3, side(i));
      return { sender, receiver };
    });
    const pass = (from: (typeof connections)[number], text: number): void => {
      const sealed = from.sender.encodeProtected(CONTENT_TYPE.applicationData, Uint8Array.of(text));
      const { record } = from.receiver.read(sealed ?? new Uint8Array(), 0);
      assert.ok(record.ok);
      assert.deepEqual([...record.value.payload], [text]);
    };
    for (const text of [1, 2, 3]) for (const connection of connections) pass(connection, text);
    assert.equal(derived, 3 * 1200, 'who comes round once in 1200 has none left');
    derived = 0;
    const few = connections.slice(0, 100);
    for (let text = 0; text < 10; text++) for (const connection of few) pass(connection, text);
    assert.equal(derived, 200, 'who is busy keeps them');
  });
});
