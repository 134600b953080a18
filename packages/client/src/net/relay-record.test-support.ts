import { toBase64Url } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';

/** The record of relay `i`, each in a /24 of its own; nobody has signed it. */
export function relayRecord(
  i: number,
  changes: Partial<SignedRelayRecord> = {},
): SignedRelayRecord {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, i);
  return {
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip: `20.0.${i}.1`,
    port: 3478,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: toBase64Url(key),
    sequence: 1,
    expires: 1_900_000_000,
    signature: `${'A'.repeat(85)}A`,
    ...changes,
  };
}
