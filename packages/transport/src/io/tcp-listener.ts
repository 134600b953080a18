import { once } from 'node:events';
import { type Server, type Socket, createServer } from 'node:net';
import { LumameshError, unmapIpv4 } from '@lumamesh/base';
import { HalfOpenPool } from '../half-open-pool.ts';
import { SourceCounts } from '../source-counts.ts';
import { type Remote, fiveTupleKey } from '../five-tuple.ts';
import { type Source, sourceOf } from '../source.ts';
import { StreamDeframer, frameForStream } from '../tcp/stream-framing.ts';
import { monotonicNow } from './clock.ts';

/** Who has sent no whole frame by then goes. */
const SILENCE_MS = 5000;
/** A handshake takes 15 s at most: who has neither session nor allocation by then goes. */
const STRANGER_MS = 20_000;
/** Looks so many times meanwhile. */
const SWEEPS = 5;
/** How long a goodbye may take to be read. */
const CLOSING_MS = 500;
/** What waits for a slow reader; beyond it datagrams are dropped, as on the way. */
const MAX_WAITING_BYTES = 256 * 1024;
/** What waits for all of them; beyond it only who reads almost as fast as he is sent to is kept anything for. */
const MAX_ALL_WAITING_BYTES = 32 * 1024 * 1024;
const LITTLE_WAITING_BYTES = 16 * 1024;
/** What a write that waits costs besides its bytes. */
const WRITE_OVERHEAD_BYTES = 512;

export interface TcpLimits {
  readonly maxSockets: number;
  /** Of one address, or /64. */
  readonly socketsPerHost: number;
  readonly socketsPerNetwork: number;
}

export interface TcpListenerOptions {
  readonly port: number;
  /** A local address; without one all of them. */
  readonly address?: string;
  readonly limits: TcpLimits;
  readonly onDatagram: (remote: Remote, data: Uint8Array) => void;
  /** Whether there is a session or an allocation on a five-tuple. */
  readonly isKnown: (remote: Remote) => boolean;
  /** A connection has ended; its five-tuple may be another's soon. */
  readonly onEnd: (remote: Remote) => void;
  readonly onDrop: (reason: string) => void;
  /** Shorter for tests; defaults: {@link SILENCE_MS}, {@link STRANGER_MS}. */
  readonly silenceMs?: number;
  readonly strangerMs?: number;
}

interface Connection {
  readonly socket: Socket;
  readonly key: string;
  readonly remote: Remote;
  readonly source: Source;
  readonly deframer: StreamDeframer;
  readonly since: number;
  hasSpoken: boolean;
  /** What waits for its reader, at what it costs. */
  waitingBytes: number;
}

/**
 * Datagrams over TCP (RFC 6544 passive, RFC 4571; TURN: RFC 8656 §2.1), within bounds: what is
 * behind it sees them as over UDP, from a five-tuple of another protocol.
 */
export class TcpListener {
  readonly #options: TcpListenerOptions;
  readonly #server: Server;
  readonly #connections = new Map<string, Connection>();
  readonly #bySource = new SourceCounts();
  /** Those without a session or an allocation, as far as is known. */
  readonly #strangers = new HalfOpenPool<Connection>();
  #waitingBytes = 0;
  readonly #sweep: NodeJS.Timeout;
  readonly #silenceMs: number;
  readonly #strangerMs: number;

  private constructor(options: TcpListenerOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#strangerMs = options.strangerMs ?? STRANGER_MS;
    this.#sweep = setInterval(() => this.#dismissIdlers(), this.#silenceMs / SWEEPS).unref();
  }

