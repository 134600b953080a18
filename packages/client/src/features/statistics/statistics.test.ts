import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type Instant, LumameshError, instant } from '@lumamesh/base';
import type { NetHandle } from '../../feature.ts';
import { VERSION } from '../../version.ts';
import { measure } from './connection-stats.ts';
import type { PeerStats } from './peer-stats.ts';
import { writeReport } from './report.ts';

type Entry = Record<string, unknown> & { readonly id: string };

const KNOWN: PeerStats = { state: 'open', path: 'direct', rttMs: 0, bufferedAmount: 7 };

/** As in Chromium: two pairs have succeeded, and the transport says which is in use. */
const chromium = (sent: number): readonly Entry[] => [
  { id: 'T', type: 'transport', selectedCandidatePairId: 'B', bytesSent: sent, bytesReceived: 10 },
  pair('A', { nominated: true, state: 'succeeded', localCandidateId: 'L2', bytesSent: 1 }),
  pair('B', { nominated: true, state: 'succeeded', currentRoundTripTime: 0.012 }),
  ...ENDS,
];

/** As in Firefox: the pair says that it is selected, and it counts. */
const firefox = (sent: number): readonly Entry[] => [
  pair('A', { state: 'failed', localCandidateId: 'L2' }),
  pair('B', { selected: true, bytesSent: sent, bytesReceived: 10, currentRoundTripTime: 0.012 }),
  ...ENDS,
];

const ENDS: readonly Entry[] = [
  { id: 'L', type: 'local-candidate', candidateType: 'srflx', protocol: 'udp' },
  { id: 'L2', type: 'local-candidate', candidateType: 'host', protocol: 'tcp' },
  { id: 'R', type: 'remote-candidate', candidateType: 'relay', protocol: 'tcp' },
];

function pair(id: string, more: object): Entry {
  return {
    id,
    type: 'candidate-pair',
    localCandidateId: 'L',
    remoteCandidateId: 'R',
    ...more,
  };
}

/** A connection whose counter grows with a clock that only timers move. */
function scene(entriesOf: (sent: number) => readonly Entry[], bytesPerMs: number) {
  let now = 0;
  return {
    platform: {
      now: (): Instant => instant(now),
      setTimer: (ms: number, run: () => void) => {
        now += ms;
        run();
        return () => undefined;
      },
    },
    connection: {
      connectionState: 'connected' as const,
      getStats: async () =>
        new Map(entriesOf(1000 + now * bytesPerMs).map((entry) => [entry.id, entry])),
    },
    wait: (ms: number) => (now += ms),
  };
}

describe('what browsers say of a connection', () => {
  for (const [name, entriesOf] of Object.entries({ chromium, firefox }))
    it(`is read as ${name} says it, with rates of now`, async () => {
      const { wait, ...measured } = scene(entriesOf, 4);
      const first = await measure(KNOWN, measured);
      assert.deepEqual(first, {
        ...KNOWN,
        path: 'relayed',
        rttMs: 12,
        connectionState: 'connected',
        localCandidate: { type: 'srflx', protocol: 'udp' },
        remoteCandidate: { type: 'relay', protocol: 'tcp' },
        bytesSent: 2000,
        bytesReceived: 10,
        sendRate: 4000,
        receiveRate: 0,
      });
      // Two that ask in turns do not shorten what the rate is of.
      for (let i = 0; i < 50; i++) {
        wait(i % 2 === 0 ? 1 : 400);
        const { sendRate } = await measure(KNOWN, measured);
        assert.equal(sendRate, 4000, String(i));
      }
    });

  it('may be nothing at all', async () => {
    const { wait: _wait, ...measured } = scene(() => [], 0);
    assert.deepEqual(await measure(KNOWN, measured), {
      ...KNOWN,
      connectionState: 'connected',
      bytesSent: 0,
      bytesReceived: 0,
      sendRate: 0,
      receiveRate: 0,
    });
    assert.deepEqual(await measure(KNOWN, { ...measured, connection: null }), KNOWN);
  });

  it('has no rate below zero when counters begin anew', async () => {
    const { wait: _wait, ...measured } = scene(firefox, -2);
    assert.equal((await measure(KNOWN, measured)).sendRate, 0);
  });
});

describe('a report', () => {
  const SECRETS = {
    room: 'planted-room',
    password: 'planted-password',
    nick: 'planted-nick',
    turn: 'planted-turn-host',
    credential: 'planted-credential',
    error: 'planted-error-words',
    key: 'planted-node-key-of-a-relay',
    id: 'planted-id-of-a-peer',
    address: '203.0.113.77',
    hash: 'planted-hash',
  };
  const error = new LumameshError('RELAY_LOST', SECRETS.error);
  const net = {
    platform: {
      now: () => instant(5000),
      unixSeconds: () => 0,
      PeerConnection: null,
      scope: {
        navigator: { userAgent: 'Browser/1\n- forged: line', onLine: true },
        location: { href: `https://example.org/#${SECRETS.hash}` },
      },
    },
    options: {
      iceServers: [
        {
          urls: [`turn:${SECRETS.turn}:3478`, `turns:${SECRETS.turn}`],
          username: SECRETS.turn,
          credential: SECRETS.credential,
        },
      ],
    },
    status: {
      state: 'online',
      code: '',
      text: SECRETS.error,
      known: 3,
      relays: [
        {
          nk: SECRETS.key,
          address: `${SECRETS.address}:3478`,
          state: 'open',
          connectMs: 81.4,
          error,
        },
      ],
    },
    connectionTo: (nk: string) =>
      nk === SECRETS.key
        ? scene(() => [{ id: 'T', type: 'transport', tlsVersion: 'FEFC', tlsGroup: 'X25519' }], 0)
            .connection
        : null,
    rooms: [
      {
        name: SECRETS.room,
        state: 'joined',
        options: { password: SECRETS.password, nick: SECRETS.nick },
        peers: [
          {
            id: SECRETS.id,
            nick: SECRETS.nick,
            role: 'observer',
            stats: async () => ({
              ...KNOWN,
              rttMs: 31.4,
              connectionState: 'connected',
              localCandidate: { type: 'host', protocol: 'udp' },
              remoteCandidate: { type: 'srflx', protocol: 'udp' },
              bytesSent: 11,
              bytesReceived: 12,
              sendRate: 13,
              receiveRate: 14,
            }),
          },
          { id: SECRETS.id, nick: '', role: 'member', stats: async () => KNOWN },
        ],
      },
    ],
  } as unknown as NetHandle;

  it('says how all is, and no secret', async () => {
    const text = await writeReport(net, new Map([[error, instant(3000)]]));
    for (const [name, secret] of Object.entries(SECRETS))
      assert.ok(!text.includes(secret), `${name} in ${text}`);
    for (const said of [
      `Lumamesh ${VERSION}`,
      'browser: Browser/1 - forged: line',
      'ICE servers of the page: turn, turns',
      '- plante: open, ',
      'port 3478, DTLS 1.3, X25519, connected in 81 ms, RELAY_LOST',
      '- room 1: joined, member, private, 2 peers',
      'observer, open, direct host/udp → srflx/udp, connected, rtt 31 ms, waiting 7 bytes, ' +
        'sent 11 bytes (13/s), received 12 (14/s)',
      '- 2.0 s ago: RELAY_LOST',
    ])
      assert.ok(text.includes(said), `${said} in ${text}`);
  });

  it('has the version of the package', () => {
    const file = new URL('../../../package.json', import.meta.url);
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
    assert.equal(VERSION, version);
  });
});
