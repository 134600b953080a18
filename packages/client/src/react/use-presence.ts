import { useEffect, useSyncExternalStore } from 'react';
import type { Room } from '../index.ts';
import { NOBODY, PresenceStore } from './presence-store.ts';

const never = (): (() => void) => () => undefined;
const nobody = (): ReadonlyMap<string, unknown> => NOBODY;

/**
 * Shares a JSON value of at most 64 KB with everybody in the room who uses this too, and returns
 * what they share, by `peer.id`: a pointer's place, say, or that somebody is typing. Values are
 * compared by what is in them, and sent once in a frame at most, the last one. An entry vanishes
 * when its peer leaves, or shares nothing any more.
 *
 * `undefined` shares nothing. A page has one presence in a room: when several of its components
 * share, the others see what was shared last.
 *
 * The other pages give their values whatever type they like: a page that must be sure looks at
 * them.
 */
export function usePresence<Value>(
  room: Room | null,
  value: Value | undefined,
): readonly [others: ReadonlyMap<string, Value>] {
  const store = room === null ? null : PresenceStore.of(room);
  const json = JSON.stringify(value) as string | undefined;
  const others = useSyncExternalStore(store?.subscribe ?? never, store?.others ?? nobody, nobody);
  useEffect(() => (json === undefined ? undefined : store?.share(json)), [store, json]);
  // The caller says what the other pages share.
  return [others as ReadonlyMap<string, Value>];
}
