import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatFingerprint } from '@lumamesh/protocol';
import {
  TEST_CHANNEL,
  TEST_ICE,
  patience,
  serverCertificate,
  serverFingerprint,
  until,
  testIo,
} from '@lumamesh/testkit';
import { type BrowserName, findTestAddress } from '@lumamesh/testkit/browsers';
import { DEFAULT_SESSION_LIMITS, type NegotiatedSecurity } from '@lumamesh/transport';
import { UdpEndpoint, warmUp } from '@lumamesh/transport/io';
import { BROWSERS, serveHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

const LIMIT = 65_536;
const skip = whySkipped() ?? false;

/** The transport alone, sending back what it gets. */
async function startEcho(cookieThreshold: number): Promise<{
  readonly udp: UdpEndpoint;
  readonly relay: object;
  readonly negotiated: NegotiatedSecurity[];
}> {
  const negotiated: NegotiatedSecurity[] = [];
  await warmUp(testIo.crypto, serverCertificate, 50);
  const udp: UdpEndpoint = await UdpEndpoint.start({
    native: testIo.udp,
    crypto: testIo.crypto,
    port: 0,
    ice: TEST_ICE,
    certificate: serverCertificate,
    requestClientCertificate: false,
    negotiatedChannels: [TEST_CHANNEL],
    limits: { maxSessions: 100, cookieThreshold, maxHalfOpen: 100 },
    sessionLimits: DEFAULT_SESSION_LIMITS,
    onEvent: (sessionId, event) => {
      if (event.type === 'secure') negotiated.push(event.negotiated);
      if (event.type === 'message') udp.send(sessionId, event.channelId, event.data);
    },
  });
  const relay = {
    fingerprint: formatFingerprint(serverFingerprint),
    ip: findTestAddress(),
    port: udp.socket.port,
    ufrag: TEST_ICE.ufrag,
    pwd: TEST_ICE.password,
  };
  return { udp, relay, negotiated };
}

describe(
  'a browser and a relay, without signaling, under a policy that forbids fetch and WebSocket',
  { skip },
  () => {
    for (const name of BROWSERS) {
      it(`${name}: echoes strings and binary up to the limit, twenty connects in a row are all quick, and a cookie changes nothing`, async () => {
        const { udp, relay, negotiated } = await startEcho(50);
        const gated = await startEcho(0);
        const page = await serveHarness();
        const tab = await Tab.open(name, page.url);
        try {
          assert.deepEqual((await tab.call<string[]>('blockedWays')).toSorted(), [
            'WebSocket',
            'fetch',
          ]);
          const sizes = [0, 1, 1000, 1200, 5000, 16_384, LIMIT];
          const expected = sizes.flatMap((size) => [`text ${size}`, `binary ${size}`]);
          assert.deepEqual(await tab.call('echo', relay, sizes, true), expected);
          assert.deepEqual(
            await tab.call('echo', relay, [100, LIMIT], false),
            ['text 100', 'binary 100', `text ${LIMIT}`, `binary ${LIMIT}`],
            'opened by DCEP',
          );
          const durations = await tab.call<number[]>('connectInARow', relay, 20);
          // A connect above a second is what one lost or mis-numbered record looks like.
          assert.ok(
            durations.every((ms) => ms < patience(1000)),
            durations.join(', '),
          );
          // Every ClientHello has to bring a cookie back.
          assert.deepEqual(await tab.call('echo', gated.relay, [100], true), [
            'text 100',
            'binary 100',
          ]);
          // With a cookie and without one: what both browsers lead with.
          for (const each of [...negotiated, ...gated.negotiated])
            assert.deepEqual(each, {
              version: '1.3',
              cipherSuite: 'TLS_AES_128_GCM_SHA256',
              group: 'x25519mlkem768',
            });
          const drops = udp.endpoint.drops.snapshot();
          assert.ok(
            !('dtls.record.unauthentic' in drops) && !('sctp.checksum' in drops),
            JSON.stringify(drops),
          );
        } finally {
          await tab.close();
          await page.close();
          await Promise.all([udp.close(), gated.udp.close()]);
        }
      });
    }

    it('a killed browser is gone from the relay within 30 s, a closed one within a second', async () => {
      const page = await serveHarness();
      const seeBothEnds = async (name: BrowserName): Promise<void> => {
        const relay = await startRelay();
        try {
          for (const how of ['close', 'kill'] as const) {
            const tab = await Tab.open(name, page.url);
            await tab.call('join', [relay.record], `room of ${name}`, 'x', '');
            await tab.waitFor('joined');
            const count = (): number =>
              (relay.server.stats()['rooms'] as { members: number }).members;
            assert.equal(count(), 1);
            if (how === 'kill') tab.kill();
            else await tab.call('close');
            const limitMs = how === 'kill' ? 30_000 : 1000;
            await until(
              () => count() === 0,
              `${name}, ${how}: still there after ${limitMs} ms`,
              limitMs,
            );
            await tab.close().catch(() => undefined);
          }
        } finally {
          await relay.close();
        }
      };
      try {
        // Side by side: each waits for what a relay takes for silence.
        await Promise.all(BROWSERS.map(seeBothEnds));
      } finally {
        await page.close();
      }
    });
  },
);
