import { randomBytes } from 'node:crypto';
import { CHANNEL_ID, CHANNEL_LABEL, type SignedRelayRecord, fingerprintBytes, parseRelayMessage } from '@lumamesh/protocol';
import { DEFAULT_SESSION_LIMITS, type SessionEvent } from '@lumamesh/transport';
import { UdpClient, nodeCrypto } from '@lumamesh/transport/io';
import type { CheckResult } from '../core/mesh/relay-directory.ts';

const CHECK_TIMEOUT_MS = 5000;
const UFRAG_BYTES = 6;

/**
 * Connects to a relay as a browser would: STUN with its credentials, DTLS to its fingerprint, and the welcome that must show its node key (a record
 * could name somebody else's address and fingerprint). Never rejects.
 */
export async function checkRelay(record: SignedRelayRecord, timeoutMs = CHECK_TIMEOUT_MS): Promise<CheckResult> {
  let client: UdpClient | null = null;
  try {
    return await new Promise<CheckResult>((resolve, reject) => {
      const timer = setTimeout(() => resolve('dead'), timeoutMs);
      const settle = (result: CheckResult): void => {
        clearTimeout(timer);
        resolve(result);
      };
      const onEvent = (event: SessionEvent): void => {
        if (event.type === 'closed') settle('dead');
        if (event.type !== 'message' || typeof event.data !== 'string') return;
        const message = parseRelayMessage(event.data);
        if (!message.ok) return;
        if (message.value.action === 'welcome') settle(message.value.node.nk === record.nk ? 'alive' : 'dead');
        if (message.value.action === 'error' && message.value.code === 'RELAY_FULL') settle('full');
      };
      UdpClient.connect({
        crypto: nodeCrypto,
        limits: { ...DEFAULT_SESSION_LIMITS, maxChannels: 1 },
        negotiatedChannels: [{ id: CHANNEL_ID, properties: { label: CHANNEL_LABEL, subprotocol: '', isUnordered: false } }],
        localUfrag: randomBytes(UFRAG_BYTES).toString('hex'),
        remoteIce: { ufrag: record.ufrag, password: record.pwd },
        remoteFingerprint: fingerprintBytes(record.fingerprint) ?? new Uint8Array(0),
        certificate: null,
        remote: { address: record.ip, port: record.port },
        onEvent,
      }).then((connecting) => (client = connecting), reject);
    });
  } catch {
    // No socket to be had.
    return 'dead';
  } finally {
    await (client as UdpClient | null)?.close();
  }
}
