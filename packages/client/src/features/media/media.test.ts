import assert from 'node:assert/strict';
import { it } from 'node:test';
import { instant } from '@lumamesh/base';
import type { PeerHandle, RoomHandle } from '../../feature.ts';
import { media } from './media.ts';

it('a peer that announces all that it may has no transceiver looked at again for each track', () => {
  let looks = 0;
  const transceivers = Array.from({ length: 250 }, (_, i) => ({
    get mid(): string {
      looks += 1;
      return String(i);
    },
    receiver: { track: { kind: 'video' } },
    currentDirection: 'recvonly',
  }));
  class PlayedStream {
    addTrack(): void {}
    removeTrack(): void {}
    getTracks(): readonly unknown[] {
      return [];
    }
  }
  const events: unknown[] = [];
  const peer = {
    platform: { scope: { MediaStream: PlayedStream } },
    connection: { getTransceivers: () => transceivers },
    emit: (event: string) => events.push(event),
    onListenerError: assert.fail,
  };
  const room = media().room?.({ expectSendable: () => undefined } as unknown as RoomHandle);
  const part = room?.peer?.(peer as unknown as PeerHandle) ?? assert.fail();
  const tracks = Array.from({ length: 64 }, (_, i) => ({
    id: `track ${i}`,
    kind: 'video',
    mid: i === 7 ? '7' : 'none',
    isMuted: false,
  }));
  const streams = Array.from({ length: 64 }, (_, i) => ({ id: `${i}`, revision: 1, tracks }));
  part.frames?.['media']?.handle(streams, '1', true);
  part.onTick?.(instant(0));
  assert.ok(looks <= 500, String(looks));
  assert.deepEqual(events, []);
  part.frames?.['media']?.handle([{ ...streams[0], tracks: tracks.slice(7, 8) }], '2', true);
  assert.deepEqual(events, ['stream', 'track']);
});
