import { type SignedRelayRecord, fingerprintBytes } from '@lumamesh/protocol';
import type { ClientSessionOptions, SessionEvent } from '@lumamesh/transport';
import { UdpClient, nodeCrypto } from '@lumamesh/transport/io';
import { TEST_CHANNEL, clientOptions } from './session-pair.ts';

/** What a session of the client role needs to know of the relay that a record names. */
export function relayClientOptions(record: SignedRelayRecord): ClientSessionOptions {
  return clientOptions({
    crypto: nodeCrypto,
    remoteIce: { ufrag: record.ufrag, password: record.pwd },
    remoteFingerprint: fingerprintBytes(record.fingerprint) ?? new Uint8Array(0),
    negotiatedChannels: [TEST_CHANNEL],
  });
}

/** A client over UDP of the relay that a record names. */
export async function connectToRelay(
  record: SignedRelayRecord,
  onEvent: (event: SessionEvent) => void,
): Promise<UdpClient> {
  return UdpClient.connect({
    ...relayClientOptions(record),
    remote: { address: record.ip, port: record.port },
    onEvent,
  });
}
