import { type SyncCrypto, instant } from '@lumamesh/base';
import type { LocalCertificate } from '../dtls/handshake.ts';
import { Endpoint } from '../endpoint.ts';
import { DEFAULT_SESSION_LIMITS, Session } from '../session.ts';

const REMOTE = { address: '192.0.2.1', port: 9 };
const ROUNDS_AT_ONCE = 5;
const CHANNEL = { id: 0, properties: { label: 'warm-up', subprotocol: '', isUnordered: false } };

/**
 * Runs whole handshakes in memory, so that the first browser finds compiled code: Chromium resends its ClientHello after 50 ms, which a cold
 * server would miss. It gives way every few milliseconds: a server that listens already can answer meanwhile.
 */
export async function warmUp(
  crypto: SyncCrypto,
  certificate: LocalCertificate,
  rounds: number,
): Promise<void> {
  const ice = { ufrag: 'warm', password: 'warmwarmwarmwarmwarmwarm' };
  const limits = { maxSessions: rounds + 1, cookieThreshold: rounds + 1, maxHalfOpen: rounds + 1 };
  for (let i = 0; i < rounds; i++) {
    if (i % ROUNDS_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    const endpoint = new Endpoint(instant(0), {
      crypto,
      ice,
      certificate,
      requestClientCertificate: false,
      negotiatedChannels: [CHANNEL],
      limits,
      sessionLimits: DEFAULT_SESSION_LIMITS,
    });
    const remoteFingerprint = crypto.hash('sha256', certificate.der);
    const client = Session.client(
      instant(0),
      {
        crypto,
        limits: DEFAULT_SESSION_LIMITS,
        negotiatedChannels: [CHANNEL],
        localUfrag: 'test',
        remoteIce: ice,
        remoteFingerprint,
        certificate: null,
      },
      () => undefined,
    );
    exchange(endpoint, client);
  }
}

/** Passes datagrams both ways at one instant until neither side has more to say. */
function exchange(endpoint: Endpoint, client: Session): void {
  const now = instant(1);
  for (let isBusy = true; isBusy;) {
    isBusy = false;
    for (let output = client.poll(); output !== null; output = client.poll()) {
      if (output.type === 'transmit') {
        endpoint.handleDatagram(now, REMOTE, output.data);
        isBusy = true;
      } else if (output.type === 'connected') client.send(now, CHANNEL.id, 'warm-up');
    }
    for (let output = endpoint.poll(); output !== null; output = endpoint.poll()) {
      if (output.type === 'transmit') {
        client.handleDatagram(now, output.data);
        isBusy = true;
      } else if (output.event.type === 'message')
        endpoint.send(now, output.sessionId, CHANNEL.id, output.event.data);
    }
  }
}
