import { expectType } from '@lumamesh/base';
import type { Api, Feature, PeerHandle, RoomHandle, RoomPart } from '../feature.ts';
import type { PeerRole } from '../api.ts';
import { fieldsOf } from '../peer/signal.ts';
import { nickOf, roleOf } from '../room/presence-fields.ts';
import { takeValue } from './channels/channel-values.ts';

/** Beside the nick and what other features say. */
const MAX_PRESENCE_BYTES = 700;
const MAX_REMEMBERED = 1024;

/** A member of a room before it is a peer. What it says of itself was written by a stranger. */
export interface RoomMember {
  readonly id: string;
  readonly nick: string;
  readonly role: PeerRole;
  readonly presence: unknown;
}

export interface PresenceOptions {
  /** What the others learn of this page, sealed: JSON of at most 700 bytes. */
  readonly presence?: unknown;
  /**
   * Whether to connect to a member: asked before that, and again when its presence changes. One
   * that is not accepted hears so (`leave` with `refused-by-peer`). Who is a peer stays one.
   */
  readonly accept?: (member: RoomMember) => boolean;
}

export interface PresenceRoom {
  /** What the others learn of this page. */
  readonly presence: unknown;
  /**
   * Says something else of this page. Relays take about one a second in the long run; of what
   * changes faster the latest is told. Throws `NOT_SENDABLE` or `MESSAGE_TOO_LARGE`.
   */
  setPresence(presence: unknown): void;
}

export interface PresencePeer {
  /** What it says of itself, be it connected or not. Written by a stranger. */
  readonly presence: unknown;
}

export type PresenceEvents = {
  /** It says something else of itself. */
  presence: [value: unknown];
};

export interface PresenceApi extends Api {
  readonly room: PresenceRoom;
  readonly peer: PresencePeer;
  readonly roomOptions: PresenceOptions;
  readonly peerEvents: PresenceEvents;
}

/** Presence of the page's own: `joinRoom(name, { presence, accept })`, `room.setPresence`. */
export function presence(): Feature<PresenceApi> {
  return { name: 'presence', room: presenceOf };
}

function presenceOf(room: RoomHandle): RoomPart {
  const { presence: first, accept } = room.options as PresenceOptions;
  expectType('joinRoom: accept', accept, 'function', 'undefined');
  const take = (value: unknown): unknown => takeValue(value, MAX_PRESENCE_BYTES, 'presence');
  let own = take(first);
  /** Of each peer, as JSON: members say the same by several relays. */
  const said = new Map<PeerHandle, string>();
  const heard = new Map<string, unknown>();
  const api: PresenceRoom = {
    get presence() {
      return own;
    },
    setPresence(value) {
      own = take(value);
      room.updatePresence();
    },
  };
  return {
    api,
    presence: () => own,
    accepts: (id, all) => {
      if (accept === undefined) return true;
      let isAccepted = false;
      const fields = fieldsOf(all);
      room.call(() => {
        const member = { id, nick: nickOf(all), role: roleOf(all), presence: fields['presence'] };
        isAccepted = accept(member);
      });
      return isAccepted;
    },
    onPresence: (id, value) => {
      heard.delete(id);
      heard.set(id, value);
      if (heard.size > MAX_REMEMBERED)
        for (const old of heard.keys()) {
          if (room.peer(old) !== undefined) continue;
          heard.delete(old);
          break;
        }
      const peer = room.peer(id);
      const text = JSON.stringify(value) ?? '';
      if (peer === undefined || said.get(peer) === text) return;
      said.set(peer, text);
      peer.emit('presence', value);
    },
    peer: (peer) => {
      said.set(peer, JSON.stringify(heard.get(peer.id)) ?? '');
      return {
        api: {
          get presence() {
            return heard.get(peer.id);
          },
        },
        events: ['presence'],
        onClose: () => said.delete(peer),
      };
    },
  };
}
