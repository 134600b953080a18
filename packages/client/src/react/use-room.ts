import { LumameshError } from '@lumamesh/base';
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { Net, Peer, Room, RoomOptions } from '../index.ts';
import { NO_PEERS, RoomStore, type RoomView } from './room-store.ts';

/** Which peers {@link usePeers} returns. */
export interface PeersOptions {
  /**
   * Only those that can be talked to now: `open` or `forwarded`. Default `false`: all that were
   * seen and are not gone.
   */
  readonly onlyOpen?: boolean;
}

interface Joined {
  readonly net: Net;
  readonly name: string;
  readonly password: string;
  readonly store: RoomStore | null;
  readonly failure: RoomView | null;
}

const NOT_YET: RoomView = { room: null, state: 'joining', peers: NO_PEERS, error: null };
const NOWHERE: RoomView = { room: null, state: 'left', peers: NO_PEERS, error: null };

const never = (): (() => void) => () => undefined;
const noPeers = (): readonly Peer[] => NO_PEERS;

/**
 * The component is in a room: joined once there is a net, left when the component is unmounted, or
 * when `name` or `password` change. With `null` for a name it is in none. The other options are
 * those of the first component that joins, for all that are in the same room of the same net: the
 * last one to go leaves it. That is so even when the page has joined it by `net.joinRoom` besides.
 *
 * What `joinRoom` throws (`BAD_ROOM_NAME`, `NET_CLOSED`) is the view's `error`, and its `state` is
 * `left`.
 */
export function useRoom(net: Net | null, name: string | null, options: RoomOptions = {}): RoomView {
  const password = options.password ?? '';
  const [joined, setJoined] = useState<Joined | null>(null);
  useEffect(() => {
    if (net === null || name === null) return undefined;
    const { store, failure } = join(net, name, options);
    const release = store?.hold();
    setJoined({ net, name, password, store, failure });
    return () => {
      release?.();
      setJoined(null);
    };
    // The other options count when joining.
  }, [net, name, password]);
  // In the render that brings another room the old one is over.
  const current =
    joined?.net === net && joined.name === name && joined.password === password ? joined : null;
  const store = current?.store;
  const without = current?.failure ?? (name === null ? NOWHERE : NOT_YET);
  return useSyncExternalStore(
    store?.subscribe ?? never,
    store?.view ?? (() => without),
    () => without,
  );
}

/**
 * The peers of a room, anew whenever one comes, leaves or changes its state. Of a room of {@link
 * useRoom}, or one that the page has joined itself.
 */
export function usePeers(
  room: Room | null,
  { onlyOpen = false }: PeersOptions = {},
): readonly Peer[] {
  const store = room === null ? null : RoomStore.of(room);
  const peers = useSyncExternalStore(store?.subscribe ?? never, store?.peers ?? noPeers, noPeers);
  return useMemo(
    () =>
      onlyOpen ? peers.filter(({ state }) => state === 'open' || state === 'forwarded') : peers,
    [peers, onlyOpen],
  );
}

function join(net: Net, name: string, options: RoomOptions): Pick<Joined, 'store' | 'failure'> {
  try {
    return { store: RoomStore.of(net.joinRoom(name, options)), failure: null };
  } catch (error) {
    if (!(error instanceof LumameshError)) throw error;
    return { store: null, failure: { ...NOWHERE, error } };
  }
}
