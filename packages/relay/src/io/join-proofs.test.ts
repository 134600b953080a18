import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { type JoinProof, joinProofText } from '@lumamesh/protocol';
import { makeJoiningPeer, mutations } from '@lumamesh/testkit';
import { joinProofs } from './join-proofs.ts';

const TEXT = joinProofText('relay', joinProofs.challenge(), 'room', 'peer');

function prove(text: string): { readonly peer: string; readonly proof: JoinProof } {
  const peer = makeJoiningPeer();
  return { peer: peer.id, proof: peer.prove(text) };
}

describe('proofs of joining', () => {
  it('are taken from whoever has the key whose hash the id is, and for that text only', () => {
    const { peer, proof } = prove(TEXT);
    assert.ok(joinProofs.verify(peer, proof, TEXT));
    assert.ok(!joinProofs.verify(peer, proof, `${TEXT} `));
    assert.ok(!joinProofs.verify(prove(TEXT).peer, proof, TEXT));
    assert.ok(!joinProofs.verify(peer, { ...proof, key: prove(TEXT).proof.key }, TEXT));
  });

  it('that are anything else are refused, and throw nothing', () => {
    const { peer, proof } = prove(TEXT);
    for (const name of ['key', 'signature'] as const)
      for (const bytes of mutations(Buffer.from(proof[name], 'base64url'), 200, 3)) {
        const text = Buffer.from(bytes).toString('base64url');
        if (text !== proof[name])
          assert.ok(!joinProofs.verify(peer, { ...proof, [name]: text }, TEXT));
      }
    // An id can be made for any key, also for one that is no point of the curve.
    const point = Buffer.alloc(65, 7);
    point[0] = 4;
    const id = createHash('sha256').update(point).digest().subarray(0, 16).toString('base64url');
    assert.ok(!joinProofs.verify(id, { ...proof, key: point.toString('base64url') }, TEXT));
  });

  it('are asked for by texts that never come again', () => {
    const texts = new Set(Array.from({ length: 1000 }, () => joinProofs.challenge()));
    assert.equal(texts.size, 1000);
    for (const text of texts) assert.match(text, /^[\w-]{22}$/);
  });
});
