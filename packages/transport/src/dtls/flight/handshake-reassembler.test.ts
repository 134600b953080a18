import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import type { HandshakeFragment } from '../message/handshake-header.ts';
import { HandshakeReassembler } from './handshake-reassembler.ts';

const body = Uint8Array.from({ length: 1463 }, (_, i) => i & 0xff);

function fragment(start: number, end: number, messageSeq = 0, type = 1): HandshakeFragment {
  return {
    type,
    length: body.length,
    messageSeq,
    fragmentOffset: start,
    fragment: body.subarray(start, end),
  };
}

describe('handshake reassembly', () => {
  it('puts a message together from any fragments, in any order, duplicated and overlapping', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seededRandom(seed);
      const size = 100 + Math.floor(random() * 700);
      const pieces: HandshakeFragment[] = [];
      for (let at = 0; at < body.length; at += size)
        pieces.push(
          fragment(Math.max(0, at - Math.floor(random() * 50)), Math.min(body.length, at + size)),
        );
      const shuffled = [...pieces, ...pieces]
        .map((piece) => ({ piece, key: random() }))
        .sort((a, b) => a.key - b.key);
      const reassembler = new HandshakeReassembler(4096);
      for (const { piece } of shuffled)
        assert.equal(reassembler.add(piece), 'held', `seed ${seed}`);
      assert.deepEqual(reassembler.take()?.body, body);
      assert.equal(reassembler.heldBytes, 0);
      assert.equal(reassembler.add(fragment(0, 10)), 'duplicate');
    }
  });

  it('holds 4 KB at most, whatever the fragments announce', () => {
    const reassembler = new HandshakeReassembler(4096);
    const claim = (length: number, messageSeq: number): string =>
      reassembler.add({
        type: 1,
        length,
        messageSeq,
        fragmentOffset: 0,
        fragment: new Uint8Array(1),
      });
    assert.equal(claim(16_777_215, 0), 'dtls.handshake.tooLarge');
    assert.equal(claim(4000, 0), 'held');
    assert.equal(claim(97, 1), 'dtls.handshake.tooLarge');
    assert.equal(claim(96, 1), 'held');
    assert.equal(claim(1, 2), 'dtls.handshake.tooLarge');
    assert.equal(reassembler.heldBytes, 4096);
    assert.equal(claim(1, 4), 'dtls.handshake.ahead');
  });

  it('drops fragments that contradict each other, and a hail of crumbs', () => {
    const reassembler = new HandshakeReassembler(4096);
    assert.equal(reassembler.add(fragment(0, 10)), 'held');
    assert.equal(reassembler.add({ ...fragment(10, 20), type: 2 }), 'dtls.handshake.inconsistent');
    assert.equal(
      reassembler.add({ ...fragment(10, 20), length: 100 }),
      'dtls.handshake.inconsistent',
    );
    const results = Array.from({ length: 100 }, (_, i) =>
      reassembler.add(fragment(20 + 10 * i, 21 + 10 * i)),
    );
    assert.ok(results.includes('dtls.handshake.ranges'));
    for (let at = 0; at < body.length; at += 500)
      reassembler.add(fragment(at, Math.min(at + 500, body.length)));
    assert.deepEqual(reassembler.take()?.body, body, 'the honest fragments still come through');
  });

  it('hands messages out in order, empty ones included', () => {
    const reassembler = new HandshakeReassembler(4096);
    reassembler.add({
      type: 14,
      length: 0,
      messageSeq: 1,
      fragmentOffset: 0,
      fragment: new Uint8Array(0),
    });
    assert.equal(reassembler.take(), null);
    reassembler.add({
      type: 2,
      length: 1,
      messageSeq: 0,
      fragmentOffset: 0,
      fragment: Uint8Array.of(9),
    });
    assert.deepEqual(
      [reassembler.take()?.type, reassembler.take()?.type, reassembler.take()],
      [2, 14, null],
    );
  });

  it('takes a first message numbered 1, which answers a HelloVerifyRequest', () => {
    const reassembler = new HandshakeReassembler(4096);
    reassembler.add(fragment(0, 100, 0));
    reassembler.add(fragment(0, body.length, 1));
    assert.equal(reassembler.takeFirst()?.messageSeq, 1);
    assert.equal(reassembler.heldBytes, 0);
    assert.equal(reassembler.nextMessageSeq, 2);
  });
});
