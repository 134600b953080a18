import type { Remote } from '@lumamesh/transport';
import type { KnownRelay } from '../../net/relay-source.ts';
import type { RelayChannel, RelayChannelEvents } from '../relay-channel.ts';
import { type DialAttempt, dialOnce } from './dial-attempt.ts';

/** RFC 8305 §8: the recommended Connection Attempt Delay. */
const ATTEMPT_DELAY_MS = 250;

/**
 * Opens the channel to a relay over our own transport: a Node program needs no WebRTC to reach a
 * relay. Its addresses are tried one after another (RFC 8305 §5), without waiting for those before
 * to fail; over UDP first, and over TCP besides where the relay has a port for it and UDP has found
 * nobody for `tcpAfterMs`. The first that is open is the channel.
 */
export function dialRelay(
  relay: KnownRelay,
  addresses: readonly string[],
  events: RelayChannelEvents,
  tcpAfterMs: number,
): RelayChannel {
  const live = new Set<DialAttempt>();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  let chosen: DialAttempt | null = null;
  let isEnded = false;
  /** Why the first attempt failed. */
  let verdict: Parameters<RelayChannelEvents['closed']> | null = null;

  const close = (): void => {
    isEnded = true;
    for (const timer of timers) clearTimeout(timer);
    for (const attempt of live) attempt.close();
  };
  const choose = (attempt: DialAttempt): boolean => {
    if (chosen === null) {
      chosen = attempt;
      live.delete(attempt);
      for (const timer of timers) clearTimeout(timer);
      for (const other of live) other.close();
      timers.clear();
      live.clear();
      live.add(attempt);
    }
    return chosen === attempt && !isEnded;
  };
  const dial = (remote: Remote): void => {
    const attempt = dialOnce(relay, remote, {
      open: () => choose(attempt) && events.open(remote.transport === 'tcp'),
      frame: (text) => choose(attempt) && events.frame(text),
      closed: (...why) => {
        live.delete(attempt);
        verdict ??= why;
        if (isEnded || (chosen !== null && chosen !== attempt)) return;
        // Another way leads to the same forger.
        const isFinal = chosen === attempt || why[0] === 'RELAY_FORGED';
        if (!isFinal && live.size + timers.size > 0) return;
        close();
        events.closed(...(isFinal ? why : verdict));
      },
    });
    live.add(attempt);
  };
  const dialAfter = (ms: number, remote: Remote): void => {
    if (ms === 0) return dial(remote);
    const timer = setTimeout(() => {
      // A handshake that is under way is not overtaken, however slow this machine is.
      if ([...live].some(({ isAnswered }) => isAnswered)) {
        timer.refresh();
        return;
      }
      timers.delete(timer);
      dial(remote);
    }, ms);
    timers.add(timer);
  };

  const { port, tcpPort } = relay;
  for (const [i, address] of addresses.entries()) {
    dialAfter(i * ATTEMPT_DELAY_MS, { address, port });
    if (tcpPort !== undefined)
      dialAfter(tcpAfterMs + i * ATTEMPT_DELAY_MS, { address, port: tcpPort, transport: 'tcp' });
  }
  return {
    get connection() {
      return chosen?.connection ?? null;
    },
    send: (frame) => chosen?.send(frame) ?? false,
    close,
  };
}
