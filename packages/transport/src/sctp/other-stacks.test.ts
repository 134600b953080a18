import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteWriter, instant, readUint32 } from '@lumamesh/base';
import { connectedPair } from '@lumamesh/testkit';
import { DataChannels } from '../datachannel/data-channels.ts';
import { PPID } from '../datachannel/dcep.ts';
import { AssociationHost, chunksOf, inject, up } from './association-harness.test-support.ts';
import { CHUNK_TYPE, type Chunk, PacketBuilder } from './chunk/packet.ts';
import { type Parameter, writeParameter } from './chunk/parameter.ts';

/* What SCTP stacks other than those of browsers say: other numbers, other extensions. */
const PEER_TAG = 77;

function init(
  fields: {
    readonly tag?: number;
    readonly aRwnd?: number;
    readonly streams?: number;
    readonly parameters?: readonly Parameter[];
  } = {},
): Chunk {
  const { tag = PEER_TAG, aRwnd = 100_000, streams = 1024, parameters = [] } = fields;
  const writer = new ByteWriter(64).uint32(tag).uint32(aRwnd).uint16(streams).uint16(streams);
  writer.uint32(5);
  for (const parameter of parameters) writeParameter(writer, parameter);
  return { type: CHUNK_TYPE.init, flags: 0, value: writer.finish() };
}

/** A server's side that has sent its own INIT, and what it says to an INIT. */
function replyTo(chunk: Chunk): {
  readonly host: AssociationHost;
  readonly replies: readonly Chunk[];
  readonly tags: readonly number[];
} {
  const host = new AssociationHost(instant(0), 4);
  host.association.connect(instant(0));
  const sent: Uint8Array[] = [];
  host.drain(instant(0), () => undefined);
  const packet = new PacketBuilder(2000);
  packet.add(chunk);
  host.handleDatagram(instant(1), packet.finish(5000, 5000, 0));
  host.drain(instant(1), (data) => sent.push(data));
  host.handleTimeout(instant(60));
  host.drain(instant(60), (data) => sent.push(data));
  return {
    host,
    replies: sent.flatMap(chunksOf),
    tags: sent.map((data) => readUint32(data, 4)),
  };
}

describe('the INIT of another stack', () => {
  const accepted: [string, Chunk][] = [
    ['65 535 streams', init({ streams: 65_535 })],
    ['one stream', init({ streams: 1 })],
    ['the smallest window', init({ aRwnd: 1500 })],
    [
      'I-DATA, zero checksum, authentication, padding and adaptation offered',
      init({
        parameters: [
          { type: 0x8008, value: Uint8Array.of(130, 192, 64, 194, 15) },
          { type: 0x8001, value: Uint8Array.of(0, 0, 0, 1) },
          { type: 0x8002, value: new Uint8Array(32) },
          { type: 0x8005, value: new Uint8Array(40) },
          { type: 0xc006, value: Uint8Array.of(0, 0, 0, 1) },
          { type: 0xc000, value: new Uint8Array(0) },
        ],
      }),
    ],
    ['neither FORWARD-TSN nor RE-CONFIG', init()],
    ['addresses', init({ parameters: [{ type: 5, value: Uint8Array.of(127, 0, 0, 1) }] })],
  ];
  for (const [name, chunk] of accepted) {
    it(`is acknowledged: ${name}`, () => {
      const { replies, tags, host } = replyTo(chunk);
      assert.deepEqual(
        replies.map(({ type }) => type),
        [CHUNK_TYPE.initAck],
      );
      assert.deepEqual(tags, [PEER_TAG]);
      assert.deepEqual(host.drops, []);
    });
  }

  const refused: [string, Chunk][] = [
    ['no streams', init({ streams: 0 })],
    ['a window below 1500 bytes', init({ aRwnd: 1499 })],
  ];
  for (const [name, chunk] of refused) {
    it(`is refused by an ABORT under the peer's own tag: ${name}`, () => {
      const { replies, tags, host } = replyTo(chunk);
      assert.deepEqual(
        replies.map(({ type, value }) => [type, ...value.subarray(0, 4)]),
        [[CHUNK_TYPE.abort, 0, 7, 0, 4]],
      );
      assert.deepEqual(tags, [PEER_TAG]);
      assert.deepEqual(host.drops, ['sctp.init.invalid']);
      assert.ok(host.has('closed'));
    });
  }

  it('is passed over where it has no tag to reply to, and cannot end what is established', () => {
    const { replies, host } = replyTo(init({ tag: 0 }));
    assert.deepEqual([replies, host.drops], [[], ['sctp.init.invalid']]);
    const made = up();
    inject(made, made.b, [init({ streams: 0 })], 0);
    assert.ok(!made.b.has('closed'));
    made.send(made.a, 'still here');
    made.net.run(500);
    assert.deepEqual(made.b.messages(), ['still here']);
  });
});

