import { createPublicKey, verify } from 'node:crypto';
import { LumameshError, fromBase64Url } from '@lumamesh/base';
import {
  ACCESS_BY_TOKEN,
  type RelayRecord,
  type SignedRelayRecord,
  recordBytes,
  signRecord,
} from '@lumamesh/protocol';
import type { RelayConfig } from './config/config.ts';
import type { Identity } from './identity.ts';
import { forwardingRate } from './relay-limits.ts';

/**
 * A published line must outlive its author's holidays; a running relay signs a new record every
 * day.
 */
export const RECORD_LIFETIME_SECONDS = 365 * 24 * 3600;
export const RECORD_RENEWAL_MS = 24 * 3600 * 1000;

export interface RecordPlace {
  readonly port: number;
  readonly tcpPort?: number;
  /** The mesh this relay is in, and where its other relays reach it. */
  readonly mesh?: string;
  readonly meshPort?: number;
}

/**
 * What a configuration says of the place; deriving the mesh takes 60 ms. Ports 0 stand for ones
 * that are not known before the relay runs.
 */
export async function recordPlace({
  udpPort,
  tcpPort,
  meshSalt,
  meshListen,
}: RelayConfig): Promise<RecordPlace> {
  const ports = { port: udpPort, ...(tcpPort === undefined ? {} : { tcpPort }) };
  if (meshSalt === undefined) return ports;
  const { deriveMeshSecret } = await import('./mesh/mesh-salt.ts');
  const { mesh } = await deriveMeshSecret(meshSalt);
  return {
    ...ports,
    mesh,
    ...(meshListen === undefined || meshListen.port === 0 ? {} : { meshPort: meshListen.port }),
  };
}

/**
 * The signed record of this relay as of now. The sequence is the time of signing: it grows with
 * every new record, restarts included; after the clock was set back it goes on behind
 * `lastSequence`. Throws `BAD_CONFIG` for what only shows when all of it comes together, such as a
 * record that is too long.
 */
export async function makeRecord(
  config: RelayConfig,
  identity: Identity,
  place: RecordPlace,
  nowUnixMs: number,
  lastSequence = 0,
): Promise<SignedRelayRecord> {
  const seconds = Math.floor(nowUnixMs / 1000);
  const turn = forwardingRate(config);
  const record: RelayRecord = {
    fingerprint: identity.fingerprint,
    ip: config.publicIp,
    ...(config.publicIp6 === undefined ? {} : { ip6: config.publicIp6 }),
    ...(config.publicHost === undefined ? {} : { host: config.publicHost }),
    ...place,
    ...(config.nickname === undefined ? {} : { nickname: config.nickname }),
    ...(config.contact === undefined ? {} : { contact: config.contact }),
    ...(turn === 0 ? {} : { turn }),
    ...(config.accessTokens === undefined ? {} : { access: ACCESS_BY_TOKEN }),
    ufrag: config.iceUfrag,
    pwd: identity.icePassword,
    nk: identity.nk,
    sequence: Math.max(seconds, lastSequence + 1),
    expires: seconds + RECORD_LIFETIME_SECONDS,
  };
  try {
    return await signRecord(record, async (data) => identity.sign(data));
  } catch (error) {
    throw new LumameshError(
      'BAD_CONFIG',
      `these settings make no valid record: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Whether a record is signed by its own node key. */
export function isSignedRecord(record: SignedRelayRecord): boolean {
  return isSignedBy(
    record.nk,
    recordBytes(record),
    fromBase64Url(record.signature) ?? new Uint8Array(0),
  );
}

/** Whether a node key signed these bytes; false for a key that is none. */
export function isSignedBy(nk: string, data: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(
      null,
      data,
      createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: nk }, format: 'jwk' }),
      signature,
    );
  } catch {
    // Not a point of the curve.
    return false;
  }
}
