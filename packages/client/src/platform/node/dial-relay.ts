import { CHANNEL_ID, LUMAMESH_CHANNEL, fingerprintBytes } from '@lumamesh/protocol';
import type { SessionEvent } from '@lumamesh/transport';
import { UdpClient } from '@lumamesh/transport/io';
import type { RelayChannel, RelayChannelEvents } from '../relay-channel.ts';
import type { KnownRelay } from '../../net/relay-source.ts';

/**
 * Opens the channel to a relay over our own transport: a Node program needs no WebRTC to reach a
 * relay.
 */
export function dialRelay(
  relay: KnownRelay,
  addresses: readonly string[],
  events: RelayChannelEvents,
): RelayChannel {
  let client: UdpClient | null = null;
  let isEnded = false;
  let isOpen = false;
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
    if (event.type === 'secure') {
      const { version, group } = event.negotiated;
      security = { tlsVersion: version === '1.3' ? 'FEFC' : 'FEFD', tlsGroup: group };
    } else if (event.type === 'connected') {
      isOpen = true;
      events.open(false);
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
          remote: { address: addresses[0] ?? relay.ip, port: relay.port },
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
    connection: {
      getStats: async () => new Map([['T', { id: 'T', type: 'transport', ...security }]]),
    },
    send: (frame) => isOpen && !isEnded && (client?.send(CHANNEL_ID, frame) ?? false),
    close,
  };
}
