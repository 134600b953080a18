import { generateKeyPairSync } from 'node:crypto';
import { it } from 'node:test';
import { pino } from 'pino';
import { until } from '@lumamesh/testkit';
import { ConnectionAdmission } from './bans.ts';
import { ConnectionGuard } from './connection-guard.ts';
import { type MeshNode, makeLibp2pNode } from './libp2p-node.ts';
import { MeshLinks, PROTOCOL } from './mesh-links.ts';
import { deriveMeshSecret } from './mesh-salt.ts';
import { nodeKeyOf } from './node-key.ts';

async function makeNode(isListening: boolean, guard: ConnectionGuard | null): Promise<MeshNode> {
  const { mesh, psk } = await deriveMeshSecret('links');
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return makeLibp2pNode({
    privateKey: Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]),
    psk,
    listen: isListening ? { host: '127.0.0.1', port: 0 } : null,
    topic: `/lumamesh/records/1/${mesh}`,
    gater: {},
    guard,
    isLocal: true,
  });
}

it('keeps nothing of a relay whose link has ended', async () => {
  const node = await makeNode(true, new ConnectionGuard(PROTOCOL, () => undefined));
  const opened: string[] = [];
  const links = new MeshLinks({
    node,
    nk: nodeKeyOf(node.peerId) ?? '',
    admission: new ConnectionAdmission(24),
    log: pino({ level: 'silent' }),
    maxWaitingBytes: 1_000_000,
    on: { opened: (nk) => opened.push(nk), closed: () => undefined, frame: () => undefined },
  });
  await links.listen();
  await node.start();
  try {
    for (let i = 0; i < 3; i++) {
      const stranger = await makeNode(false, null);
      await stranger.start();
      await stranger.handle(PROTOCOL, () => undefined);
      await stranger.dial(node.getMultiaddrs());
      await until(() => opened.length === i + 1, 'no link');
      await until(async () => (await node.peerStore.all()).length > 0, 'it is not remembered');
      await stranger.stop();
    }
    await until(
      async () => (await node.peerStore.all()).length === 0,
      async () => `${(await node.peerStore.all()).length} are remembered`,
      10_000,
    );
  } finally {
    await node.stop();
  }
});
