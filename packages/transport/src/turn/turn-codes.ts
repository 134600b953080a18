/** Methods of TURN (RFC 8656 §17). */
export const TURN_METHOD = {
  allocate: 0x003,
  refresh: 0x004,
  send: 0x006,
  data: 0x007,
  createPermission: 0x008,
  channelBind: 0x009,
} as const;

/** Attributes of TURN (RFC 8656 §18) and of long-term credentials (RFC 8489 §18.3). */
export const TURN_ATTRIBUTE = {
  channelNumber: 0x000c,
  lifetime: 0x000d,
  xorPeerAddress: 0x0012,
  data: 0x0013,
  realm: 0x0014,
  nonce: 0x0015,
  xorRelayedAddress: 0x0016,
  requestedAddressFamily: 0x0017,
  evenPort: 0x0018,
  requestedTransport: 0x0019,
  dontFragment: 0x001a,
  reservationToken: 0x0022,
} as const;

/** Errors of RFC 8656 §19 and RFC 8489 §14.8. */
export type TurnErrorCode = 400 | 401 | 403 | 420 | 437 | 438 | 440 | 441 | 442 | 443 | 486 | 508;

/** RFC 8656 §12: channel numbers are 0x4000 through 0x4FFF. */
export const MIN_CHANNEL_NUMBER = 0x4000;
export const MAX_CHANNEL_NUMBER = 0x4fff;

/** RFC 8656 §18.6: the protocol number of UDP, which is all that is forwarded. */
export const PROTOCOL_UDP = 17;
/** RFC 8656 §18.8: IPv4, which all relayed addresses are. */
export const FAMILY_IPV4 = 1;

/** Whether a datagram's first byte says ChannelData (RFC 8656 §12, RFC 7983 §7: 64..79). */
export function isChannelData(firstByte: number): boolean {
  return firstByte >= 64 && firstByte < 80;
}
