import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/* The signaling server of y-webrtc, as its bin/server.js has it: topics, and who subscribes to them. */

interface Message {
  readonly type: 'subscribe' | 'unsubscribe' | 'publish' | 'ping';
  readonly topics?: readonly string[];
  readonly topic?: string;
}

export interface SignalingServer {
  readonly url: string;
  close(): void;
}

export async function startSignaling(): Promise<SignalingServer> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const topics = new Map<string, Set<WebSocket>>();
  server.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Message;
      if (message.type === 'ping') socket.send('{"type":"pong"}');
      for (const topic of message.topics ?? [])
        if (message.type === 'subscribe')
          topics.set(topic, (topics.get(topic) ?? new Set()).add(socket));
        else topics.get(topic)?.delete(socket);
      if (message.type !== 'publish') return;
      const receivers = topics.get(message.topic ?? '') ?? new Set<WebSocket>();
      const text = JSON.stringify({ ...message, clients: receivers.size });
      for (const receiver of receivers) receiver.send(text);
    });
    socket.on('close', () => {
      for (const sockets of topics.values()) sockets.delete(socket);
    });
  });
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}
