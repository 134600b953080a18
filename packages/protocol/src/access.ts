import { toBase64Url, utf8Encode } from '@lumamesh/base';
import type { RelayRecord } from './relay-record.ts';
import type { WebCryptoSubtle } from './web-crypto.ts';

/*
 * Private relays (docs/wire-protocol.md, "Private relays"). Whoever is let in has a token of the
 * relay's operator. It is never sent:
 *
 *   key   = HMAC-SHA-256(token, "lumamesh access key 1\n" nk)       what the relay keeps
 *   proof = HMAC-SHA-256(key, "lumamesh access 1\n" challenge)      for this session only
 *
 * `nk` is that of the relay whose certificate was seen: what another relay is told, or has kept,
 * opens none but itself.
 */

/** What the record of a relay says that asks for a token. */
export const ACCESS_BY_TOKEN = 'token';
/** Of a key and of a proof, as base64url. */
export const ACCESS_PROOF_LENGTH = 43;

/** One guess at a proof costs a handshake, and yet a token is more than a word. */
const TOKEN = /^(?!key:)[!-+\--~]{16,128}$/;

/**
 * 16 to 128 printable characters of ASCII without blanks and commas. What begins with `key:` is what
 * a relay knows a token by, and was given out by mistake.
 */
export function isAccessToken(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value);
}

/** Whether a relay lets in everybody. */
export function isOpenToAll({ access }: Pick<RelayRecord, 'access'>): boolean {
  return access === undefined;
}

/** What is signed by a token. */
export function accessKeyText(nk: string): string {
  return `lumamesh access key 1\n${nk}`;
}

/** What is signed by the key: `challenge` is of the session's welcome. */
export function accessProofText(challenge: string): string {
  return `lumamesh access 1\n${challenge}`;
}

/** The proof of a token, for one session with the relay of a node key. */
export async function proveAccess(
  subtle: WebCryptoSubtle,
  token: string,
  nk: string,
  challenge: string,
): Promise<string> {
  const key = await hmac(subtle, utf8Encode(token), accessKeyText(nk));
  return toBase64Url(await hmac(subtle, key, accessProofText(challenge)));
}

async function hmac(
  subtle: WebCryptoSubtle,
  secret: Uint8Array<ArrayBuffer>,
  text: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await subtle.importKey('raw', secret, algorithm, false, ['sign']);
  return new Uint8Array(await subtle.sign('HMAC', key, utf8Encode(text)));
}
