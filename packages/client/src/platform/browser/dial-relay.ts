import { CHANNEL_ID, CHANNEL_LABEL, midOf, relayAnswer } from '@lumamesh/protocol';
import type { KnownRelay } from '../../net/relay-source.ts';
import type { RelayChannel, RelayChannelEvents } from '../relay-channel.ts';

/**
 * Opens a data channel straight to a relay: the offer stays as the browser made it, and the answer
 * is written from the relay's record.
 */
export function dialRelay(
  relay: KnownRelay,
  addresses: readonly string[],
  events: RelayChannelEvents,
): RelayChannel {
  let isEnded = false;
  let connection: RTCPeerConnection | null = null;
  let channel: RTCDataChannel | null = null;
  const close = (): void => {
    isEnded = true;
    connection?.close();
  };
  const end = (code: string, text: string, cause?: unknown): void => {
    if (isEnded) return;
    close();
    events.closed(code, text, cause);
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
        // and gathers nothing.
        if (!hasCandidate) end('WEBRTC_BLOCKED_BY_POLICY', 'no address was gathered');
      };
      made.addEventListener('icegatheringstatechange', () => {
        if (made.iceGatheringState === 'complete') handleBlocked();
      });
      made.addEventListener('connectionstatechange', () => {
        if (made.connectionState !== 'failed') return;
        handleBlocked();
        // ICE has reached it, so what failed is the certificate's fingerprint.
        const isReached =
          made.sctp?.transport.iceTransport?.state === 'connected' ||
          made.sctp?.transport.state === 'failed';
        end(
          isReached ? 'RELAY_FORGED' : 'RELAY_UNREACHABLE',
          isReached ? 'the relay has another certificate' : 'the relay does not answer',
        );
      });
      channel = made.createDataChannel(CHANNEL_LABEL, { negotiated: true, id: CHANNEL_ID });
      channel.addEventListener('open', () => {
        if (!isEnded) events.open();
      });
      channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
        if (!isEnded && typeof data === 'string') events.frame(data);
      });
      channel.addEventListener('close', () => end('RELAY_LOST', 'the relay closed the channel'));
      await made.setLocalDescription(await made.createOffer());
      const mid = midOf(made.localDescription?.sdp ?? '');
      await made.setRemoteDescription({ type: 'answer', sdp: relayAnswer(relay, addresses, mid) });
    } catch (cause) {
      end('RELAY_UNREACHABLE', String(cause), cause);
    }
  };
  // Whoever dials has the channel in hand before it hears anything of it.
  queueMicrotask(() => void start());
  return {
    send: (frame) => {
      if (channel?.readyState !== 'open') return false;
      channel.send(frame);
      return true;
    },
    close,
  };
}
