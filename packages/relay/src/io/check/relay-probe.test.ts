import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CHANNEL_ID,
  LUMAMESH_CHANNEL,
  type SignedRelayRecord,
  formatFingerprint,
} from '@lumamesh/protocol';
import {
  TEST_ICE,
  openUdpSockets,
  serverCertificate,
  serverFingerprint,
  testIo,
  until,
} from '@lumamesh/testkit';
import { DEFAULT_SESSION_LIMITS } from '@lumamesh/transport';
import { UdpEndpoint } from '@lumamesh/transport/io';
import type { Finding } from './finding.ts';
import { checkRecord } from './relay-check.ts';
import { probeRelay } from './relay-probe.ts';

/* What a hostile relay says first must not make its checker fail, nor be believed. */
describe('a relay that is probed and does not play by the rules', () => {
  let udp: UdpEndpoint;
  let firstWord: string | Uint8Array = '';
  let ofEndpoint = 0;

  before(async () => {
    udp = await UdpEndpoint.start({
      native: testIo.udp,
      crypto: testIo.crypto,
      port: 0,
      address: '127.0.0.1',
      ice: TEST_ICE,
      certificate: serverCertificate,
      requestClientCertificate: false,
      negotiatedChannels: [LUMAMESH_CHANNEL],
      limits: { maxSessions: 100, cookieThreshold: 50, maxHalfOpen: 100 },
      sessionLimits: DEFAULT_SESSION_LIMITS,
      onEvent: (sessionId, event) => {
        if (event.type === 'secure') udp.send(sessionId, CHANNEL_ID, firstWord);
      },
    });
    ofEndpoint = openUdpSockets();
  });
  after(async () => udp.close());

  const record = (): SignedRelayRecord => ({
    fingerprint: formatFingerprint(serverFingerprint),
    ip: '127.0.0.1',
    port: udp.socket.port,
    ufrag: TEST_ICE.ufrag,
    pwd: TEST_ICE.password,
    nk: 'A'.repeat(43),
    sequence: 1,
    expires: 4_000_000_000,
    signature: 'A'.repeat(86),
  });

  it('is slow for all that is known, when it says nothing', async () => {
    firstWord = new Uint8Array(0);
    const shown = record();
    let last: Finding | null = null;
    for await (const finding of checkRecord(shown, { answerMs: 1000 })) last = finding;
    assert.ok(last !== null);
    assert.deepEqual([last.name, last.verdict], ['node key', 'fail']);
    assert.match(last.detail, /^no answer within \d+(\.\d)? s$/);
    assert.match(last.mend ?? '', /slow or overloaded/);
    assert.doesNotMatch(last.mend ?? '', /another relay/);
  });

  it('is given up at once, and nothing of it stays open, when nobody wants to know any more', async () => {
    firstWord = new Uint8Array(0);
    await until(() => openUdpSockets() === ofEndpoint, 'a probe of before stays open');
    for (const reachedStages of [0, 1]) {
      const stopping = new AbortController();
      // Nobody is there; or somebody who says nothing.
      const port = reachedStages === 0 ? 9 : udp.socket.port;
      const probe = probeRelay(
        { ...record(), port },
        { signal: stopping.signal, answerMs: 3e6, silenceMs: 3e6 },
      );
      await until(() => openUdpSockets() > ofEndpoint, 'it is not dialled');
      stopping.abort();
      assert.equal((await probe).result, 'unknown');
      await until(() => openUdpSockets() === ofEndpoint, 'its socket stays open');
      assert.equal((await probeRelay(record(), { signal: stopping.signal })).result, 'unknown');
    }
  });

  it('is dead, whatever it shows, and no exception', async () => {
    const welcome = (node: unknown): string =>
      JSON.stringify({ action: 'welcome', version: 1, node, limits: {} });
    const shown = record();
    const words = [
      welcome({ nk: shown.nk }),
      welcome({ ...shown, signature: 7 }),
      welcome({ ...shown, ip: '\u001B[31m' }),
      welcome({ ...shown, nk: 'B'.repeat(43) }),
      JSON.stringify({ action: 'error', code: 'X'.repeat(20_000), message: '\u001B[2J' }),
    ];
    for (const word of words) {
      firstWord = word;
      const { result, stages } = await probeRelay(shown, { joins: true });
      assert.equal(result, 'dead', word);
      assert.deepEqual(
        stages.map(({ stage }) => stage),
        ['ice', 'dtls'],
      );
      let last: Finding | null = null;
      for await (const finding of checkRecord(shown)) last = finding;
      const { name, verdict, detail } = last ?? { name: '', verdict: 'skip', detail: '' };
      assert.deepEqual([name, verdict], ['node key', 'fail'], word);
      assert.ok(detail.length <= 300);
    }
  });
});
