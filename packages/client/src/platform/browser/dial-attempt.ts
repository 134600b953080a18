import { CHANNEL_ID, CHANNEL_LABEL, midOf, relayAnswer } from '@lumamesh/protocol';
import type { KnownRelay } from '../../net/relay-source.ts';
import { hasIcePath } from '../ice-path.ts';
import type { RelayChannel } from '../relay-channel.ts';

/** What browsers show of a certificate that they refuse is its weight: an alert has 15 bytes. */
const MIN_CERTIFICATE_BYTES = 250;

export interface DialAttempt extends RelayChannel {
  /** Connectivity checks have found the relay. */
  readonly _isAnswered: boolean;
  restart(): void;
}

export interface DialAttemptEvents {
  _open(): void;
  _frame(text: string): void;
  /** Once, at the end. */
  _closed(code: string, text: string, cause?: unknown): void;
}

/**
 * What was seen of the relay by a connection that failed before it was open. Firefox calls the DTLS
 * transport failed also where nobody answered; neither browser shows a certificate with another
 * fingerprint, nor says why it failed.
 */
async function verdictOn(connection: RTCPeerConnection): Promise<[code: string, text: string]> {
  if (!hasIcePath(connection)) return ['RELAY_UNREACHABLE', 'the relay does not answer'];
  for (const { bytesReceived } of (await connection.getStats()).values())
    if (bytesReceived > MIN_CERTIFICATE_BYTES)
      return ['RELAY_FORGED', 'the browser refused the certificate that the relay showed'];
  return ['RELAY_HANDSHAKE_FAILED', 'the relay answers, but no secure connection came about'];
}

/**
 * One connection to a relay, over UDP or, with `tcpPort`, over TCP: the offer stays as the browser
 * made it, and the answer is written from the relay's record.
 */
export function dialOnce(
  relay: KnownRelay,
  addresses: readonly string[],
  tcpPort: number | undefined,
  events: DialAttemptEvents,
): DialAttempt {
  let isEnded = false;
  let isOpen = false;
  let connection: RTCPeerConnection | null = null;
  let channel: RTCDataChannel | null = null;
  let ufrag = '';
  /** By which the relay last heard of this page, and knows the session. */
  let heardUfrag = '';
  const close = (): void => {
    isEnded = true;
    connection?.close();
  };
  const end = (code: string, text: string, cause?: unknown): void => {
    if (isEnded) return;
    close();
    events._closed(code, text, cause);
  };
  const negotiate = async (
    made: RTCPeerConnection,
    relayUfrag: string,
    options: RTCOfferOptions = {},
  ): Promise<void> => {
    await made.setLocalDescription(await made.createOffer(options));
    const offer = made.localDescription?.sdp ?? '';
    ufrag = /^a=ice-ufrag:([^\r\n]+)/m.exec(offer)?.[1] ?? '';
    const sdp = relayAnswer({ ...relay, ufrag: relayUfrag }, addresses, midOf(offer), tcpPort);
    await made.setRemoteDescription({ type: 'answer', sdp });
  };
  /** RFC 8445 §9: other ufrags on both sides; the relay's names the session to go on with. */
  const restart = (): void => {
    if (isEnded || connection === null || heardUfrag === '') return;
    // Where that is not possible, the relay falls silent, and is lost.
    void negotiate(connection, `${relay.ufrag}/${heardUfrag}`, { iceRestart: true }).catch(
      () => undefined,
    );
  };
  const start = async (): Promise<void> => {
    if (isEnded) return;
    try {
      connection = new RTCPeerConnection();
    } catch (cause) {
      return end('WEBRTC_MISSING', 'there is no WebRTC', cause);
    }
    const made = connection;
    try {
      let hasCandidate = false;
      made.addEventListener('icecandidate', ({ candidate }) => {
        hasCandidate ||= (candidate?.candidate ?? '') !== '';
      });
      const handleBlocked = (): void => {
        // Whatever keeps a page from UDP (a policy, a proxy-only setting) lets everything be called
        // and gathers nothing; so does a machine without a network. TCP passes a proxy all the same.
        if (!hasCandidate && tcpPort === undefined)
          end(navigator.onLine ? 'WEBRTC_BLOCKED_BY_POLICY' : 'OFFLINE', 'no address was gathered');
      };
      made.addEventListener('icegatheringstatechange', () => {
        if (made.iceGatheringState === 'complete') handleBlocked();
      });
      made.addEventListener('connectionstatechange', () => {
        if (made.connectionState === 'failed') {
          handleBlocked();
          if (isOpen) end('RELAY_LOST', 'the relay fell silent');
          // What is seen goes when the connection is closed.
          void verdictOn(made).then((verdict) => end(...verdict));
        }
      });
      channel = made.createDataChannel(CHANNEL_LABEL, { negotiated: true, id: CHANNEL_ID });
      channel.addEventListener('open', () => {
        isOpen = true;
        if (!isEnded) events._open();
      });
      channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
        heardUfrag = ufrag;
        if (!isEnded && typeof data === 'string') events._frame(data);
      });
      channel.addEventListener('close', () => {
        // Firefox closes it also when the connection fails, whose verdict is on its way.
        if (made.connectionState !== 'failed') end('RELAY_LOST', 'the relay closed the channel');
      });
      await negotiate(made, relay.ufrag);
    } catch (cause) {
      end('RELAY_UNREACHABLE', String(cause), cause);
    }
  };
  // Whoever dials has the channel in hand before it hears anything of it.
  queueMicrotask(() => void start());
  return {
    get connection() {
      return connection;
    },
    get _isAnswered() {
      return connection !== null && hasIcePath(connection);
    },
    send: (frame) => {
      if (channel?.readyState !== 'open') return false;
      channel.send(frame);
      return true;
    },
    restart,
    close,
  };
}
