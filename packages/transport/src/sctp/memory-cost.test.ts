import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { concatBytes, instant } from '@lumamesh/base';
import { seededBytes } from '@lumamesh/testkit';
import { DEFAULT_SESSION_LIMITS } from '../session-types.ts';
import { Association } from './association.ts';
import type { DataChunk } from './chunk/data-chunk.ts';
import { decodeInitChunk, encodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE, type Chunk, PacketBuilder, decodePacket } from './chunk/packet.ts';
import { ReassemblyQueue } from './queue/reassembly-queue.ts';
import { RetransmissionQueue } from './queue/retransmission-queue.ts';
import { SendQueue } from './queue/send-queue.ts';

/*
 * What a session makes us hold is counted by `heldBytes`; here it is compared with what the process
 * pays for many sessions that are as expensive as their peers can make them.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const NOW = instant(0);
const SESSIONS = 60;
const ITEMS = 400;

interface Holder {
  readonly heldBytes: number;
}

function usedBytes(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What is held by `SESSIONS` of these costs no more than they say, and not a fraction of it. */
function compare(make: () => Holder): void {
  // Whatever is compiled or grown once is not the session's.
  make();
  const before = usedBytes();
  const holders = Array.from({ length: SESSIONS }, make);
  const paid = (usedBytes() - before) / SESSIONS;
  const counted = holders.reduce((sum, { heldBytes }) => sum + heldBytes, 0) / SESSIONS;
  const perItem = `${Math.round(paid / ITEMS)} bytes paid, ${Math.round(counted / ITEMS)} counted`;
  assert.ok(paid <= counted, perItem);
  assert.ok(paid >= counted / 3, perItem);
}

function chunk(i: number, change: Partial<DataChunk>): DataChunk {
  return {
    tsn: i,
    streamId: 0,
    ssn: 1 + i,
    ppid: 51,
    isBegin: true,
    isEnd: false,
    isUnordered: false,
    isImmediate: false,
    data: new Uint8Array(1),
    ...change,
  };
}

function reassembly(change: (i: number) => Partial<DataChunk>): Holder {
  const queue = new ReassemblyQueue(
    1_048_576,
    () => undefined,
    () => undefined,
  );
  for (let i = 0; i < ITEMS; i++) queue.add(chunk(i, change(i)));
  return queue;
}

/** An association that its peer has set up by an INIT with a parameter that asks to be reported. */
function setUp(seed: number): Association {
  const randomBytes = seededBytes(seed);
  const association = new Association(NOW, {
    randomBytes,
    limits: DEFAULT_SESSION_LIMITS,
    maxPacketBytes: 1160,
    holdsCrossingInit: false,
  });
  const say = (chunk: Chunk, tag: number): Chunk | undefined => {
    const packet = new PacketBuilder(1200);
    packet.add(chunk);
    // As it is opened: in a chunk with what else has come.
    const whole = new Uint8Array(16_384);
    const bytes = packet.finish(5000, 5000, tag);
    whole.set(bytes);
    association.handleDatagram(NOW, whole.subarray(0, bytes.length));
    let reply: Uint8Array = new Uint8Array(0);
    for (let output = association.poll(); output !== null; output = association.poll())
      if (output.type === 'transmit') reply = output.data;
    const decoded = decodePacket(reply);
    return decoded.ok ? decoded.value.chunks[0] : undefined;
  };
  const init = encodeInitChunk(CHUNK_TYPE.init, {
    initiateTag: 1,
    aRwnd: 100_000,
    outboundStreams: 1,
    inboundStreams: 1,
    initialTsn: 1,
    supportsForwardTsn: true,
    supportsReConfig: true,
    stateCookie: null,
    unrecognized: [],
  });
  const value = concatBytes([init.value, Uint8Array.of(0xc0, 0xff, 0, 8, 1, 2, 3, 4)]);
  const ack = decodeInitChunk(say({ ...init, value }, 0) ?? init);
  assert.ok(ack.ok && ack.value.stateCookie !== null);
  const echo = { type: CHUNK_TYPE.cookieEcho, flags: 0, value: ack.value.stateCookie };
  assert.equal(say(echo, ack.value.initiateTag)?.type, CHUNK_TYPE.cookieAck);
  return association;
}

it('an association keeps nothing of the datagram that its INIT came in', () => {
  setUp(1);
  const before = usedBytes();
  const associations = Array.from({ length: SESSIONS }, (_, i) => setUp(i + 2));
  const paid = (usedBytes() - before) / SESSIONS;
  assert.ok(paid < 12_000, `${Math.round(paid)} bytes each`);
  assert.equal(associations.length, SESSIONS);
});

describe('what a session makes us hold costs what is counted for it', () => {
  for (const bytes of [1, 65, 1000]) {
    const data = new Uint8Array(bytes);

    it(`fragments of messages that never end, ${bytes} bytes each`, () =>
      compare(() => reassembly(() => ({ data }))));

    it(`fragments of one message, ${bytes} bytes each`, () =>
      compare(() => reassembly((i) => ({ data, ssn: 1, isBegin: i === 0 }))));

    it(`whole messages whose turn has not come, ${bytes} bytes each`, () =>
      compare(() => reassembly(() => ({ data, isEnd: true }))));

    it(`messages that wait to be sent, ${bytes} bytes each`, () =>
      compare(() => {
        const queue = new SendQueue();
        for (let i = 0; i < ITEMS; i++) queue.push(NOW, 0, 51, data.slice(), false, {});
        return queue;
      }));

    it(`messages in flight, ${bytes} bytes each`, () =>
      compare(() => {
        const queue = new SendQueue();
        const flight = new RetransmissionQueue(1);
        for (let i = 0; i < ITEMS; i++) {
          queue.push(NOW, 0, 51, data.slice(), false, {});
          const fragment = queue.take(NOW, bytes);
          assert.ok(fragment !== null);
          flight.push(NOW, fragment);
        }
        return flight;
      }));
  }
});
