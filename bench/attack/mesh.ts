import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { utf8Encode } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { MeshNode } from '../../packages/relay/src/io/mesh/libp2p-node.ts';
import { type Attack, FROM, flood } from './flood.ts';
import { MESH_PROTOCOL, RawMuxer, linkedStranger } from './mesh-stranger.ts';

/* The mesh port of a relay that is in a mesh, by strangers and by who knows the salt. */
const SALT = 'attacked mesh';
const ENVIRONMENT = { MESH_SALT: SALT, MESH_LISTEN: '127.0.0.1:28446' };
/** A node of libp2p takes an attacker some 20 ms of CPU. */
const NODE_EVERY_MS = 100;

/** Comes again under another key whenever it was hung up on, and does each time what `use` does. */
async function again(
  record: SignedRelayRecord,
  use: (node: MeshNode) => Promise<void> | void,
): Promise<void> {
  for (;;) {
    const node = await linkedStranger(record, SALT).catch(() => null);
    try {
      if (node !== null) await use(node);
    } catch {
      // It was hung up on meanwhile.
    }
    await node?.stop();
    await new Promise((resolve) => setTimeout(resolve, NODE_EVERY_MS));
  }
}

/** Says something for as long as it is heard. */
async function whileLinked(node: MeshNode, say: () => Promise<void> | void): Promise<void> {
  while (node.getConnections().length > 0) {
    await say();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const MESH: Readonly<Record<string, Attack>> = {
  'mesh-sockets': {
    what: 'TCP connections to the mesh port, silent ones and noise, 200 a second',
    environment: ENVIRONMENT,
    run: async (record) => {
      let i = 0;
      setInterval(() => {
        const socket = connect({ port: record.meshPort ?? 0, host: record.ip, localAddress: FROM });
        socket.on('error', () => undefined);
        if (i++ % 2 === 0) socket.write(randomBytes(4096));
      }, 5);
    },
  },
  'mesh-negotiation': {
    what: 'protocols negotiated without end, over streams and keys that come and go',
    environment: ENVIRONMENT,
    run: async (record) => {
      const lines = utf8Encode(`\x13/multistream/1.0.0\n${'\x03ls\n'.repeat(5000)}`);
      await again(record, (node) => {
        const [connection] = node.getConnections();
        if (connection === undefined) return;
        const muxer = new RawMuxer(connection);
        let id = 1;
        return whileLinked(node, () => {
          muxer.open((id += 2), lines);
          muxer.ping(100);
        });
      });
    },
  },
  'mesh-gossip': {
    what: 'gossip that is no record, under keys that come and go',
    environment: ENVIRONMENT,
    run: async (record) => {
      const topic = `/lumamesh/records/1/${record.mesh}`;
      await again(record, (node) => {
        const { pubsub } = node.services;
        pubsub.subscribe(topic);
        return whileLinked(node, async () => {
          for (let i = 0; i < 20; i++)
            await pubsub.publish(topic, randomBytes(1000)).catch(() => undefined);
        });
      });
    },
  },
  'mesh-frames': {
    what: 'frames between relays: hellos, hints, members, signals and rubbish, at 10 Mbit/s',
    environment: ENVIRONMENT,
    run: async (record) => {
      const room = 'm'.repeat(43);
      const frames = [
        { type: 'hello', version: 1, record: 'luma1.e30' },
        { type: 'hints', rooms: Array.from({ length: 512 }, (_, i) => `${i}`.padEnd(43, 'h')) },
        { type: 'present', room, members: [{ peer: 'p'.repeat(22), presence: 'x'.repeat(2000) }] },
        { type: 'signal', room, from: 'p'.repeat(22), to: 'q'.repeat(22), data: 'x'.repeat(8000) },
        { type: 'summary', bits: 8, digests: Array<string>(256).fill('0'.repeat(16)) },
        { type: 'nothing' },
      ].map((frame) => {
        const text = utf8Encode(JSON.stringify(frame));
        const bytes = Buffer.alloc(4 + text.length);
        bytes.writeUInt32BE(text.length);
        bytes.set(text, 4);
        return bytes;
      });
      let stream: Awaited<ReturnType<MeshNode['dialProtocol']>> | null = null;
      flood((i) => {
        const frame = frames[i % frames.length] ?? Buffer.alloc(4);
        if (stream?.status === 'open' && !stream.writableNeedsDrain) stream.send(frame);
        return frame.length;
      });
      await again(record, async (node) => {
        const [connection] = node.getConnections();
        stream = (await connection?.newStream(MESH_PROTOCOL)) ?? null;
        await whileLinked(node, () => undefined);
      });
    },
  },
};
