import { createHmac, timingSafeEqual } from 'node:crypto';
import { fromBase64Url, toBase64Url } from '@lumamesh/base';
import { type AccessPlace, accessKeyText, accessProofText } from '@lumamesh/protocol';
import { type AccessTokens, EVERYBODY } from '../core/access-gate.ts';
import { KEY_ENTRY } from './config/access-entry.ts';

/**
 * The key by which this relay knows a token: it opens no other relay, and the token does not follow
 * from it.
 */
export function accessKey(token: string, nk: string): Uint8Array {
  return createHmac('sha256', token).update(accessKeyText(nk)).digest();
}

/** The line of ACCESS_TOKENS_FILE that stands for a token at the relay of a node key. */
export function accessEntry(token: string, nk: string): string {
  return KEY_ENTRY + toBase64Url(accessKey(token, nk));
}

/** A proof for a session with a relay, by an entry of ACCESS_TOKENS. */
export function proofOf(entry: string, place: AccessPlace, challenge: string): string {
  return toBase64Url(proofBytes(keyOf(entry, place.nk), place, challenge));
}

/** The tokens of a relay; `entries` are those of ACCESS_TOKENS, undefined where everybody comes in. */
export function accessTokens(
  entries: readonly string[] | undefined,
  place: AccessPlace,
): AccessTokens {
  if (entries === undefined) return EVERYBODY;
  const keys = new Map(
    entries.map((entry) => {
      const key = keyOf(entry, place.nk);
      return [toBase64Url(key), key];
    }),
  );
  return {
    count: keys.size,
    has: (name) => keys.has(name),
    isWithin: (other) => [...keys.keys()].every((name) => other.has(name)),
    verify: (challenge, proof) => {
      const given = fromBase64Url(proof);
      let found: string | null = null;
      // All of them, however soon one is found.
      for (const [name, key] of keys) {
        const expected = proofBytes(key, place, challenge);
        if (given?.length === expected.length && timingSafeEqual(given, expected)) found = name;
      }
      return found;
    },
  };
}

function keyOf(entry: string, nk: string): Uint8Array {
  return entry.startsWith(KEY_ENTRY)
    ? // The configuration has looked at it.
      (fromBase64Url(entry.slice(KEY_ENTRY.length)) ?? new Uint8Array(0))
    : accessKey(entry, nk);
}

function proofBytes(key: Uint8Array, place: AccessPlace, challenge: string): Uint8Array {
  return createHmac('sha256', key).update(accessProofText(place, challenge)).digest();
}
