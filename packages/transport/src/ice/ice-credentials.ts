import { utf8Encode } from '@lumamesh/base';

/** One side's ICE credentials (RFC 8445 §5.3). */
export interface IceCredentials {
  /** 4–256 ice-chars. */
  readonly ufrag: string;
  /** 22–256 ice-chars. */
  readonly password: string;
}

/** RFC 8839 §5.4: `ice-char = ALPHA / DIGIT / "+" / "/"`; ufrag 4–256 of them, pwd 22–256. */
export function isIceUfrag(text: string): boolean {
  return /^[A-Za-z0-9+/]{4,256}$/.test(text);
}

export function isIcePassword(text: string): boolean {
  return /^[A-Za-z0-9+/]{22,256}$/.test(text);
}

/**
 * The password as the HMAC key of short-term credentials: OpaqueString of ice-chars is their ASCII
 * (RFC 8489 §9.1.1).
 */
export function iceKey(password: string): Uint8Array {
  return utf8Encode(password);
}
