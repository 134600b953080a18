import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import nodeDataChannel from 'node-datachannel';
import { RTCPeerConnection } from 'werift';
import { type SignedRelayRecord, midOf, relayAnswer } from '@lumamesh/protocol';
import { until } from '@lumamesh/testkit';
import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';

/* Two other WebRTC stacks as clients of the relay: libdatachannel with usrsctp, and werift. */
async function withRelay(test: (record: SignedRelayRecord) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-interop-'));
  const files = {
    CERT_FILE: join(folder, 'server.crt'),
    KEY_FILE: join(folder, 'server.key'),
    NODE_KEY: join(folder, 'node.key'),
  };
  const relay = await RelayServer.start(
    { ...readConfig({ environment: files }), udpPort: 0 },
    silentLogger,
  );
  try {
    await test(relay.record);
  } finally {
    await relay.close();
    await rm(folder, { recursive: true });
  }
}

const JOIN = JSON.stringify({ action: 'join', room: 'r'.repeat(43), peer: 'p'.repeat(22) });
const PING = JSON.stringify({ action: 'ping', pad: 'x'.repeat(60_000) });

/** Welcome, joined, and a pong for a frame of 60 KB. */
async function converse(frames: readonly string[], send: (frame: string) => void): Promise<void> {
  const waitFor = async (action: string): Promise<void> =>
    void (await until(
      () => frames.some((frame) => frame.startsWith(`{"action":"${action}"`)),
      () => `no ${action} in ${JSON.stringify(frames)}`,
    ));
  await waitFor('welcome');
  send(JOIN);
  await waitFor('joined');
  send(PING);
  await waitFor('pong');
}

describe('other WebRTC stacks', () => {
  it('libdatachannel joins a room', () =>
    withRelay(async (record) => {
      const connection = new nodeDataChannel.PeerConnection('test', { iceServers: [] });
      const frames: string[] = [];
      try {
        const channel = connection.createDataChannel('lumamesh');
        channel.onMessage((message) => {
          if (typeof message === 'string') frames.push(message);
        });
        const opened = new Promise<void>((resolve) => channel.onOpen(() => resolve()));
        connection.setLocalDescription();
        const mid = midOf(connection.localDescription()?.sdp ?? '');
        connection.setRemoteDescription(relayAnswer(record, [record.ip], mid), 'answer');
        await opened;
        await converse(frames, (frame) => channel.sendMessage(frame));
      } finally {
        connection.close();
        nodeDataChannel.cleanup();
      }
    }));

  it('werift joins a room', () =>
    withRelay(async (record) => {
      const connection = new RTCPeerConnection({
        iceServers: [],
        iceAdditionalHostAddresses: ['127.0.0.1'],
      });
      const frames: string[] = [];
      try {
        const channel = connection.createDataChannel('lumamesh', { negotiated: true, id: 0 });
        channel.onMessage.subscribe((message) => frames.push(String(message)));
        const opened = new Promise<void>((resolve) =>
          channel.stateChanged.subscribe((state) => state === 'open' && resolve()),
        );
        await connection.setLocalDescription(await connection.createOffer());
        const mid = midOf(connection.localDescription?.sdp ?? '');
        await connection.setRemoteDescription({
          type: 'answer',
          sdp: relayAnswer(record, [record.ip], mid),
        });
        await opened;
        await converse(frames, (frame) => channel.send(frame));
      } finally {
        await connection.close();
      }
    }));
});
