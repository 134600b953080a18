import assert from 'node:assert/strict';
import { it } from 'node:test';
import { instant } from '@lumamesh/base';
import type { Member } from './members.ts';
import { Room, type RoomHost } from './room.ts';

it('a room keeps nothing of a member that was pushed out of a crowd', () => {
  const platform = { now: () => instant(0), random: () => 0, PeerConnection: null };
  // All of a host that is used before anything is sent.
  const room = new Room('tea', {}, [], {
    platform,
    onListenerError: (error: unknown) => assert.fail(String(error)),
  } as unknown as RoomHost);
  const member = { presence: {}, relays: new Set() } as unknown as Member;
  for (const id of ['ada', 'bob']) room._handleMember(id, member, false, false);
  assert.equal(room.whyMissed('ada'), 'failed');
  room._handlePushedOut('ada');
  assert.equal(room.whyMissed('ada'), undefined);
  assert.equal(room.whyMissed('bob'), 'failed');
});
