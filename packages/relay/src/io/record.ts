import { type RelayRecord, type SignedRelayRecord, signRecord } from '@lumamesh/protocol';
import type { RelayConfig } from './config.ts';
import type { Identity } from './identity.ts';

/** A published line must outlive its author's holidays; a running relay signs a new record every day. */
export const RECORD_LIFETIME_SECONDS = 365 * 24 * 3600;
export const RECORD_RENEWAL_MS = 24 * 3600 * 1000;

/** The signed record of this relay as of now. The sequence is the time of signing: it grows with every new record, restarts included. */
export async function makeRecord(config: RelayConfig, identity: Identity, port: number, nowUnixMs: number): Promise<SignedRelayRecord> {
  const seconds = Math.floor(nowUnixMs / 1000);
  const record: RelayRecord = {
    fingerprint: identity.fingerprint,
    ip: config.publicIp,
    ...(config.publicIp6 === undefined ? {} : { ip6: config.publicIp6 }),
    ...(config.publicHost === undefined ? {} : { host: config.publicHost }),
    port,
    ufrag: config.iceUfrag,
    pwd: identity.icePassword,
    nk: identity.nk,
    sequence: seconds,
    expires: seconds + RECORD_LIFETIME_SECONDS,
  };
  return signRecord(record, async (data) => identity.sign(data));
}
