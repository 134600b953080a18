import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FairShare } from './fair-share.ts';

function fill(share: FairShare<string>, holder: string): number {
  while (share.take(holder, 1));
  return share.of(holder);
}

it('one holder gets a part, many get less each, and a newcomer finds room', () => {
  const share = new FairShare<string>(1000);
  assert.equal(fill(share, 'greedy'), 200);
  for (let i = 0; i < 20; i++) fill(share, `other${i}`);
  assert.ok(share.total < 1000);
  assert.ok(fill(share, 'newcomer') > 0);
});

it('what is given back can be taken again', () => {
  const share = new FairShare<string>(1000);
  const held = fill(share, 'a');
  share.give('a', held);
  assert.equal(share.total, 0);
  assert.equal(fill(share, 'b'), held);
});
