import { concatBytes, toBase64Url, utf8Encode } from '@lumamesh/base';
import type { WebCryptoKey, WebCryptoSubtle } from './web-crypto.ts';

/**
 * With a password the derivation is slow, so that a relay that sees the room id cannot try
 * passwords in bulk.
 */
export const PASSWORD_ITERATIONS = 600_000;

const SALTS = { room: 'lumamesh room 1', channel: 'lumamesh channel 1' } as const;
const SALT_PASSWORD = 'lumamesh room with password 1\n';

/** A room and a channel of one name and password have nothing in common. */
export type RoomKind = keyof typeof SALTS;

export interface RoomSecret {
  /** What the relay sees: 43 characters of base64url that tell nothing of the name. */
  readonly roomId: string;
  /** AES-GCM-256, known to those who know the name and the password. */
  readonly key: WebCryptoKey;
}

/**
 * Derives id and key of a room. Without a password whoever guesses the name is in, and a relay can
 * guess names as well as anybody; with one, PBKDF2-HMAC-SHA-256 stands before the derivation. Names
 * and passwords are compared in Unicode form NFC.
 */
export async function deriveRoomSecret(
  subtle: WebCryptoSubtle,
  name: string,
  password: string,
  kind: RoomKind = 'room',
): Promise<RoomSecret> {
  const nameBytes = utf8Encode(name.normalize('NFC'));
  const input =
    password === ''
      ? nameBytes
      : await stretch(subtle, nameBytes, utf8Encode(password.normalize('NFC')));
  const expand = await hkdf(subtle, input, SALTS[kind]);
  return {
    roomId: toBase64Url(await expand('id')),
    key: await importSealingKey(subtle, await expand('key')),
  };
}

/** HKDF-SHA-256 (RFC 5869) over `input`; returns a function that makes 32 bytes for each `info`. */
export async function hkdf(
  subtle: WebCryptoSubtle,
  input: Uint8Array<ArrayBuffer>,
  salt: string,
): Promise<(info: string) => Promise<Uint8Array<ArrayBuffer>>> {
  const material = await subtle.importKey('raw', input, 'HKDF', false, ['deriveBits']);
  return async (info) =>
    new Uint8Array(
      await subtle.deriveBits(
        { name: 'HKDF', hash: 'SHA-256', salt: utf8Encode(salt), info: utf8Encode(info) },
        material,
        256,
      ),
    );
}

/** An AES-GCM-256 key of these 32 bytes. */
export async function importSealingKey(
  subtle: WebCryptoSubtle,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<WebCryptoKey> {
  return subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
}

async function stretch(
  subtle: WebCryptoSubtle,
  name: Uint8Array,
  password: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const material = await subtle.importKey('raw', password, 'PBKDF2', false, ['deriveBits']);
  const salt = concatBytes([utf8Encode(SALT_PASSWORD), name]);
  return new Uint8Array(
    await subtle.deriveBits(
      { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: PASSWORD_ITERATIONS },
      material,
      256,
    ),
  );
}
