import { isDtls } from './dtls/record/record.ts';
import { isBinding, isStun } from './stun/message.ts';
import { isChannelData } from './turn/turn-codes.ts';

/** Larger than any datagram of a browser; what exceeds it is not worth looking at. */
const MAX_DATAGRAM_RECEIVED_BYTES = 4096;

export type Protocol = 'dtls' | 'binding' | 'turn' | 'channelData';

/**
 * The protocol of a datagram, by its first byte (RFC 7983 §7), and what looks like STUN by its
 * method; or a drop reason. Without a TURN server everything like STUN is for the ICE agent.
 */
export function protocolOf(
  datagram: Uint8Array,
  hasTurn: boolean,
): Protocol | 'endpoint.size' | 'endpoint.unknownProtocol' {
  const first = datagram[0];
  if (first === undefined || datagram.length > MAX_DATAGRAM_RECEIVED_BYTES) return 'endpoint.size';
  if (isDtls(first)) return 'dtls';
  if (isStun(first)) return !hasTurn || isBinding(datagram) ? 'binding' : 'turn';
  return hasTurn && isChannelData(first) ? 'channelData' : 'endpoint.unknownProtocol';
}