describe('an association with another stack', () => {
  it('replies to HEARTBEATs as large as a path probe, to no larger ones', () => {
    const made = up();
    made.net.run(500);
    for (const [bytes, replies] of [
      [4, 1],
      [1100, 1],
      [1101, 0],
    ] as const) {
      const before = made.net.sent.length;
      inject(made, made.b, [
        { type: CHUNK_TYPE.heartbeat, flags: 0, value: new Uint8Array(bytes) },
      ]);
      const acks = made.net.sent
        .slice(before)
        .flatMap(({ data }) => chunksOf(data))
        .filter(({ type }) => type === CHUNK_TYPE.heartbeatAck);
      assert.equal(acks.length, replies, `${bytes} bytes`);
    }
  });

  it('skips PAD chunks and I-DATA that it never agreed to', () => {
    const made = up();
    inject(made, made.b, [{ type: 132, flags: 0, value: new Uint8Array(500) }]);
    inject(made, made.b, [{ type: 64, flags: 3, value: new Uint8Array(20) }]);
    made.send(made.a, 'goes on');
    made.net.run(500);
    assert.deepEqual(made.b.messages(), ['goes on']);
  });
});

describe('channels of another stack', () => {
  it('that cannot be are closed by a reset, not left open', () => {
    const resets: (readonly number[])[] = [];
    const channels = new DataChannels(
      {
        outboundStreams: 256,
        send: () => true,
        resetStreams: (_, ids) => void resets.push(ids),
        bufferedBytesOf: () => 0,
      },
      false,
      16,
      () => undefined,
    );
    const open = Uint8Array.of(3, 0x55, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 120);
    const message = { type: 'message', ppid: PPID.dcep, isUnordered: false } as const;
    assert.equal(
      channels.handleSctpEvent(instant(0), { ...message, streamId: 4, data: open }),
      'dcep.open.channelType',
    );
    assert.deepEqual(resets, [[4]]);
    channels.openNegotiated(0, { label: 'x', subprotocol: '', isUnordered: false });
    channels.handleSctpEvent(instant(0), { ...message, streamId: 0, data: open });
    assert.deepEqual(resets, [[4]], 'the negotiated one stays');
  });

  it('are closed one by one by the endpoint, and the session goes on', () => {
    const pair = connectedPair();
    const properties = { label: 'other', subprotocol: '', isUnordered: false };
    const id = pair.client.session.openChannel(pair.net.now, properties);
    assert.ok(id !== null);
    pair.net.touch(pair.client);
    pair.net.run(200);
    pair.server.endpoint.closeChannel(pair.net.now, pair.sessionId, id);
    pair.net.touch(pair.server);
    assert.ok(pair.net.runUntil(() => pair.client.has('channelClosed'), 2000));
    pair.client.session.send(pair.net.now, 0, 'still here');
    pair.net.touch(pair.client);
    pair.net.run(200);
    assert.deepEqual(pair.server.messages(), ['still here']);
    pair.server.endpoint.closeChannel(pair.net.now, 999 as never, 0);
  });
});
