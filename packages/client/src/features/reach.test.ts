import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { RoomHandle } from '../feature.ts';
import { type ReachRoom, reach } from './reach.ts';

it('a room is settled after a minute, though a member begins to connect again and again', async () => {
  const timers: { readonly ms: number; readonly run: () => void }[] = [];
  const room = {
    state: 'joined',
    isListed: true,
    memberIds: ['mallory'],
    peers: [],
    has: () => false,
    peer: () => ({ state: 'connecting', isOpen: false }),
    whyMissed: () => undefined,
    platform: {
      setTimer: (ms: number, run: () => void) => {
        timers.push({ ms, run });
        return () => undefined;
      },
    },
  };
  const part = reach().room?.(room as unknown as RoomHandle) ?? assert.fail();
  let found: unknown = null;
  const settled = (part.api as ReachRoom).settled.then((now) => (found = now));
  part.onMembers?.();
  let passedMs = 0;
  while (timers.length > 0) {
    const { ms, run } = timers.shift() ?? assert.fail();
    await Promise.resolve();
    assert.equal(found, null);
    passedMs += ms;
    run();
  }
  await settled;
  assert.equal(passedMs, 62_000);
  assert.deepEqual(found, {
    reached: [],
    trying: ['mallory'],
    missed: new Map(),
    isPartial: true,
  });
});
