import type { KnownRelay } from '../../net/relay-source.ts';
import type { RelayChannel, RelayChannelEvents } from '../relay-channel.ts';
import { type DialAttempt, dialOnce } from './dial-attempt.ts';

/**
 * Opens a data channel straight to a relay: over UDP first, and over TCP besides where the relay
 * has a port for it and UDP finds nobody for `tcpAfterMs`. The first that is open is the channel.
 * Both ways in one answer would be simpler, but a browser that moves from TCP to UDP in the middle
 * of the handshake fails.
 */
export function dialRelay(
  relay: KnownRelay,
  addresses: readonly string[],
  events: RelayChannelEvents,
  tcpAfterMs: number,
): RelayChannel {
  const live = new Set<DialAttempt>();
  let chosen: DialAttempt | null = null;
  /** Why the first attempt failed. */
  let verdict: Parameters<RelayChannelEvents['closed']> | null = null;
  let hasTriedTcp = relay.tcpPort === undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const close = (): void => {
    clearTimeout(timer);
    for (const attempt of live) attempt.close();
    live.clear();
  };
  const dial = (tcpPort: number | undefined): DialAttempt => {
    const attempt = dialOnce(relay, addresses, tcpPort, {
      _open: () => choose(attempt) && events.open(tcpPort !== undefined),
      // The first one may come before the browser says that the channel is open.
      _frame: (text) => choose(attempt) && events.frame(text),
      _closed: (code, text, cause) => {
        if (!live.delete(attempt)) return;
        verdict ??= [code, text, cause];
        const isSilent = /^(RELAY_UNREACHABLE|WEBRTC_BLOCKED_BY_POLICY|OFFLINE)$/.test(code);
        if (chosen === null && isSilent) dialTcp();
        if (live.size > 0) return;
        clearTimeout(timer);
        events.closed(...verdict);
      },
    });
    live.add(attempt);
    return attempt;
  };
  const choose = (attempt: DialAttempt): boolean => {
    if (chosen === null) {
      chosen = attempt;
      live.delete(attempt);
      close();
      live.add(attempt);
      verdict = null;
    }
    return chosen === attempt;
  };
  const dialTcp = (): void => {
    if (hasTriedTcp || udp._isAnswered) return;
    hasTriedTcp = true;
    dial(relay.tcpPort);
  };

  const udp = dial(undefined);
  if (!hasTriedTcp) timer = setTimeout(dialTcp, tcpAfterMs);
  return {
    get connection() {
      return chosen?.connection ?? null;
    },
    send: (frame) => chosen?.send(frame) ?? false,
    restart: () => chosen?.restart(),
    close,
  };
}
