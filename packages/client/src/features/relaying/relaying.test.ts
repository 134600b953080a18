import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { NetHandle } from '../../feature.ts';
import { RelayBook } from '../../net/relay-book.ts';
import { relayRecord } from '../../net/relay-record.test-support.ts';
import { relaying } from './relaying.ts';

it('a relay that makes up rooms takes nothing of what others have given for those of the page', () => {
  const book = new RelayBook(() => 0.5);
  const [honest, liar] = [relayRecord(1), relayRecord(2)];
  book.setSeeds('', [honest, liar]);
  const part = relaying().net?.({ book, roomIds: new Set(['tea']) } as unknown as NetHandle);
  const turn = { username: 'u', password: 'p' };
  const offer = (nk: string, room: string): void =>
    part?.onRelayMessage?.(nk, { action: 'joined', room, members: [], turn });
  offer(honest.nk, 'tea');
  for (let i = 0; i < 2000; i++) offer(liar.nk, `room ${i}`);
  assert.equal(part?.iceServers?.(['tea']).length, 1);
  assert.equal(part?.iceServers?.(['room 1999']).length, 0);
});
