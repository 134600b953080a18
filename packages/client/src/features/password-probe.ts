import { LumameshError, utf8Encode } from '@lumamesh/base';
import type { Feature, RoomHandle, RoomPart } from '../feature.ts';

/**
 * Reports a wrong password (ROOM_KEY_MISMATCH) rather than meeting it with silence. Everybody who
 * joins a room with a password also takes part in a password-check room of the same name, whichever
 * the password is. Nobody connects there; each shows eight bits of a hash of what its password
 * leads to. Whoever knows the name sees that the room exists, and may rule out 255 of 256
 * passwords, each at the cost of the slow derivation.
 */
export function passwordProbe(): Feature {
  return {
    name: 'passwordProbe',
    room: (room) => ((room.options.password ?? '') === '' ? {} : probe(room)),
  };
}

function probe(room: RoomHandle): RoomPart {
  let leave = (): void => undefined;
  let hasSaid = false;

  const enter = async (roomId: string): Promise<void> => {
    const digest = await room.platform.crypto.subtle.digest('SHA-256', utf8Encode(roomId));
    // Left while this was asked for.
    if (room.state === 'left') return;
    const tag = new Uint8Array(digest)[0];
    // The password makes its derivation slow, so that a relay cannot try names in bulk either.
    leave = room.openChannel(`${room.name}\nprobe`, 'probe', { tag }, (_id, presence) => {
      const other = ((presence ?? {}) as { tag?: unknown }).tag;
      if (typeof other !== 'number' || other === tag || hasSaid) return;
      if (room.peers.length === 0)
        room.reportError(new LumameshError('ROOM_KEY_MISMATCH', 'others use another password'));
      hasSaid = true;
    });
  };

  return {
    onReady: () => void enter(room.roomId ?? ''),
    onLeave: () => leave(),
  };
}
