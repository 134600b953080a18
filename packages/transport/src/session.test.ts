import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  clientCertificate,
  connectedPair,
  serverCertificate,
  sessionPair,
} from '@lumamesh/testkit';
import { UNPROVEN_AMPLIFICATION_LIMIT } from './amplification-limit.ts';
import { SILENCE_TIMEOUT_MS } from './session.ts';
import { DEFAULT_SESSION_LIMITS } from './session-types.ts';

describe('a session', () => {
  it('comes up from the first check and carries messages both ways', () => {
    const pair = connectedPair();
    pair.client.session.send(pair.net.now, 0, 'from the client');
    pair.server.endpoint.send(pair.net.now, pair.sessionId, 0, new Uint8Array([1, 2, 3]));
    pair.net.touch(pair.client);
    pair.net.touch(pair.server);
    pair.net.run(500);
    assert.deepEqual(pair.server.messages(), ['from the client']);
    assert.deepEqual(pair.client.messages(), [Uint8Array.of(1, 2, 3)]);
  });

  for (const [version, roundTrips] of [
    ['1.3', 4],
    ['1.2', 5],
  ] as const)
    it(`needs ${roundTrips} round trips from cold to the first answer by DTLS ${version}, the first message of the server riding on its COOKIE ECHO`, () => {
      const latencyMs = 50;
      const security = { maxVersion: version };
      const pair = sessionPair({ link: { latencyMs }, client: { security } });
      pair.server.onEvent = (sessionId, event) => {
        if (event.type === 'secure')
          pair.server.endpoint.send(pair.net.now, sessionId, 0, 'welcome');
        if (event.type === 'message')
          pair.server.endpoint.send(pair.net.now, sessionId, 0, 'joined');
      };
      pair.client.onEvent = (event) => {
        if (event.type === 'connected') pair.client.session.send(pair.net.now, 0, 'join');
      };
      assert.ok(pair.net.runUntil(() => pair.client.messages().includes('joined'), 10_000));
      assert.equal(pair.net.now / (2 * latencyMs), roundTrips);
      assert.deepEqual(pair.client.messages(), ['welcome', 'joined']);
    });

  for (const lossRate of [0.05, 0.2, 0.35]) {
    it(`comes up and delivers everything in order with ${lossRate * 100} % loss, reordering and duplicates`, () => {
      for (let seed = 1; seed <= 12; seed++) {
        const pair = sessionPair({
          link: { latencyMs: 15, lossRate, reorderRate: 0.2, duplicateRate: 0.1, seed },
        });
        const isUp = pair.net.runUntil(
          () => pair.server.has('connected') && pair.client.has('connected'),
          15_000,
        );
        // A third of all datagrams lost each way may well take longer than the handshake's limit;
        // then it must end, not hang.
        if (!isUp) {
          assert.ok(lossRate > 0.3, `seed ${seed}`);
          continue;
        }
        const texts = Array.from({ length: 40 }, (_, i) => `message ${i} ${'x'.repeat(i * 97)}`);
        for (const text of texts) assert.ok(pair.client.session.send(pair.net.now, 0, text));
        pair.net.touch(pair.client);
        const isDone = pair.net.runUntil(
          () => pair.server.messages().length >= texts.length || pair.client.session.isClosed,
          120_000,
        );
        assert.ok(isDone || lossRate > 0.3);
        assert.deepEqual(
          pair.server.messages(),
          texts.slice(0, pair.server.messages().length),
          `seed ${seed}`,
        );
        if (lossRate <= 0.2)
          assert.equal(pair.server.messages().length, texts.length, `seed ${seed}`);
      }
    });
  }

  it('survives the loss of any one datagram of the handshake', () => {
    for (let lost = 0; lost < 14; lost++) {
      for (const direction of ['up', 'down']) {
        const drop = (_: Uint8Array, index: number): boolean => index === lost;
        const pair = sessionPair({
          link: { latencyMs: 10, ...(direction === 'up' ? { drop } : {}) },
          backwards: { latencyMs: 10, ...(direction === 'down' ? { drop } : {}) },
        });
        const isUp = pair.net.runUntil(
          () => pair.server.has('connected') && pair.client.has('connected'),
          10_000,
        );
        assert.ok(
          isUp,
          `datagram ${lost} ${direction}: ${JSON.stringify(pair.server.endpoint.drops.snapshot())} ${pair.client.drops.join()}`,
        );
      }
    }
  });

  it('is closed by the other side at once on a clean close, and by silence otherwise', () => {
    const clean = connectedPair();
    clean.client.session.close(clean.net.now);
    clean.net.touch(clean.client);
    clean.net.run(100);
    assert.ok(clean.server.has('closed'));
    assert.equal(clean.server.endpoint.counts.sessions, 0);

    const killed = connectedPair({ link: { latencyMs: 10 } });
    const before = killed.net.now;
    killed.client.handleDatagram = () => undefined;
    killed.client.handleTimeout = () => undefined;
    killed.client.drain = () => null;
    killed.net.run(60_000);
    const closed = killed.server.events.find(({ event }) => event.type === 'closed');
    assert.ok(closed !== undefined && closed.event.type === 'closed');
    assert.equal(closed.event.reason, 'silence');
    assert.ok(closed.at - before <= SILENCE_TIMEOUT_MS + 1000);
    assert.equal(killed.server.endpoint.counts.sessions, 0);
  });

  it('stays up for ten idle minutes', () => {
    const pair = connectedPair();
    pair.net.run(600_000);
    assert.ok(!pair.client.session.isClosed && !pair.server.has('closed'));
    pair.client.session.send(pair.net.now, 0, 'still here');
    pair.net.touch(pair.client);
    pair.net.run(1000);
    assert.deepEqual(pair.server.messages(), ['still here']);
  });

  it('delivers what was queued before a graceful close', () => {
    const pair = connectedPair();
    pair.server.endpoint.send(pair.net.now, pair.sessionId, 0, 'x'.repeat(30_000));
    pair.server.endpoint.send(pair.net.now, pair.sessionId, 0, 'last words');
    pair.server.endpoint.closeGracefully(pair.net.now, pair.sessionId);
    pair.net.touch(pair.server);
    pair.net.run(5000);
    assert.equal(pair.client.messages().at(-1), 'last words');
    assert.ok(pair.client.has('closed') && pair.server.has('closed'));
    assert.equal(pair.server.endpoint.counts.sessions, 0);
  });

  it('fails in the client when the certificate is not the one of the record', () => {
    const pair = sessionPair({ client: { remoteFingerprint: new Uint8Array(32) } });
    pair.net.run(20_000);
    const closed = pair.client.events.find(({ event }) => event.type === 'closed');
    assert.ok(closed?.event.type === 'closed');
    assert.equal(closed.event.reason, 'handshakeFailed');
    assert.equal(closed.event.detail, 'certificateFingerprint');
    assert.ok(!pair.server.has('secure'));
  });

  it('proves the client where the server asks for a certificate, and refuses one that shows none', () => {
    const asked = connectedPair({
      endpoint: { requestClientCertificate: true },
      client: { certificate: clientCertificate },
    });
    const secure = asked.server.events.find(({ event }) => event.type === 'secure');
    assert.ok(secure?.event.type === 'secure');
    assert.deepEqual(secure.event.remoteCertificate, clientCertificate.der);

    const none = sessionPair({ endpoint: { requestClientCertificate: true } });
    none.net.run(20_000);
    assert.ok(!none.server.has('secure'));

    // Somebody else's certificate with a key of one's own.
    const forged = { der: serverCertificate.der, privateKey: clientCertificate.privateKey };
    const impostor = sessionPair({
      endpoint: { requestClientCertificate: true },
      client: { certificate: forged },
    });
    impostor.net.run(20_000);
    assert.ok(!impostor.server.has('secure'));
    assert.ok(
      impostor.server.events.some(
        ({ event }) => event.type === 'closed' && event.detail === 'certificateVerify',
      ),
    );
  });

  it('sends an unproven address at most three times what came from it', () => {
    // The client's checks and ClientHello arrive; nothing of the server's ever does, so the client
    // repeats itself for a while.
    const pair = sessionPair({ backwards: { latencyMs: 1, drop: (data) => (data[0] ?? 0) >= 20 } });
    let received = 0;
    pair.net.runUntil(() => {
      received = pair.net.sent
        .filter(({ from }) => from === pair.client)
        .reduce((sum, { data }) => sum + data.length, 0);
      const sent = pair.net.sent
        .filter(({ from }) => from === pair.server)
        .reduce((sum, { data }) => sum + data.length, 0);
      assert.ok(sent <= UNPROVEN_AMPLIFICATION_LIMIT * received, `${sent} for ${received}`);
      return false;
    }, 30_000);
    assert.ok(received > 0);
  });

  it('carries messages up to the limit, skips larger ones with a word, and goes on', () => {
    const limits = { ...DEFAULT_SESSION_LIMITS, maxMessageBytes: 65_536 };
    const pair = connectedPair({ link: { latencyMs: 5 }, endpoint: { sessionLimits: limits } });
    for (const text of ['a'.repeat(65_536), 'b'.repeat(65_537), 'c'.repeat(400_000), 'after'])
      assert.ok(pair.client.session.send(pair.net.now, 0, text));
    pair.net.touch(pair.client);
    pair.net.run(20_000);
    assert.deepEqual(
      pair.server.messages().map((message) => message.length),
      [65_536, 5],
    );
    assert.equal(
      pair.server.events.filter(({ event }) => event.type === 'messageTooLarge').length,
      2,
    );
  });

  it('refuses to queue more than its limit', () => {
    const pair = connectedPair({
      client: { limits: { ...DEFAULT_SESSION_LIMITS, maxBufferedBytes: 100_000 } },
    });
    assert.ok(pair.client.session.send(pair.net.now, 0, new Uint8Array(60_000)));
    assert.ok(!pair.client.session.send(pair.net.now, 0, new Uint8Array(60_000)));
    assert.equal(pair.client.session.bufferedAmount(0), 60_000);
  });
});
