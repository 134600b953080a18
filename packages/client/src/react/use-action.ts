import { useCallback, useEffect, useRef } from 'react';
import type { ActionSend, Peer, Room } from '../index.ts';

/**
 * A kind of message with a name and a type of its own: `listener` hears those of the others while
 * the component is mounted (always the listener of the last render), and the function
 * that it returns sends one, to all or to some. That is the same function until `room` or `name`
 * change; while there is no room it sends nothing and resolves `false`. A bad name (`BAD_ACTION_NAME`) goes to the error boundary
 * around the component.
 *
 * The other pages give their values whatever type they like: a page that must be sure checks
 * them.
 */
export function useAction<Value = unknown>(
  room: Room | null,
  name: string,
  listener?: (value: Value, peer: Peer) => void,
): ActionSend<Value> {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const [, on] = room?.action<Value>(name) ?? [];
    return on?.((value, peer) => latest.current?.(value, peer));
  }, [room, name]);
  return useCallback<ActionSend<Value>>(
    async (value, options) => room?.action<Value>(name)[0](value, options) ?? false,
    [room, name],
  );
}
