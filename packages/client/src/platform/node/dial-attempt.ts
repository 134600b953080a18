import { CHANNEL_ID, LUMAMESH_CHANNEL, fingerprintBytes } from '@lumamesh/protocol';
import type { Remote, SessionEvent } from '@lumamesh/transport';
import { UdpClient } from '@lumamesh/transport/io';
import type { KnownRelay } from '../../net/relay-source.ts';
import type { RelayChannel } from '../relay-channel.ts';

export interface DialAttempt extends RelayChannel {
  /** Connectivity checks have found the relay. */
  readonly isAnswered: boolean;
}

export interface DialAttemptEvents {
  open(): void;
  frame(text: string): void;
  /** Once, at the end. */
  closed(code: string, text: string, cause?: unknown): void;
}

/** One connection to a relay at one of its addresses, over UDP or TCP, by our own transport. */
export function dialOnce(
  relay: KnownRelay,
  remote: Remote,
  events: DialAttemptEvents,
): DialAttempt {
  let client: UdpClient | null = null;
  let isEnded = false;
  let isOpen = false;
  let isAnswered = false;
  let security: object = {};
  const close = (): void => {
    isEnded = true;
    void client?.close();
  };
  const end = (code: string, text: string, cause?: unknown): void => {
    if (isEnded) return;
    close();
    events.closed(code, text, cause);
  };
  const handleEvent = (event: SessionEvent): void => {
    if (isEnded) return;
    if (event.type === 'reachable') isAnswered = true;
    else if (event.type === 'secure') {
      const { version, group } = event.negotiated;
      security = { tlsVersion: version === '1.3' ? 'FEFC' : 'FEFD', tlsGroup: group };
    } else if (event.type === 'connected') {
      isOpen = true;
      events.open();
    } else if (event.type === 'message') {
      if (typeof event.data === 'string') events.frame(event.data);
    } else if (event.type === 'closed') {
      const { reason, detail } = event;
      // The one failure of a handshake that was seen to be another's certificate.
      if (detail === 'certificateFingerprint')
        end('RELAY_FORGED', 'the relay has another certificate');
      else if (reason === 'handshakeFailed' || (!isOpen && reason === 'remoteClose'))
        end('RELAY_HANDSHAKE_FAILED', `no secure connection came about: ${reason} ${detail}`);
      else end(isOpen ? 'RELAY_LOST' : 'RELAY_UNREACHABLE', `${reason} ${detail}`);
    }
  };
  const start = async (): Promise<void> => {
    if (isEnded) return;
    try {
      const made = await UdpClient.toKnownServer(
        {
          remote,
          ufrag: relay.ufrag,
          password: relay.pwd,
          certificateFingerprint: fingerprintBytes(relay.fingerprint) ?? new Uint8Array(0),
        },
        LUMAMESH_CHANNEL,
        handleEvent,
      );
      client = made;
      if (isEnded) void made.close();
    } catch (cause) {
      end('RELAY_UNREACHABLE', String(cause), cause);
    }
  };
  // Whoever dials has the channel in hand before it hears anything of it.
  queueMicrotask(() => void start());
  return {
    get isAnswered() {
      return isAnswered;
    },
    connection: {
      getStats: async () => new Map([['T', { id: 'T', type: 'transport', ...security }]]),
    },
    send: (frame) => isOpen && !isEnded && (client?.send(CHANNEL_ID, frame) ?? false),
    close,
  };
}
