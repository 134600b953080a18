import { LumameshError } from '@lumamesh/base';
import type { Feature, RoomHandle, RoomPart } from '../feature.ts';

/** Whoever shares the password is met within this time, once a relay has named who is there. */
const GRACE_MS = 3000;

/**
 * Reports a wrong password (ROOM_KEY_MISMATCH) rather than meeting it with silence. Everybody who
 * joins a room with a password also takes part in a password-check room of the same name, whichever
 * the password is. Nobody connects there, and nothing is said of the password: who sees others there
 * and none of them in the room itself has another one. Whoever knows the name sees that the room
 * exists.
 */
export function passwordProbe(): Feature {
  return {
    name: 'passwordProbe',
    room: (room) => ((room.options.password ?? '') === '' ? {} : probe(room)),
  };
}

function probe(room: RoomHandle): RoomPart {
  let leave = (): void => undefined;
  let cancel = (): void => undefined;
  let isAsked = false;

  const judge = (): void => {
    if (room.state === 'joining') return wait();
    if (room.state === 'joined' && room.peers.length === 0)
      room.reportError(new LumameshError('ROOM_KEY_MISMATCH', 'others use another password'));
  };
  const wait = (): void => {
    cancel = room.platform.setTimer(GRACE_MS, judge);
  };

  return {
    onReady: () => {
      // The password makes its derivation slow, so that a relay cannot try names in bulk either.
      leave = room.openChannel(`${room.name}\nprobe`, 'probe', {}, () => {
        if (!isAsked) wait();
        isAsked = true;
      });
    },
    onLeave: () => {
      cancel();
      leave();
    },
  };
}
