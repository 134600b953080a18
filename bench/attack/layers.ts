import { encodeDataChunk } from '../../packages/transport/src/sctp/chunk/data-chunk.ts';
import { encodeForwardTsnChunk } from '../../packages/transport/src/sctp/chunk/forward-tsn-chunk.ts';
import type { Chunk } from '../../packages/transport/src/sctp/chunk/packet.ts';
import { encodeReConfigChunk } from '../../packages/transport/src/sctp/chunk/re-config-chunk.ts';
import { encodeSackChunk } from '../../packages/transport/src/sctp/chunk/sack-chunk.ts';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type Attack, FROM, flood, floodFrom } from './flood.ts';
import { RawStub } from './raw-stub.ts';
import { Stub, socketAt } from './stub.ts';

/* Clients that have a session, and say in DTLS and SCTP what no stack says. */
const SESSIONS = 16;

/** All of them send such packets in turn; an association that the relay has ended is opened anew. */
async function speak(
  record: SignedRelayRecord,
  make: (stub: RawStub, i: number) => readonly Chunk[],
  keyUpdateAfterRecords?: number,
): Promise<void> {
  const stubs = Array<RawStub | null>(SESSIONS).fill(null);
  const open = async (): Promise<void> => {
    for (let at = 0; at < SESSIONS; at++)
      stubs[at] = await RawStub.open(record, keyUpdateAfterRecords);
  };
  await open();
  setInterval(() => void open(), 15_000);
  flood((i) => {
    const stub = stubs[i % SESSIONS];
    return stub === null || stub === undefined ? 1000 : stub.say(...make(stub, i));
  });
}

const dataChunk = (tsn: number, i: number, flags: { isBegin: boolean; isEnd: boolean }): Chunk =>
  encodeDataChunk({
    ...flags,
    tsn: tsn >>> 0,
    streamId: i % 64,
    ssn: i & 0xffff,
    ppid: 51,
    isUnordered: false,
    isImmediate: true,
    data: Uint8Array.of(120),
  });

export const LAYERS: Readonly<Record<string, Attack>> = {
  'sctp-sacks': {
    what: 'SACKs with as many gap blocks as fit',
    run: async (record) =>
      speak(record, (stub) => [
        encodeSackChunk({
          cumulativeTsnAck: (stub.theirTsn - 1) >>> 0,
          aRwnd: 131_072,
          gapAckBlocks: Array.from({ length: 280 }, (_, n) => ({
            start: 2 * n + 2,
            end: 2 * n + 2,
          })),
          duplicateTsns: [],
        }),
      ]),
  },
  'sctp-gaps': {
    what: 'chunks of one byte that leave gaps, and FORWARD-TSNs across them',
    run: async (record) =>
      speak(record, (stub, i) => {
        if (i % 64 < SESSIONS)
          return [
            encodeForwardTsnChunk({ newCumulativeTsn: (stub.ownTsn + i) >>> 0, skipped: [] }),
          ];
        return Array.from({ length: 48 }, (_, n) =>
          dataChunk(stub.ownTsn + i + 2 * n, n, { isBegin: true, isEnd: n % 2 === 0 }),
        );
      }),
  },
  'sctp-resets': {
    what: 'requests to reset all streams, and HEARTBEATs, as many as fit',
    run: async (record) =>
      speak(record, (stub, i) => [
        encodeReConfigChunk([
          {
            type: 'outgoingReset',
            requestSequence: (stub.ownTsn + Math.floor(i / SESSIONS)) >>> 0,
            responseSequence: (stub.theirTsn - 1) >>> 0,
            lastTsn: stub.ownTsn,
            streamIds: Array.from({ length: 256 }, (_, n) => n),
          },
        ]),
        ...Array.from({ length: 30 }, () => ({ type: 4, flags: 0, value: new Uint8Array(12) })),
      ]),
  },
  'sctp-unknown': {
    what: 'chunks of types that nobody knows, each of which asks to be told so',
    run: async (record) =>
      speak(record, () =>
        Array.from({ length: 110 }, (_, n) => ({
          type: 0xc1 + (n % 32),
          flags: 0,
          value: Uint8Array.of(0, 0, 0, 0),
        })),
      ),
  },
  'key-updates': {
    what: 'a KeyUpdate of DTLS 1.3 behind each record',
    run: async (record) => {
      const heartbeat = { type: 4, flags: 0, value: new Uint8Array(12) };
      await speak(record, () => [heartbeat], 1);
    },
  },
  'forged-records': {
    what: 'copies of the own records, damaged, a datagram full of them',
    run: async (record) => {
      const stub = await Stub.open(record, { from: FROM, mayGo: () => true });
      while (!stub.isConnected) await new Promise((resolve) => setTimeout(resolve, 50));
      stub.say({ action: 'ping' });
      const copy = (stub.sent.at(-1) ?? new Uint8Array(40)).slice();
      copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
      const full = new Uint8Array(copy.length * Math.floor(1200 / copy.length));
      for (let at = 0; at < full.length; at += copy.length) full.set(copy, at);
      flood(() => {
        stub.throw(full);
        return full.length;
      });
    },
  },
  moving: {
    what: 'a session that goes on from another port with each datagram',
    run: async (record) => {
      const sockets = await Promise.all(Array.from({ length: 500 }, async () => socketAt(FROM)));
      let turn = 0;
      let isMoving = false;
      let check: Uint8Array = new Uint8Array(20);
      const stub: Stub = await Stub.open(record, {
        from: FROM,
        mayGo: (datagram) => {
          // Once it has a session all of it comes from elsewhere: its check, and then the record.
          if (!isMoving) return true;
          const socket = sockets[turn++ % sockets.length];
          for (const data of [check, datagram]) socket?.send(data, record.port, record.ip);
          return false;
        },
      });
      while (!stub.isConnected) await new Promise((resolve) => setTimeout(resolve, 50));
      check = stub.sent[0] ?? check;
      isMoving = true;
      flood(() => {
        stub.say({ action: 'ping' });
        return 250;
      });
    },
  },
  'restart-claims': {
    what: 'checks that name a session of before, by guesses, from many ports',
    run: async (record) => {
      const checks: Uint8Array[] = [];
      for (let i = 0; i < 64; i++) {
        const stub = await Stub.open(record, {
          from: FROM,
          mayGo: () => false,
          // USERNAME `<relay's>/<before>:<own>` (docs/wire-protocol.md, section 2).
          relayUfrag: `${record.ufrag}/${`g${i}`.padEnd(4, 'u')}`,
        });
        const [check] = stub.sent;
        if (check !== undefined) checks.push(check);
        stub.close(false);
      }
      await floodFrom(record, (i) => checks[i % checks.length] ?? new Uint8Array(20), 500);
    },
  },
  'bandwidth-cap': {
    what: 'noise at a relay whose MAX_BANDWIDTH is hardly more than that',
    environment: { MAX_BANDWIDTH: '1600000' },
    run: async (record) => floodFrom(record, () => new Uint8Array(1000)),
  },
};
