import { type Decoded, decoded, dropped } from '@lumamesh/base';

/** The body of a KeyUpdate (RFC 8446 §4.6.3): whether the peer is to change its keys as well. */
export function encodeKeyUpdate(isRequested: boolean): Uint8Array {
  return Uint8Array.of(isRequested ? 1 : 0);
}

export function decodeKeyUpdate(body: Uint8Array): Decoded<{ readonly isRequested: boolean }> {
  const [value] = body;
  return body.length === 1 && value !== undefined && value <= 1
    ? decoded({ isRequested: value === 1 })
    : dropped('dtls.keyUpdate.malformed');
}
