import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type Remote, type SessionId, sourceOf } from '@lumamesh/transport';
import type { UdpEndpoint } from '@lumamesh/transport/io';
import { RelayCore } from '../core/relay-core.ts';
import { silentLogger } from './log.ts';
import { RelaySessions } from './relay-sessions.ts';

const SECURE = {
  type: 'secure',
  remoteCertificate: null,
  negotiated: { version: '1.3', cipherSuite: 'TLS_AES_128_GCM_SHA256', group: 'x25519' },
} as const;
const NONSENSE = { type: 'message', channelId: 0, data: 'nonsense' } as const;

/** Sessions of an endpoint that is made up: where each is, and what the relay makes of it. */
class Bench {
  readonly abuse: unknown[] = [];
  readonly opened: string[] = [];
  readonly #remotes: Remote[] = [];
  readonly #sessions: RelaySessions;

  constructor(limits: { readonly maxSessions?: number; readonly ofNetwork?: number } = {}) {
    const remoteOf = (session: SessionId): Remote | null => this.#remotes[session] ?? null;
    const core = new RelayCore<SessionId>(
      {
        maxSessions: limits.maxSessions ?? 100,
        maxSessionsPerHost: 2,
        maxSessionsPerNetwork: limits.ofNetwork ?? 100,
        maxRoomSize: 10,
        messagesPerSecond: 100,
        deliveriesPerSecond: 1000,
        bytesPerSecond: 1_000_000,
        dialBacksPerMinute: 10,
        queuedBytes: () => 0,
        sourceOf: (session) => sourceOf(remoteOf(session)?.address ?? ''),
        joinProofs: { challenge: () => 'challenge', verify: () => false },
      },
      { nk: 'test' } as unknown as SignedRelayRecord,
    );
    this.#sessions = new RelaySessions({
      udp: {
        endpoint: { provenRemoteOf: remoteOf },
        send: () => true,
        closeGracefully: () => undefined,
      } as unknown as UdpEndpoint,
      core,
      log: { ...silentLogger, warn: (fields: object) => void this.abuse.push(fields) },
      logsFullAddresses: () => false,
      logsAbuse: () => true,
      onLocalRooms: () => undefined,
      dialBack: async () => Promise.resolve('unknown'),
      onOpened: (address) => this.opened.push(address),
    });
  }

  /** A session of a peer at this address. */
  open(address: string, transport?: 'tcp'): SessionId {
    const session = this.#remotes.length as SessionId;
    const port = 1000 + session;
    this.#remotes.push(transport === undefined ? { address, port } : { address, port, transport });
    this.#sessions.handleEvent(session, SECURE);
    return session;
  }

  misbehave(session: SessionId): void {
    for (let i = 0; i < 21; i++) this.#sessions.handleEvent(session, NONSENSE);
  }
}

describe('what is written down for a firewall', () => {
  it('is who makes mistake after mistake, and whose address has all places that it may have', () => {
    const bench = new Bench();
    bench.misbehave(bench.open('192.0.2.1'));
    for (let i = 0; i < 3; i++) bench.open('192.0.2.2');
    assert.deepEqual(bench.abuse, [
      { from: '192.0.2.1', reason: 'TOO_MANY_ERRORS' },
      { from: '192.0.2.2', reason: 'ADDRESS_FULL' },
    ]);
  });

  it('is nobody who finds a relay full, or the places of his network taken by others', () => {
    for (const limits of [{ maxSessions: 1 }, { ofNetwork: 1 }]) {
      const bench = new Bench(limits);
      bench.open('192.0.2.1');
      for (let i = 0; i < 30; i++) bench.open('192.0.2.2');
      assert.deepEqual(bench.abuse, []);
    }
  });
});

it('a session over TCP is no sign that the UDP port is reached', () => {
  const bench = new Bench();
  bench.open('192.0.2.1', 'tcp');
  bench.open('192.0.2.2');
  assert.deepEqual(bench.opened, ['192.0.2.2']);
});