  /** Binds and starts. Throws `PORT_IN_USE`, `PORT_FORBIDDEN` or `TCP_BIND_FAILED`. */
  static async start(options: TcpListenerOptions): Promise<TcpListener> {
    const listener = new TcpListener(options);
    try {
      await listener.#listen(options.address ?? '::');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A kernel without IPv6 has no such family.
      const isWithoutIpv6 = code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL';
      if (options.address !== undefined || !isWithoutIpv6) {
        clearInterval(listener.#sweep);
        throw explain(error as NodeJS.ErrnoException, options.port);
      }
      await listener.#listen('0.0.0.0');
    }
    // A connection that could not be taken is nobody's loss; the server stays.
    listener.#server.on('error', () => options.onDrop('tcp.acceptError'));
    return listener;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get sockets(): number {
    return this.#connections.size;
  }

  /** What waits for slow readers, at what it costs. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** @returns False when the connection is gone, or its reader is so slow that this is dropped. */
  send(remote: Remote, data: Uint8Array): boolean {
    const connection = this.#connections.get(fiveTupleKey(remote));
    const kind = connection?.deframer.kind;
    if (connection === undefined || kind === undefined || kind === null) return false;
    const { socket } = connection;
    const frame = frameForStream(kind, data);
    // The kernel may take it at once; if not, it is the only one that waits and is not counted.
    if (socket.writableLength === 0) {
      socket.write(frame);
      return true;
    }
    const cost = frame.length + WRITE_OVERHEAD_BYTES;
    if (!this.#mayWait(connection, cost)) {
      this.#options.onDrop('tcp.slowReader');
      return false;
    }
    this.#countWaiting(connection, cost);
    // Called as well when the connection ends before that.
    socket.write(frame, () => this.#countWaiting(connection, -cost));
    return true;
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    const closed = once(this.#server, 'close');
    this.#server.close();
    // What was just written is on its way: a goodbye is the last thing.
    for (const { socket } of this.#connections.values()) socket.destroySoon();
    const timer = setTimeout(() => {
      for (const { socket } of this.#connections.values()) socket.destroy();
    }, CLOSING_MS);
    await closed;
    clearTimeout(timer);
  }

  async #listen(host: string): Promise<void> {
    const listening = once(this.#server, 'listening');
    this.#server.listen({ port: this.#options.port, host });
    await listening;
  }

  #mayWait({ waitingBytes }: Connection, cost: number): boolean {
    return (
      waitingBytes + cost <= MAX_WAITING_BYTES &&
      (this.#waitingBytes + cost <= MAX_ALL_WAITING_BYTES || waitingBytes < LITTLE_WAITING_BYTES)
    );
  }

  #countWaiting(connection: Connection, bytes: number): void {
    connection.waitingBytes += bytes;
    this.#waitingBytes += bytes;
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const address = unmapIpv4(remoteAddress);
    const remote: Remote = { address, port: remotePort, transport: 'tcp' };
    const source = sourceOf(address);
    const key = fiveTupleKey(remote);
    // The one before was reset, and is to say so later in this turn.
    const before = this.#connections.get(key);
    if (before !== undefined) this.#forget(before);
    const refusal = this.#refusal(source) ?? this.#makeRoom(source);
    if (refusal !== null) {
      this.#options.onDrop(refusal);
      socket.destroy();
      return;
    }
    const connection: Connection = {
      socket,
      key,
      remote,
      source,
      deframer: new StreamDeframer(),
      since: monotonicNow(),
      hasSpoken: false,
      waitingBytes: 0,
    };
    this.#connections.set(key, connection);
    this.#strangers.add(connection);
    this.#bySource.change(source, 1);
    socket.on('data', (chunk: Buffer) => this.#take(connection, chunk));
    // A reset is followed by 'close'.
    socket.on('error', () => undefined);
    // Half a connection is of no use.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#forget(connection));
  }

  #forget(connection: Connection): void {
    const { key, socket, source, remote } = connection;
    if (this.#connections.get(key) !== connection) return;
    this.#connections.delete(key);
    this.#strangers.delete(connection);
    this.#bySource.change(source, -1);
    socket.destroy();
    this.#options.onEnd(remote);
  }

  #refusal(source: Source): string | null {
    const { socketsPerHost, socketsPerNetwork } = this.#options.limits;
    if (this.#bySource.ofHost(source) >= socketsPerHost) return 'tcp.addressFull';
    return this.#bySource.ofNetwork(source) >= socketsPerNetwork ? 'tcp.networkFull' : null;
  }

  /** When all places are taken, the oldest stranger of the most crowded network goes. @returns A drop reason, or `null`. */
  #makeRoom(source: Source): string | null {
    const { limits, isKnown, onDrop } = this.#options;
    while (this.#connections.size >= limits.maxSockets) {
      const stranger = this.#strangers.inTheWay(source, 0, Infinity);
      if (stranger === null) return 'tcp.full';
      this.#strangers.delete(stranger);
      if (isKnown(stranger.remote)) continue;
      onDrop('tcp.evicted');
      this.#forget(stranger);
    }
    return null;
  }

  #take(connection: Connection, chunk: Uint8Array): void {
    const drop = connection.deframer.push(chunk, (datagram) => {
      connection.hasSpoken ||= datagram.length > 0;
      this.#options.onDatagram(connection.remote, datagram);
    });
    if (drop === null) return;
    this.#options.onDrop(drop);
    connection.socket.destroy();
  }

  #dismissIdlers(): void {
    const now = monotonicNow();
    for (const connection of this.#connections.values()) {
      const { socket, remote, since, hasSpoken } = connection;
      const age = now - since;
      if (!hasSpoken && age >= this.#silenceMs) this.#dismiss(socket, 'tcp.silent');
      else if (this.#options.isKnown(remote)) this.#strangers.delete(connection);
      else if (age >= this.#strangerMs) this.#dismiss(socket, 'tcp.stranger');
    }
  }

  #dismiss(socket: Socket, reason: string): void {
    this.#options.onDrop(reason);
    socket.destroy();
  }
}

function explain(error: NodeJS.ErrnoException, port: number): LumameshError {
  const { code, message } = error;
  if (code === 'EADDRINUSE')
    return new LumameshError('PORT_IN_USE', `TCP port ${port} is taken by another program`, {
      cause: error,
    });
  if (code === 'EACCES')
    return new LumameshError('PORT_FORBIDDEN', `no permission to open TCP port ${port}`, {
      cause: error,
    });
  return new LumameshError('TCP_BIND_FAILED', `cannot open TCP port ${port}: ${message}`, {
    cause: error,
  });
}
