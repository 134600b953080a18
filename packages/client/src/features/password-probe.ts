import { LumameshError } from '@lumamesh/base';
import { toError } from '../extend.ts';
import type { Feature, NetHandle, RoomHandle, RoomPart } from '../feature.ts';

/** Whoever shares the password is met within this time, once a relay has named who is there. */
const GRACE_MS = 3000;

/**
 * Reports a wrong password (ROOM_KEY_MISMATCH) rather than meeting it with silence. Everybody who
 * joins a room with a password also takes part in a password-check room of the same name, whichever
 * the password is. Nobody connects there, and nothing is said of the password: who sees others there
 * and none of them in the room itself has another one. Whoever knows the name sees that the room
 * exists. One `passwordProbe()` for each `connect`.
 */
export function passwordProbe(): Feature {
  let net: NetHandle | null = null;
  return {
    name: 'passwordProbe',
    net: (ownNet) => {
      net = ownNet;
      return {};
    },
    room: (room) => (net === null || (room.options.password ?? '') === '' ? {} : probe(net, room)),
  };
}

function probe(net: NetHandle, room: RoomHandle): RoomPart {
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
      const channel = net.openChannel('room', `${room.name}\nprobe`, 'probe', {
        _presence: () => ({}),
        _handleMember: () => {
          if (!isAsked) wait();
          isAsked = true;
        },
      });
      leave = () => channel._leave();
      channel._start().catch((cause: unknown) => room.reportError(toError(cause)));
    },
    onLeave: () => {
      cancel();
      leave();
    },
  };
}
