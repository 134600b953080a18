import { type RemoteInfo, createSocket } from 'node:dgram';
import { once } from 'node:events';

/** Runs a test beside a UDP server on loopback that answers each request as it is told to. `count` is the number of the request, from 1. */
export async function withUdpServer(
  answer: (request: Buffer, count: number) => readonly Uint8Array[],
  test: (port: number) => Promise<void>,
): Promise<void> {
  const socket = createSocket('udp4');
  let count = 0;
  socket.on('message', (request: Buffer, remote: RemoteInfo) => {
    count += 1;
    for (const datagram of answer(request, count))
      socket.send(datagram, remote.port, remote.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    await test(socket.address().port);
  } finally {
    socket.close();
  }
}

/** How many UDP sockets of this process keep it running. */
export function openUdpSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length;
}
