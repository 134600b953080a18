import { ByteReader, ByteWriter } from '@lumamesh/base';
import { readUint16Vector } from './extensions.ts';

/**
 * SRTP protection profiles (IANA DTLS-SRTP registry; RFC 5764 §4.1.2, RFC 7714 §14.2) that may be
 * agreed on, in our order of preference. No media flows on a relay's sessions, so none is ever
 * used: the choice is for stacks that end a handshake in which their offer is not answered.
 */
export const SRTP_PROFILES: readonly number[] = [
  0x0007, // SRTP_AEAD_AES_128_GCM
  0x0008, // SRTP_AEAD_AES_256_GCM
  0x0001, // SRTP_AES128_CM_HMAC_SHA1_80
  0x0002, // SRTP_AES128_CM_HMAC_SHA1_32
];

/**
 * The profiles of a client's use_srtp extension (RFC 5764 §4.1.1), or `null` when it is malformed.
 * The MKI, of up to 255 bytes, is read over.
 */
export function readUseSrtp(data: Uint8Array): readonly number[] | null {
  const reader = new ByteReader(data);
  const profiles = readUint16Vector(reader, 2);
  reader.skip(reader.uint8());
  return profiles !== null && profiles.length > 0 && reader.done ? profiles : null;
}

/**
 * A server's use_srtp extension: one profile and an empty MKI, which says that none is used,
 * whatever was offered.
 */
export function encodeUseSrtp(profile: number): Uint8Array {
  return new ByteWriter(5)
    .vector(2, (list) => list.uint16(profile))
    .uint8(0)
    .finish();
}
