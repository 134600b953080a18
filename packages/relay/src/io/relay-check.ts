import { LUMAMESH_CHANNEL, type SignedRelayRecord, fingerprintBytes, parseRelayMessage } from '@lumamesh/protocol';
import type { SessionEvent } from '@lumamesh/transport';
import { UdpClient } from '@lumamesh/transport/io';
import type { CheckResult } from '../core/mesh/relay-directory.ts';

/** Nothing at all for this long means that nobody is there; who has answered is given longer for the rest. */
const SILENCE_MS = 2000;
const CHECK_TIMEOUT_MS = 6000;

/**
 * Connects to a relay as a browser would: STUN with its credentials, DTLS to its fingerprint, and the welcome that must show its node key (a record
 * could name somebody else's address and fingerprint). Never rejects; `unknown` when this machine could not even ask.
 */
export async function checkRelay(record: SignedRelayRecord): Promise<CheckResult> {
  const { promise, resolve } = Promise.withResolvers<CheckResult>();
  let timer = setTimeout(() => resolve('dead'), SILENCE_MS);
  const onEvent = (event: SessionEvent): void => {
    if (event.type === 'closed') resolve('dead');
    if (event.type === 'reachable') {
      clearTimeout(timer);
      timer = setTimeout(() => resolve('dead'), CHECK_TIMEOUT_MS);
    }
    if (event.type !== 'message' || typeof event.data !== 'string') return;
    const message = parseRelayMessage(event.data);
    if (!message.ok) return;
    if (message.value.action === 'welcome') resolve(message.value.node.nk === record.nk ? 'alive' : 'dead');
    if (message.value.action === 'error' && message.value.code === 'RELAY_FULL') resolve('full');
  };
  try {
    const client = await UdpClient.toKnownServer(
      {
        remote: { address: record.ip, port: record.port },
        ufrag: record.ufrag,
        password: record.pwd,
        certificateFingerprint: fingerprintBytes(record.fingerprint) ?? new Uint8Array(0),
      },
      LUMAMESH_CHANNEL,
      onEvent,
    );
    const result = await promise;
    await client.close();
    return result;
  } catch {
    // No socket to be had, or one that would not close.
    return 'unknown';
  } finally {
    clearTimeout(timer);
  }
}
