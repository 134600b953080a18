import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { describe, it } from 'node:test';
import { utf8Encode } from '@lumamesh/base';
import {
  type MeshRelay,
  SALT,
  meshAddressOf,
  patience,
  pause,
  until,
  withRelays,
} from '@lumamesh/testkit';
import { multiaddr } from '@multiformats/multiaddr';
import { MESH_PROTOCOL, RawMuxer, linkedStranger } from '../../bench/attack/mesh-stranger.ts';
import { isComplete } from './support.ts';

/* Strangers at the mesh port of a real relay: some without the salt, some with it and with libp2p in their hands. */

async function withPair(
  test: (
    relays: readonly [MeshRelay, MeshRelay],
    start: (i: number, peers: readonly number[]) => MeshRelay,
  ) => Promise<void>,
): Promise<void> {
  await withRelays(async (start) => {
    const pair = [start(0, []), start(1, [0])] as const;
    await Promise.all(pair.map((relay) => relay.ready()));
    await until(() => isComplete(pair), 'they do not know each other');
    await test(pair, start);
  });
}

describe('a relay whose mesh port is attacked', () => {
  it('lets others in while sockets that say nothing are held open, and closes them', () =>
    withPair(async ([zero], start) => {
      const [host = '', port] = meshAddressOf(0).split(':');
      const sockets: Socket[] = [];
      let closed = 0;
      for (let i = 0; i < 40; i++) {
        const socket = connect(Number(port), host);
        socket.on('error', () => undefined);
        socket.on('close', () => (closed += 1));
        sockets.push(socket);
      }
      await Promise.all(sockets.slice(0, 12).map((socket) => once(socket, 'connect')));
      const third = start(2, [0]);
      await third.ready();
      await until(
        async () => (await zero.stats()).records.alive === 2,
        'a newcomer is kept out by silent sockets',
      );
      await until(
        () => closed === sockets.length,
        () => `${closed} of ${sockets.length} silent sockets were closed`,
        30_000,
      );
    }));

  it('is not moved by noise', () =>
    withPair(async ([zero]) => {
      const [host = '', port] = meshAddressOf(0).split(':');
      for (let i = 0; i < 30; i++) {
        const socket = connect(Number(port), host);
        socket.on('error', () => undefined);
        socket.write(randomBytes(4096));
        await pause(10);
      }
      await pause(1000);
      assert.equal((await zero.stats()).records.alive, 1);
    }));

  it('hangs up on a peer that answers with a gigabyte, and bans it', () =>
    withPair(async ([zero]) => {
      const before = (await zero.stats()).memory.rssBytes;
      const node = await linkedStranger(zero.record, SALT);
      try {
        const connection = node.getConnections()[0];
        assert.ok(connection !== undefined);
        const stream = await connection.newStream(MESH_PROTOCOL);
        // A frame of a gigabyte, announced and begun.
        const chunk = new Uint8Array(65_536);
        chunk.set([0x40, 0, 0, 0]);
        await until(async () => {
          if (stream.status === 'open' && !stream.writableNeedsDrain) stream.send(chunk);
          return (await zero.stats()).bans > 0;
        }, 'it is not banned');
        await until(() => node.getConnections().length === 0, 'it is still connected');
        await assert.rejects(
          node
            .dial(multiaddr(`/ip4/${zero.address}/tcp/${zero.record.meshPort}`))
            .then((again) => again.newStream(MESH_PROTOCOL)),
        );
        assert.ok((await zero.stats()).memory.rssBytes - before < 64 * 1024 * 1024);
      } finally {
        await node.stop();
      }
    }));

  it('hangs up on a peer that gossips what is no record, and bans it', () =>
    withPair(async ([zero, one]) => {
      const node = await linkedStranger(zero.record, SALT);
      try {
        const topic = `/lumamesh/records/1/${zero.record.mesh}`;
        const { pubsub } = node.services;
        pubsub.subscribe(topic);
        await until(async () => {
          for (let i = 0; i < 5; i++)
            await pubsub.publish(topic, randomBytes(100)).catch(() => undefined);
          return (await zero.stats()).bans > 0;
        }, 'it is not banned');
        await until(() => node.getConnections().length === 0, 'it is still connected');
      } finally {
        await node.stop();
      }
      for (const relay of [zero, one]) assert.equal((await relay.stats()).records.alive, 1);
    }));

  it('gives up a connection that negotiates without end, in clear, encrypted or by streams, and is not held up', () =>
    withPair(async ([zero, one]) => {
      const ls = utf8Encode(`\x13/multistream/1.0.0\n${'\x03ls\n'.repeat(50_000)}`);
      for (const attack of [
        // On one stream; on many; and as signs of life.
        (muxer: RawMuxer) => muxer.open(1, ls),
        (muxer: RawMuxer) => {
          for (let i = 0; i < 200; i++) muxer.open(1 + 2 * i, ls.subarray(0, 20));
        },
        (muxer: RawMuxer) => muxer.ping(20_000),
      ]) {
        const node = await linkedStranger(zero.record, SALT);
        try {
          const [connection] = node.getConnections();
          assert.ok(connection !== undefined);
          const began = performance.now();
          attack(new RawMuxer(connection));
          await until(() => node.getConnections().length === 0, 'it is still connected');
          await zero.stats();
          assert.ok(performance.now() - began < patience(2000), 'the relay was held up');
        } finally {
          await node.stop();
        }
      }
      const { drops } = await zero.stats();
      for (const fault of ['negotiationTooLong', 'tooManyStreams', 'tooManyPings'])
        assert.equal(drops[`mesh.socket.${fault}`], 1, JSON.stringify(drops));
      await until(() => isComplete([zero, one]), 'they do not know each other any more');
    }));

  it('hangs up on a peer that never says who it is', () =>
    withPair(async ([zero]) => {
      const node = await linkedStranger(zero.record, SALT);
      try {
        await until(() => node.getConnections().length === 0, 'it is still connected', 90_000);
        assert.equal((await zero.stats()).links.proven, 1);
      } finally {
        await node.stop();
      }
    }));
});
