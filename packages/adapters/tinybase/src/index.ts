import { Endings, parseJson } from '@lumamesh/base';
import type { Peer, Room } from 'lumamesh';
import { type MergeableStore, getUniqueId } from 'tinybase';
import {
  type Message,
  type Receive,
  type Send,
  type Synchronizer,
  createCustomSynchronizer,
} from 'tinybase/synchronizers';

export interface SynchronizerOptions {
  /** Tells stores that share a room apart. Default `tinybase`. */
  readonly channel?: string;
  /** How long an answer of another member is waited for. Default 5. */
  readonly requestTimeoutSeconds?: number;
  /** As in TinyBase's own synchronizers. */
  readonly onSend?: Send;
  readonly onReceive?: Receive;
  readonly onIgnoredError?: (error: unknown) => void;
}

const CONTENT_HASHES = 2 as Message.ContentHashes;
/** What stands for `undefined`, which JSON has not and TinyBase means; as in TinyBase's own. */
const UNDEFINED = '\uFFFC';

/**
 * Keeps a MergeableStore the same in all pages of a room. `await synchronizer.startSync()` begins;
 * `destroy()` ends it, and leaves the room as it is.
 */
export function createLumameshSynchronizer(
  store: MergeableStore,
  room: Room,
  options: SynchronizerOptions = {},
): Synchronizer {
  const { channel = 'tinybase', requestTimeoutSeconds = 5 } = options;
  const { onSend, onReceive, onIgnoredError } = options;
  const [post, listen] = room.action<string>(channel);
  const listening = new Endings<Room | Peer>();

  const send = (to: Peer | undefined, message: readonly unknown[]): void => {
    post(encode(message), to === undefined ? {} : { to }).catch((error: unknown) =>
      onIgnoredError?.(error),
    );
  };
  /** Whoever sees that it has something else asks for what it lacks. */
  const greet = (peer: Peer): void =>
    send(peer, [getUniqueId(), CONTENT_HASHES, store.getMergeableContentHashes()]);
  const watch = (peer: Peer): void => {
    if (peer.isOpen) greet(peer);
    listening.set(
      peer,
      peer.on('open', () => greet(peer)),
    );
  };

  const register = (receive: Receive): void => {
    listening.set(
      room,
      listen((text: unknown, peer) => {
        try {
          const [id, message, body] = decode(text) as [string | null, Message, unknown];
          receive(peer.id, id, message, body);
        } catch (error) {
          // Whatever a member has sent.
          onIgnoredError?.(error);
        }
      }),
      room.on('peer', watch),
      room.on('leave', (peer) => listening.forget(peer)),
    );
  };
  const synchronizer = createCustomSynchronizer(
    store,
    (to, id, message, body) => {
      const peer = room.peers.find((one) => one.id === to);
      // Who is gone is answered no more.
      if (to === null || peer !== undefined) send(peer, [id, message, body]);
    },
    register,
    () => listening.end(),
    requestTimeoutSeconds,
    onSend,
    onReceive,
    onIgnoredError,
  );
  for (const peer of room.peers) watch(peer);
  return synchronizer;
}

function encode(message: readonly unknown[]): string {
  return JSON.stringify(message, (_key, value: unknown) =>
    value === undefined ? UNDEFINED : value,
  );
}

/** What was sent; `undefined` for what is no JSON. */
function decode(text: unknown): unknown {
  return restore(parseJson(typeof text === 'string' ? text : null));
}

function restore(value: unknown): unknown {
  if (value === UNDEFINED) return undefined;
  if (Array.isArray(value)) return value.map(restore);
  if (typeof value !== 'object' || value === null) return value;
  // Also of the key `__proto__` it makes a property.
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, restore(item)]));
}
