import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import { sourceOf } from '@lumamesh/transport';
import { DialBacks } from './dial-backs.ts';

const MINUTE_MS = 60_000;
const SOURCE = sourceOf('203.0.113.1');

describe('relays that ask to be dialled back', () => {
  it('of one address are four at once, then one in half a minute, by whatever sessions', () => {
    const dialBacks = new DialBacks<number>(1000);
    let [now, taken] = [0, 0];
    for (let session = 0; session < 600; session++) {
      now += 1000;
      if (dialBacks.take(instant(now), session, SOURCE) !== 'taken') continue;
      taken += 1;
      dialBacks.finish(session);
    }
    assert.ok(taken >= 22 && taken <= 24, String(taken));
  });

  it('of everybody are as many as the operator wants, and four at a time', () => {
    const dialBacks = new DialBacks<number>(30);
    let taken = 0;
    for (let i = 0; i < 10 * 600; i++) {
      const charge = dialBacks.take(instant(i * 100), i, sourceOf(`198.${i % 200}.${i % 77}.1`));
      if (charge !== 'taken') continue;
      taken += 1;
      dialBacks.finish(i);
    }
    // 30 a minute for ten, and what is held at the start.
    assert.ok(taken > 290 && taken <= 310, String(taken));
    const slow = new DialBacks<number>(1000);
    const charges = Array.from({ length: 6 }, (_, i) =>
      slow.take(instant(0), i, sourceOf(`198.51.${i}.1`)),
    );
    assert.deepEqual(charges.slice(3), ['taken', 'othersExceeded', 'othersExceeded']);
    assert.equal(slow.take(instant(0), 0, sourceOf('198.51.0.1')), 'running');
    assert.equal(slow.finish(0), true);
    assert.equal(slow.finish(0), false);
    assert.equal(slow.take(instant(MINUTE_MS), 7, sourceOf('198.51.7.1')), 'taken');
  });

  it('are none where they are off, from one moment to the next', () => {
    const dialBacks = new DialBacks<number>(30);
    dialBacks.setRate(0);
    assert.equal(dialBacks.take(instant(0), 1, SOURCE), 'off');
    dialBacks.setRate(30);
    assert.equal(dialBacks.take(instant(0), 1, SOURCE), 'taken');
  });
});
