import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { readFixture } from '@lumamesh/testkit';
import type { Target } from '../load-generator.ts';
import { answerParent } from './answer-parent.ts';

/*
 * What a page author would write instead: a signaling server on `ws` over TLS, with the same frames
 * for joining and signaling and nothing more: no limits, no presence, no checks. It is the baseline
 * that Lumamesh is measured against.
 */
interface Frame {
  readonly action: string;
  readonly room: string;
  readonly peer: string;
  readonly to: string;
  readonly data: string;
}

const { server: fixture } = readFixture('test-certificates.json') as {
  server: { certificateDerHex: string; privateKeyPem: string };
};
const certificate = Buffer.from(fixture.certificateDerHex, 'hex').toString('base64');
const server = createServer({
  key: fixture.privateKeyPem,
  cert: `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`,
});
const rooms = new Map<string, Map<string, WebSocket>>();

new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
  let peer = '';
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as Frame;
    if (frame.action === 'join') {
      peer = frame.peer;
      let room = rooms.get(frame.room);
      if (room === undefined) rooms.set(frame.room, (room = new Map()));
      socket.send(
        JSON.stringify({
          action: 'joined',
          room: frame.room,
          members: [...room.keys()].map((member) => ({ peer: member, presence: '' })),
        }),
      );
      for (const other of room.values())
        other.send(JSON.stringify({ action: 'peer-joined', room: frame.room, peer, presence: '' }));
      room.set(peer, socket);
    } else
      rooms
        .get(frame.room)
        ?.get(frame.to)
        ?.send(
          JSON.stringify({ action: 'signal', room: frame.room, from: peer, data: frame.data }),
        );
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const target: Target = {
  type: 'ws',
  url: `wss://127.0.0.1:${(server.address() as AddressInfo).port}/`,
};
process.stdout.write(`${JSON.stringify(target)}\n`);
answerParent();
