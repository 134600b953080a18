import { toBase64Url, utf8Encode } from '@lumamesh/base';
import type { RelayRecord } from './relay-record.ts';
import type { WebCryptoSubtle } from './web-crypto.ts';

/*
 * Private relays (docs/wire-protocol.md, "Private relays"). Whoever is let in has a token of the
 * relay's operator. It is never sent:
 *
 *   key   = HMAC-SHA-256(token, "lumamesh access key 1\n" nk)       what the relay keeps
 *   proof = HMAC-SHA-256(key, "lumamesh access 1\n" fingerprint "\n" challenge)
 *                                                                 for this session only
 *
 * `nk` is that of the relay, `fingerprint` that of the certificate that was seen: what another relay
 * is told, or has kept, opens none but itself, also where nobody could check that a record with its
 * certificate is signed by the `nk` that it names.
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

/** Whom a proof is for. */
export type AccessPlace = Pick<RelayRecord, 'nk' | 'fingerprint'>;

/** What is signed by a token. */
export function accessKeyText(nk: string): string {
  return `lumamesh access key 1\n${nk}`;
}

/** What is signed by the key: `fingerprint` is the record's, `challenge` of the session's welcome. */
export function accessProofText(place: AccessPlace, challenge: string): string {
  return `lumamesh access 1\n${place.fingerprint}\n${challenge}`;
}

/** The proof of a token, for one session with a relay that has shown the record's certificate. */
export async function proveAccess(
  subtle: WebCryptoSubtle,
  token: string,
  place: AccessPlace,
  challenge: string,
): Promise<string> {
  const key = await hmac(subtle, utf8Encode(token), accessKeyText(place.nk));
  return toBase64Url(await hmac(subtle, key, accessProofText(place, challenge)));
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
