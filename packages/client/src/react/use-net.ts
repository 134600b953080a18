import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { type ConnectOptions, type Net, type NetStatus, connect } from '../index.ts';
import { NetStore } from './net-store.ts';
import { UserCount } from './user-count.ts';

interface Kept {
  readonly key: string;
  readonly net: Net;
  readonly users: UserCount;
}

const never = (): (() => void) => () => undefined;
const none = (): null => null;

/**
 * A net of the component's own: `null` in the first render and on a server, then connected until
 * the component is unmounted. With `null` for options there is no net (yet).
 *
 * `relays`, `discover`, `iceServers` and a `token` that is a text are compared by what is in them, so they may be written
 * anew in each render; when they change, the net is closed and another one takes its place. The
 * other options are those of the render that connects.
 *
 * What `connect()` throws (`BAD_RELAY`, `INSECURE_ORIGIN`) goes to the error boundary around the
 * component.
 */
export function useNet(options: ConnectOptions | null): Net | null {
  const key = options === null ? '' : netKey(options);
  const kept = useRef<Kept | null>(null);
  const [held, setHeld] = useState<Kept | null>(null);
  useEffect(() => {
    if (options === null) return undefined;
    const mine = kept.current?.key === key ? kept.current : keep(connect(options), key, kept);
    kept.current = mine;
    const release = mine.users.take();
    setHeld(mine);
    return () => {
      release();
      setHeld(null);
    };
    // The key stands for the options.
  }, [key]);
  // In the render that brings other options the net of the old ones is over.
  return held?.key === key ? held.net : null;
}

/**
 * How a net is doing (`online`, `offline` and why, …), anew whenever that changes; `null` while
 * there is none.
 */
export function useNetStatus(net: Net | null): NetStatus | null {
  const store = net === null ? null : NetStore.of(net);
  return useSyncExternalStore<NetStatus | null>(
    store?.subscribe ?? never,
    store?.status ?? none,
    none,
  );
}

/** What tells two nets apart: the options that can be compared. */
export function netKey({
  relays = [],
  discover = true,
  iceServers = [],
  token = '',
}: ConnectOptions): string {
  // A function is as good as any other.
  return JSON.stringify([relays, discover, iceServers, typeof token === 'string' ? token : '']);
}

function keep(net: Net, key: string, kept: { current: Kept | null }): Kept {
  const mine: Kept = {
    key,
    net,
    users: new UserCount(() => {
      void net.close();
      // A component that was only hidden comes back with what it had.
      if (kept.current === mine) kept.current = null;
    }),
  };
  return mine;
}
