import { concatBytes, readUint16, readUint32, writeUint16 } from '@lumamesh/base';
import { MAGIC_COOKIE, STUN_HEADER_BYTES, isStun } from '../stun/message.ts';
import { CHANNEL_DATA_HEADER_BYTES } from '../turn/channel-data.ts';
import { isChannelData } from '../turn/turn-codes.ts';

/*
 * Datagrams on a stream, of two kinds that its first frame tells apart, for it is STUN in both:
 *
 *   ICE  (RFC 4571 §2)  | length (2) | datagram |          the magic cookie at offset 6
 *   TURN (RFC 8656 §12.5, RFC 8489 §6.2.2)  | STUN |, | ChannelData, padded to 4 |   at offset 4
 */
export type StreamKind = 'ice' | 'turn';

/** As for datagrams: nothing of a browser is larger. */
const MAX_FRAME_BYTES = 4096;
const RFC4571_HEADER_BYTES = 2;
const STUN_COOKIE_OFFSET = 4;
/** So much tells the kind. */
const KIND_BYTES = RFC4571_HEADER_BYTES + STUN_COOKIE_OFFSET + 4;
const NOTHING = new Uint8Array(0);

/** Takes a stream apart. It holds one frame at most. */
export class StreamDeframer {
  #kind: StreamKind | null = null;
  #held: Uint8Array = NOTHING;

  /** `null` before the first bytes have told. */
  get kind(): StreamKind | null {
    return this.#kind;
  }

  /**
   * Takes what has come, and gives each frame that is whole, in the memory of `chunk` where it can.
   * @returns A drop reason after which the stream makes no sense, or `null`.
   */
  push(chunk: Uint8Array, onFrame: (datagram: Uint8Array) => void): string | null {
    // No Buffer, whose `slice` is no copy: who keeps some of it would keep all that came with it.
    const plain = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    const bytes = this.#held.length === 0 ? plain : concatBytes([this.#held, plain]);
    this.#held = NOTHING;
    this.#kind ??= kindOf(bytes);
    let at = 0;
    while (this.#kind !== null && at < bytes.length) {
      const frame = frameAt(bytes, at, this.#kind);
      if (frame === null) break;
      if (typeof frame === 'string') return frame;
      if (frame.end > bytes.length) break;
      // Of nothing as well (RFC 4571 §2: "the null packet"): it takes time, and has to count.
      onFrame(bytes.subarray(frame.start, frame.start + frame.length));
      at = frame.end;
    }
    // Nothing of another kind begins like this, and no frame is longer.
    if (this.#kind === null && bytes.length >= KIND_BYTES) return 'tcp.unknownProtocol';
    if (at < bytes.length) this.#held = bytes.slice(at);
    return null;
  }
}

/** A datagram as it stands on a stream: a copy, as it may wait, and a view keeps all around it. */
export function frameForStream(kind: StreamKind, datagram: Uint8Array): Uint8Array {
  if (kind === 'ice') {
    const framed = new Uint8Array(RFC4571_HEADER_BYTES + datagram.length);
    writeUint16(framed, 0, datagram.length);
    framed.set(datagram, RFC4571_HEADER_BYTES);
    return framed;
  }
  // RFC 8656 §12.5: over TCP ChannelData "MUST be padded to a multiple of four bytes".
  const padded = new Uint8Array((datagram.length + 3) & ~3);
  padded.set(datagram);
  return padded;
}

function kindOf(bytes: Uint8Array): StreamKind | null {
  const hasCookieAt = (offset: number): boolean =>
    bytes.length >= offset + 4 && readUint32(bytes, offset) === MAGIC_COOKIE;
  if (hasCookieAt(STUN_COOKIE_OFFSET)) return 'turn';
  return hasCookieAt(RFC4571_HEADER_BYTES + STUN_COOKIE_OFFSET) ? 'ice' : null;
}

/** Where the frame at an offset is and ends; `null`: too little has come; or a drop reason. */
function frameAt(
  bytes: Uint8Array,
  at: number,
  kind: StreamKind,
): { readonly start: number; readonly length: number; readonly end: number } | string | null {
  if (kind === 'ice') {
    if (at + RFC4571_HEADER_BYTES > bytes.length) return null;
    const length = readUint16(bytes, at);
    const start = at + RFC4571_HEADER_BYTES;
    return length > MAX_FRAME_BYTES ? 'tcp.frameSize' : { start, length, end: start + length };
  }
  if (at + CHANNEL_DATA_HEADER_BYTES > bytes.length) return null;
  const first = bytes[at] ?? 0;
  const length = readUint16(bytes, at + 2);
  if (isStun(first)) {
    const all = STUN_HEADER_BYTES + length;
    return all > MAX_FRAME_BYTES ? 'tcp.frameSize' : { start: at, length: all, end: at + all };
  }
  if (!isChannelData(first)) return 'tcp.unknownProtocol';
  const all = CHANNEL_DATA_HEADER_BYTES + length;
  return all > MAX_FRAME_BYTES
    ? 'tcp.frameSize'
    : { start: at, length: all, end: at + ((all + 3) & ~3) };
}
