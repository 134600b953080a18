import { LumameshError, expectThat, expectType } from '@lumamesh/base';
import type { Api, Feature, PeerHandle, RoomHandle, RoomPart } from '../feature.ts';
import type { SendOptions } from '../peer/peer-frame.ts';

const MAX_NAME_LENGTH = 64;

export interface ActionOptions<Peer = unknown> extends SendOptions {
  /** Whom it goes to; all where it is left out. `to: undefined` is refused (`BAD_ARGUMENT`). */
  readonly to?: Peer | readonly Peer[];
}

export type ActionSend<Value, Peer = unknown> = (
  value: Value,
  options?: ActionOptions<Peer>,
) => Promise<boolean>;

/** Returns an unsubscribe function. */
export type ActionListen<Value, Peer = unknown> = (
  listener: (value: Value, peer: Peer) => void,
) => () => void;

export interface ActionsRoom<Peer> {
  /**
   * A kind of message with a name and a type of its own:
   * `const [send, on] = room.action<Move>('move')`. Throws `BAD_ACTION_NAME`.
   */
  action<Value = unknown>(
    name: string,
  ): [send: ActionSend<Value, Peer>, on: ActionListen<Value, Peer>];
}

export interface ActionsApi extends Api {
  readonly room: ActionsRoom<this['peerType']>;
}

/** Messages by name: `room.action`. */
export function actions(): Feature<ActionsApi> {
  return { name: 'actions', room: actionsOf };
}

type Listener = (value: unknown, peer: PeerHandle) => void;

function actionsOf(room: RoomHandle): RoomPart {
  const listenersByName = new Map<string, Set<Listener>>();
  const api: ActionsRoom<PeerHandle> = {
    action: <Value>(name: string) => {
      checkName(name);
      const listeners = listenersByName.get(name) ?? new Set();
      listenersByName.set(name, listeners);
      const send: ActionSend<Value, PeerHandle> = async (value, all = {}) => {
        expectType(`action ${name}: options`, all, 'object');
        const { to, ...options } = all;
        // Whom a page looked up and did not find is nobody, and not everybody.
        if (!('to' in all)) return room.broadcastFrame('action', name, value, options);
        const peers = (Array.isArray(to) ? to : [to]) as readonly PeerHandle[];
        const arePeers = peers.every((peer) => typeof peer?.sendFrame === 'function');
        expectThat(arePeers, `action ${name}: to`, 'a peer or a list of peers', to);
        const sent = peers.map(async (peer) => peer.sendFrame('action', name, value, options));
        return (await Promise.all(sent)).every(Boolean);
      };
      const on: ActionListen<Value, PeerHandle> = (listener) => {
        expectType(`action ${name}: listener`, listener, 'function');
        // The other pages give the value its type; a page that must be sure checks it. Of its own,
        // so that who takes it back takes back nobody else's.
        const stored: Listener = (value, peer) => listener(value as Value, peer);
        listeners.add(stored);
        return () => listeners.delete(stored);
      };
      return [send, on];
    },
  };
  return {
    api,
    peer: (peer) => ({
      frames: {
        action: {
          handle: (value, name) => {
            for (const listener of listenersByName.get(name) ?? [])
              room.call(() => listener(value, peer));
          },
        },
      },
    }),
  };
}

/** Names stand in front of each value, so they are short; a line break would end one early. */
export function checkName(name: string): void {
  if (
    typeof name !== 'string' ||
    name === '' ||
    name.length > MAX_NAME_LENGTH ||
    name.includes('\n')
  )
    throw new LumameshError(
      'BAD_ACTION_NAME',
      `a name is one line of at most ${MAX_NAME_LENGTH} characters`,
    );
}
