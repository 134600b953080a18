import { once } from 'node:events';
import { createConnection, isIPv6 } from 'node:net';
import { formatIp, parseIp } from '@lumamesh/base';
import type { Remote } from '../five-tuple.ts';
import { StreamDeframer, frameForStream } from '../tcp/stream-framing.ts';
import { bindUdpSocket } from './udp-socket.ts';

/** What waits for a connection that takes nothing: as much as a relay lets wait. */
const MAX_WAITING_BYTES = 256 * 1024;

/** The way from a client to its one server. */
export interface ClientSocket {
  send(data: Uint8Array): void;
  close(): Promise<void>;
}

export interface ClientSocketEvents {
  readonly onDatagram: (data: Uint8Array) => void;
  /** Nothing comes or goes any more. */
  readonly onBroken: () => void;
}

/**
 * Opens the way to a server: a port of UDP, or a connection of TCP (RFC 6544, active) where `remote`
 * says so; from `localAddress`, or as the kernel chooses. Throws the errors of `bindUdpSocket`, or those of the connection.
 */
export async function openClientSocket(
  remote: Remote,
  localAddress: string | undefined,
  events: ClientSocketEvents,
): Promise<ClientSocket> {
  return remote.transport === 'tcp'
    ? connectTcp(remote, localAddress, events)
    : openUdp(remote, localAddress, events);
}

async function openUdp(
  remote: Remote,
  localAddress: string | undefined,
  events: ClientSocketEvents,
): Promise<ClientSocket> {
  // Sockets report addresses in their canonical form.
  const ip = parseIp(remote.address);
  const address = ip === null ? remote.address : formatIp(ip);
  const socket = await bindUdpSocket({
    port: 0,
    address: localAddress ?? (isIPv6(remote.address) ? '::' : '0.0.0.0'),
    onDatagram: (from, data) => {
      if (from.address === address && from.port === remote.port) events.onDatagram(data);
    },
    onSendError: () => undefined,
  });
  return { send: (data) => void socket.send(remote, data), close: async () => socket.close() };
}

async function connectTcp(
  remote: Remote,
  localAddress: string | undefined,
  events: ClientSocketEvents,
): Promise<ClientSocket> {
  const socket = createConnection({
    host: remote.address,
    port: remote.port,
    noDelay: true,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  await once(socket, 'connect');
  const deframer = new StreamDeframer();
  socket.on('data', (chunk: Buffer) => {
    if (deframer.push(chunk, events.onDatagram) !== null) socket.destroy();
  });
  // The end follows.
  socket.on('error', () => undefined);
  socket.on('close', events.onBroken);
  return {
    // What is dropped is lost as on the way, and sent again by SCTP.
    send: (data) => {
      if (socket.writable && socket.writableLength < MAX_WAITING_BYTES)
        socket.write(frameForStream('ice', data));
    },
    close: async () => {
      socket.off('close', events.onBroken);
      // What says goodbye goes out before.
      socket.end();
      await Promise.resolve();
    },
  };
}
