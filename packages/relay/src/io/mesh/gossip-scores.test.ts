import assert from 'node:assert/strict';
import { it } from 'node:test';
import { PeerScore, createPeerScoreParams } from '@libp2p/gossipsub/score';
import { boundScores } from './gossip-scores.ts';

const LOGGER = {
  forComponent: () =>
    Object.assign(() => undefined, { error: () => undefined, trace: () => undefined }),
};

it('of peers that have left only the last ones are remembered, however many keys come by', () => {
  const params = createPeerScoreParams({ retainScore: 600_000 });
  const score = new PeerScore(params, null, LOGGER as never, { scoreCacheValidityMs: 10 });
  score.addPeer('stays');
  for (let i = 0; i < 5000; i++) {
    score.addPeer(`key ${i}`);
    score.addIP(`key ${i}`, '192.0.2.1');
    score.removePeer(`key ${i}`);
    if (i % 100 === 99) {
      boundScores(score.peerStats);
      score.refreshScores();
      assert.ok(score.peerStats.size <= 1125, `${score.peerStats.size} are remembered`);
    }
  }
  assert.ok(score.peerStats.has('stays') && score.peerStats.has('key 4999'));
  assert.ok((score.peerIPs.get('192.0.2.1')?.size ?? 0) <= 1125);
});
