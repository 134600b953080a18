import { generateKeyPairSync } from 'node:crypto';
import type { Connection } from '@libp2p/interface';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { multiaddr } from '@multiformats/multiaddr';
import { type MeshNode, makeLibp2pNode } from '../../packages/relay/src/io/mesh/libp2p-node.ts';
import { deriveMeshSecret } from '../../packages/relay/src/io/mesh/mesh-salt.ts';

/* Who knows the salt of a mesh, and is no relay of it. */

export const MESH_PROTOCOL = '/lumamesh/relay/1';

/** A libp2p node with the salt and a key of its own, linked to a relay. */
export async function linkedStranger(record: SignedRelayRecord, salt: string): Promise<MeshNode> {
  const { mesh, psk } = await deriveMeshSecret(salt);
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const privateKey = Buffer.concat([
    Buffer.from(d ?? '', 'base64url'),
    Buffer.from(x ?? '', 'base64url'),
  ]);
  const node = await makeLibp2pNode({
    privateKey,
    psk,
    listen: null,
    topic: `/lumamesh/records/1/${mesh}`,
    gater: {},
    guard: null,
    isLocal: true,
  });
  await node.start();
  // A relay keeps a link only where its own stream is taken.
  await node.handle(MESH_PROTOCOL, () => undefined, { maxInboundStreams: 8 });
  await node.dial(multiaddr(`/ip4/${record.ip}/tcp/${record.meshPort}`));
  return node;
}

/** Frames of yamux that libp2p would not send, in a connection of its own. */
export class RawMuxer {
  readonly #send: (frame: Uint8Array) => void;

  constructor(connection: Connection) {
    // What libp2p keeps to itself.
    const { muxer } = connection as unknown as {
      muxer: { maConn: { send(data: Uint8Array): void } };
    };
    this.#send = (frame) => muxer.maConn.send(frame);
  }

  open(streamId: number, data: Uint8Array): void {
    // Ids beyond those that libp2p has used.
    this.#frame(0, 1, 1001 + streamId - 1, data.length, data);
  }

  ping(count: number): void {
    for (let i = 0; i < count; i++) this.#frame(2, 1, 0, i, new Uint8Array(0));
  }

  #frame(type: number, flags: number, id: number, length: number, data: Uint8Array): void {
    const frame = Buffer.alloc(12 + data.length);
    frame.writeUInt8(type, 1);
    frame.writeUInt16BE(flags, 2);
    frame.writeUInt32BE(id, 4);
    frame.writeUInt32BE(length, 8);
    frame.set(data, 12);
    this.#send(frame);
  }
}
