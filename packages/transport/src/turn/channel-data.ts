import { type Decoded, decoded, dropped, readUint16, writeUint16 } from '@lumamesh/base';

/*
 * ChannelData (RFC 8656 §12.4):
 *
 *   0                   1                   2                   3
 *  |         Channel Number        |            Length             |
 *  /                       Application Data                        /
 */
export const CHANNEL_DATA_HEADER_BYTES = 4;

export interface ChannelData {
  readonly channel: number;
  /** Where the payload begins in the datagram, and how long it is. */
  readonly offset: number;
  readonly length: number;
}

/** Over UDP there need be no padding, and may be (RFC 8656 §12.5). */
export function decodeChannelData(datagram: Uint8Array): Decoded<ChannelData> {
  if (datagram.length < CHANNEL_DATA_HEADER_BYTES) return dropped('turn.channelData.truncated');
  const length = readUint16(datagram, 2);
  const excess = datagram.length - CHANNEL_DATA_HEADER_BYTES - length;
  if (excess < 0) return dropped('turn.channelData.truncated');
  if (excess > 3) return dropped('turn.channelData.length');
  return decoded({ channel: readUint16(datagram, 0), offset: CHANNEL_DATA_HEADER_BYTES, length });
}

/**
 * The ChannelData with a payload that stands in `datagram` with at least
 * {@link CHANNEL_DATA_HEADER_BYTES} before it: in the same memory, nothing is copied.
 */
export function rewriteAsChannelData(
  datagram: Uint8Array,
  offset: number,
  length: number,
  channel: number,
): Uint8Array {
  const start = offset - CHANNEL_DATA_HEADER_BYTES;
  writeUint16(datagram, start, channel);
  writeUint16(datagram, start + 2, length);
  return datagram.subarray(start, offset + length);
}
