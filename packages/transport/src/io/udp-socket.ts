import { type RemoteInfo, type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { LumameshError, unmapIpv4 } from '@lumamesh/base';
import { type Remote } from '../five-tuple.ts';

/**
 * 4 MB: the default of 208 KB loses datagrams when 1 000 browsers connect at once, and each loss
 * costs its browser a timer.
 */
export const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * What waits here because the kernel takes no more. Behind a link that is slower than what is sent
 * this would grow without end; what is dropped is lost as on the way, and sent again by SCTP.
 */
const MAX_SEND_QUEUE_BYTES = 2 * 1024 * 1024;
/** Each costs some 500 bytes besides. */
const MAX_SEND_QUEUE_DATAGRAMS = 4096;

/** The part of a socket that tells how much waits to be sent; not every runtime has it. */
export interface SendQueue {
  getSendQueueSize?(): number;
  getSendQueueCount?(): number;
}

/** Whether one more datagram may wait until the kernel takes it. */
export function hasSendCapacity(queue: SendQueue, bytes: number): boolean {
  const waiting = queue.getSendQueueSize?.() ?? 0;
  if (waiting === 0) return true;
  return (
    waiting + bytes <= MAX_SEND_QUEUE_BYTES &&
    (queue.getSendQueueCount?.() ?? 0) < MAX_SEND_QUEUE_DATAGRAMS
  );
}

/**
 * Sending to an address given as a number needs no resolver: this calls back at once instead of
 * asking one.
 */
type LookupCallback = (error: Error | null, address: string, family: number) => void;
function numericLookup(host: string, _options: unknown, callback: LookupCallback): void {
  callback(null, host, host.includes(':') ? 6 : 4);
}

export interface BoundSocket {
  readonly address: string;
  readonly port: number;
  /** Whether one socket serves IPv4 and IPv6. */
  readonly isDualStack: boolean;
  /** What the kernel gave of {@link RECEIVE_BUFFER_BYTES}. */
  readonly receiveBufferBytes: number;
  /** @returns False when too much waits already and the datagram was dropped. */
  send(remote: Remote, data: Uint8Array): boolean;
  close(): Promise<void>;
}

export interface UdpSocketOptions {
  readonly port: number;
  /**
   * A local address; without one all of them, IPv4 and IPv6 by one socket where the machine has
   * both.
   */
  readonly address?: string;
  readonly onDatagram: (remote: Remote, data: Uint8Array) => void;
  /** Sending failed for a reason that is not the peer's: full buffers, no route. Never fatal. */
  readonly onSendError: (error: NodeJS.ErrnoException) => void;
}

/**
 * Binds the one UDP socket of a relay or client. Throws `PORT_IN_USE`, `PORT_FORBIDDEN` or
 * `UDP_BIND_FAILED`.
 */
export async function bindUdpSocket(options: UdpSocketOptions): Promise<BoundSocket> {
  const wantsDualStack = options.address === undefined;
  try {
    return await bind(options, wantsDualStack);
  } catch (error) {
    // A kernel without IPv6 has no such family; everything else is the operator's to mend.
    const code = (error as NodeJS.ErrnoException).code;
    if (wantsDualStack && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'))
      return bind(options, false).catch((again: unknown) =>
        Promise.reject(explain(again, options)),
      );
    throw explain(error, options);
  }
}

async function bind(options: UdpSocketOptions, isDualStack: boolean): Promise<BoundSocket> {
  const address = options.address ?? (isDualStack ? '::' : '0.0.0.0');
  const isV6 = isIP(address) === 6;
  const socket = createSocket({ type: isV6 ? 'udp6' : 'udp4', lookup: numericLookup });
  // The lookup above calls back at once, so 'listening' may come from within bind().
  const listening = once(socket, 'listening');
  socket.bind(options.port, address);
  try {
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  const receiveBufferBytes = enlargeReceiveBuffer(socket);
  // On Linux an ICMP error of an earlier send is reported here; the socket stays good.
  socket.on('error', options.onSendError);
  socket.on('message', (data: Buffer, info: RemoteInfo) => {
    // Port 0 can be forged but not sent to: sending to it throws.
    if (info.port === 0) return;
    options.onDatagram({ address: unmapIpv4(info.address), port: info.port }, data);
  });
  const onSent = (error: Error | null): void => {
    if (error !== null) options.onSendError(error);
  };
  return {
    address,
    port: socket.address().port,
    isDualStack: isDualStack && isV6,
    receiveBufferBytes,
    send(remote, data) {
      if (!hasSendCapacity(socket, data.length)) return false;
      const destination =
        isV6 && !remote.address.includes(':') ? `::ffff:${remote.address}` : remote.address;
      try {
        socket.send(data, remote.port, destination, onSent);
      } catch (error) {
        // Node checks its arguments by throwing; an address from the wire must never end the
        // process.
        options.onSendError(error as NodeJS.ErrnoException);
      }
      return true;
    },
    async close() {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    },
  };
}

function enlargeReceiveBuffer(socket: Socket): number {
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  } catch {
    // Some kernels refuse instead of giving less; the figure below says what there is.
  }
  // Linux reports twice what it keeps for data.
  return process.platform === 'linux' ? socket.getRecvBufferSize() / 2 : socket.getRecvBufferSize();
}

function explain(error: unknown, options: UdpSocketOptions): LumameshError {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = `${options.address ?? 'all addresses'}, port ${options.port}`;
  if (code === 'EADDRINUSE')
    return new LumameshError(
      'PORT_IN_USE',
      `UDP port ${options.port} is taken by another program (is a relay running already?)`,
      { cause: error },
    );
  if (code === 'EACCES')
    return new LumameshError('PORT_FORBIDDEN', `no permission to open UDP on ${where}`, {
      cause: error,
    });
  return new LumameshError('UDP_BIND_FAILED', `cannot open UDP on ${where}: ${message}`, {
    cause: error,
  });
}
