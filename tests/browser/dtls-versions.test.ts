import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatFingerprint } from '@lumamesh/protocol';
import {
  TEST_CHANNEL,
  TEST_ICE,
  patienceNow,
  serverCertificate,
  serverFingerprint,
  testIo,
} from '@lumamesh/testkit';
import { type BrowserName, findTestAddress } from '@lumamesh/testkit/browsers';
import {
  DEFAULT_SESSION_LIMITS,
  type NegotiatedSecurity,
  type SecurityOptions,
} from '@lumamesh/transport';
import { UdpEndpoint, monotonicNow, warmUp } from '@lumamesh/transport/io';
import { DelayedPort } from './delayed-port.ts';
import { BROWSERS, serveHarness, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/* Both browsers with versions of DTLS that they are made to speak, and how many round trips it takes. */
const skip = whySkipped() ?? false;
const DELAY_MS = 50;
const CONNECTS = 9;

/** A relay's transport that sends back what it gets. */
class Echo {
  readonly udp: UdpEndpoint;
  readonly negotiated: NegotiatedSecurity[] = [];
  /** When the first message of each session was there, by the port of its peer. */
  readonly messageAt = new Map<number, number>();

  private constructor(udp: UdpEndpoint) {
    this.udp = udp;
  }

  static async start(security: SecurityOptions = {}): Promise<Echo> {
    await warmUp(testIo.crypto, serverCertificate, 150);
    const echo: Echo = new Echo(
      await UdpEndpoint.start({
        crypto: testIo.crypto,
        native: testIo.udp,
        port: 0,
        ice: TEST_ICE,
        certificate: serverCertificate,
        requestClientCertificate: false,
        security,
        negotiatedChannels: [TEST_CHANNEL],
        limits: { maxSessions: 100, cookieThreshold: 50, maxHalfOpen: 100 },
        sessionLimits: DEFAULT_SESSION_LIMITS,
        onEvent: (sessionId, event) => {
          if (event.type === 'secure') {
            echo.negotiated.push(event.negotiated);
            echo.udp.send(sessionId, TEST_CHANNEL.id, 'welcome');
          }
          if (event.type !== 'message') return;
          const port = echo.udp.endpoint.remoteOf(sessionId)?.port ?? 0;
          if (!echo.messageAt.has(port)) echo.messageAt.set(port, monotonicNow());
          echo.udp.send(sessionId, event.channelId, event.data);
        },
      }),
    );
    return echo;
  }

  record(port = this.udp.socket.port): object {
    return {
      fingerprint: formatFingerprint(serverFingerprint),
      ip: findTestAddress(),
      port,
      ufrag: TEST_ICE.ufrag,
      pwd: TEST_ICE.password,
    };
  }
}

/** What keeps a browser from what it leads with. No switch of Chromium's takes DTLS 1.3 away. */
const RESTRICTED: readonly [BrowserName, string, string[], Record<string, unknown>, string][] = [
  [
    'chromium',
    'without ML-KEM, in one datagram',
    ['--disable-features=WebRtcPqcForDtls'],
    {},
    '1.3 x25519',
  ],
  // As TLS has them: 771 is 1.2, 772 is 1.3.
  ['firefox', 'of 1.2 alone', [], versions(771), '1.2 x25519'],
  ['firefox', 'of 1.3 alone', [], versions(772), '1.3 x25519mlkem768'],
];

function versions(number: number): Record<string, unknown> {
  return {
    'media.peerconnection.dtls.version.min': number,
    'media.peerconnection.dtls.version.max': number,
  };
}

describe('versions of DTLS', { skip }, () => {
  for (const [name, what, more, preferences, expected] of RESTRICTED) {
    it(`${name} ${what}: ${expected}`, async () => {
      const echo = await Echo.start();
      const page = await serveHarness();
      const tab = await Tab.open(name, page.url, undefined, more, preferences);
      try {
        await tab.call('connectInARow', echo.record(), 3);
        assert.deepEqual(
          echo.negotiated.map(({ version, group }) => `${version} ${group}`),
          [expected, expected, expected],
        );
      } finally {
        await tab.close();
        await page.close();
        await echo.udp.close();
      }
    });
  }

  for (const name of BROWSERS) {
    it(`${name}, with each group that a relay may prefer, and with a relay of 1.2`, async () => {
      const page = await serveHarness();
      const tab = await Tab.open(name, page.url);
      const seen: string[] = [];
      const relays: SecurityOptions[] = [
        { groups: ['x25519'] },
        // Asked for by a HelloRetryRequest: neither sends a share of it.
        { groups: ['secp256r1'] },
        { maxVersion: '1.2' },
      ];
      try {
        for (const security of relays) {
          const echo = await Echo.start(security);
          await tab.call('connectInARow', echo.record(), 2);
          for (const { version, group } of echo.negotiated) seen.push(`${version} ${group}`);
          await echo.udp.close();
        }
        assert.deepEqual(
          seen,
          ['1.3 x25519', '1.3 secp256r1', '1.2 x25519'].flatMap((kind) => [kind, kind]),
        );
      } finally {
        await tab.close();
        await page.close();
      }
    });

    it(`${name} needs four round trips of 100 ms from its first check to the first answer`, async () => {
      const echo = await Echo.start();
      const address = findTestAddress() ?? '';
      const far = await DelayedPort.open({ address, port: echo.udp.socket.port }, DELAY_MS);
      const page = await serveHarness();
      const tab = await Tab.open(name, page.url);
      try {
        const roundTrips: number[] = [];
        for (let i = 0; i < CONNECTS; i++) {
          await tab.call('firstAnswer', echo.record(far.port));
        }
        for (const [port, at] of echo.messageAt) {
          const firstAt = far.firstAt(port);
          // The answer is on its way for another half of one.
          if (firstAt !== undefined) roundTrips.push((at + DELAY_MS - firstAt) / (2 * DELAY_MS));
        }
        assert.equal(roundTrips.length, CONNECTS);
        const median = roundTrips.toSorted((a, b) => a - b)[Math.floor(CONNECTS / 2)] ?? 99;
        process.stdout.write(
          `${name}: ${median.toFixed(2)} round trips (${roundTrips.map((n) => n.toFixed(2)).join(', ')})\n`,
        );
        assert.ok(median >= 4 && median <= patienceNow(4.3), roundTrips.join(', '));
      } finally {
        await tab.close();
        await page.close();
        await far.close();
        await echo.udp.close();
      }
    });
  }
});
