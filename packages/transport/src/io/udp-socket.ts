import { type RemoteInfo, type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIP } from 'node:net';
import { LumameshError, unmapIpv4 } from '@lumamesh/base';
import { type Remote } from '../five-tuple.ts';
import { type DatagramPath, NativePath, NodePath } from './datagram-path.ts';
import type { NativeUdp } from './native/native-udp.ts';

/**
 * 4 MB: the default of 208 KB loses datagrams when 1 000 browsers connect at once, and each loss
 * costs its browser a timer.
 */
export const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

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
  /**
   * Sends a datagram, at the latest when {@link flush} is called.
   * @returns False when too much waits already and the datagram was dropped.
   */
  send(remote: Remote, data: Uint8Array): boolean;
  /** Sends what {@link send} has gathered: to be called when there is no more for now. */
  flush(): void;
  close(): Promise<void>;
}

export interface UdpSocketOptions {
  readonly port: number;
  /**
   * A local address; without one all of them, IPv4 and IPv6 by one socket where the machine has
   * both.
   */
  readonly address?: string;
  /**
   * Whether sockets of single addresses are to be bound to the same port besides (SO_REUSEADDR): the
   * kernel then gives each datagram to the one of its address. A port that another program has is
   * taken all the same.
   */
  readonly isShared?: boolean;
  readonly onDatagram: (remote: Remote, data: Uint8Array) => void;
  /** What sends and receives many datagrams by one call; without it Node's own socket does all. */
  readonly native?: NativeUdp | null;
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
    if (options.isShared !== true || !wantsDualStack) return await bind(options, wantsDualStack);
    // Who shares is not told of others that share: so the port is taken alone first.
    const { isShared: _, ...alone } = options;
    const probe = await bind(alone, wantsDualStack);
    await probe.close();
    return await bind({ ...options, port: probe.port }, wantsDualStack);
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
  const socket = createSocket({
    type: isV6 ? 'udp6' : 'udp4',
    lookup: numericLookup,
    reuseAddr: options.isShared ?? false,
  });
  const native = options.native ?? null;
  const descriptor =
    native?.bind({ address, port: options.port }, isV6, isDualStack, options.isShared) ?? null;
  // The lookup above calls back at once, so 'listening' may come from within bind().
  const listening = once(socket, 'listening');
  // Node's socket owns the descriptor from here on.
  if (descriptor === null) socket.bind(options.port, address);
  else socket.bind({ fd: descriptor });
  try {
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  const receiveBufferBytes = enlargeReceiveBuffer(socket);
  // On Linux an ICMP error of an earlier send is reported here; the socket stays good.
  socket.on('error', options.onSendError);
  const ofNode: DatagramPath = new NodePath(socket, isV6, options);
  const path =
    native === null || descriptor === null
      ? ofNode
      : new NativePath(native.socket(descriptor, isV6), ofNode, socket, options);
  socket.on('message', (data: Buffer, info: RemoteInfo) => {
    // Port 0 can be forged but not sent to: sending to it throws.
    if (info.port !== 0) {
      // No Buffer, whose `slice` is no copy.
      const plain = new Uint8Array(data.buffer, data.byteOffset, data.length);
      options.onDatagram({ address: unmapIpv4(info.address), port: info.port }, plain);
    }
    path.receiveMore();
  });
  return {
    address,
    port: socket.address().port,
    isDualStack: isDualStack && isV6,
    receiveBufferBytes,
    send: (remote, data) => path.send(remote, data),
    flush: () => path.flush(),
    async close() {
      path.close();
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
