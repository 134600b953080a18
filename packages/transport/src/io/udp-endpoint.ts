import { Endpoint } from '../endpoint.ts';
import type { EndpointOptions } from '../endpoint-types.ts';
import type { Remote } from '../five-tuple.ts';
import type { SessionId } from '../session-table.ts';
import type { SessionEvent } from '../session-types.ts';
import type { TurnCredentials } from '../turn/turn-grants.ts';
import { Alarm, monotonicNow } from './clock.ts';
import type { IoPath } from './io-path.ts';
import { type TcpLimits, TcpListener } from './tcp-listener.ts';
import { type BoundSocket, bindUdpSocket } from './udp-socket.ts';

/** What handshakes take of one turn of the event loop, while others wait for theirs. */
const HANDSHAKES_MS = 4;

export interface UdpEndpointOptions extends EndpointOptions {
  /** Sockets of the native path ({@link IoPath}); without them Node's own carry everything. */
  readonly native?: IoPath['udp'];
  readonly port: number;
  readonly address?: string;
  /**
   * Addresses of this machine that answer for themselves: what came to one of them is answered from
   * there ({@link rivalAddresses}). Only without `address`.
   */
  readonly ownAddresses?: readonly string[];
  /** Serves the same over TCP as well, on this port. */
  readonly tcp?: TcpLimits & { readonly port: number };
  /** May send and close from within; the running drain picks that up. */
  readonly onEvent: (sessionId: SessionId, event: SessionEvent) => void;
}

export interface UdpTraffic {
  datagramsIn: number;
  datagramsOut: number;
  bytesIn: number;
  bytesOut: number;
  sendErrors: number;
}

/**
 * An {@link Endpoint} on a real UDP socket, and a TCP port where that is wanted: the only place
 * where datagrams, the clock and the timer meet.
 */
export class UdpEndpoint {
  readonly endpoint: Endpoint;
  readonly traffic: UdpTraffic = {
    datagramsIn: 0,
    datagramsOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    sendErrors: 0,
  };
  readonly #onEvent: UdpEndpointOptions['onEvent'];
  readonly #alarm = new Alarm(() => this.#handleAlarm());
  #socket: BoundSocket | null = null;
  #tcp: TcpListener | null = null;
  /** Of the addresses that answer for themselves. */
  readonly #own = new Map<string, BoundSocket>();
  #isDraining = false;
  #isDrainDue = false;

  private constructor(options: UdpEndpointOptions) {
    this.endpoint = new Endpoint(monotonicNow(), options);
    this.#onEvent = options.onEvent;
    const { turn } = this.endpoint;
    this.turn =
      turn === null
        ? null
        : {
            grant: (sessionId, roomId) => turn.grant(sessionId, roomId),
            revoke: (sessionId, roomId) => turn.revoke(monotonicNow(), sessionId, roomId),
          };
  }

  /** Grants TURN to sessions in rooms, where the endpoint forwards. */
  readonly turn: {
    grant(sessionId: SessionId, roomId: string): TurnCredentials;
    revoke(sessionId: SessionId, roomId: string): void;
  } | null;

  /** Binds and starts. Throws the errors of {@link bindUdpSocket}. */
  static async start(options: UdpEndpointOptions): Promise<UdpEndpoint> {
    const shell = new UdpEndpoint(options);
    const ownAddresses = options.address === undefined ? (options.ownAddresses ?? []) : [];
    const common = {
      native: options.native ?? null,
      isShared: ownAddresses.length > 0,
      onSendError: () => {
        shell.traffic.sendErrors += 1;
      },
    };
    shell.#socket = await bindUdpSocket({
      ...common,
      port: options.port,
      ...(options.address === undefined ? {} : { address: options.address }),
      onDatagram: (remote, data) => shell.#handleDatagram(remote, data),
    });
    for (const local of ownAddresses) {
      const socket = await bindUdpSocket({
        ...common,
        port: shell.#socket.port,
        address: local,
        onDatagram: (remote, data) => shell.#handleDatagram({ ...remote, local }, data),
      }).catch(() => null);
      // An address that has gone meanwhile, or is not there yet, is answered as the kernel likes.
      if (socket !== null) shell.#own.set(local, socket);
    }
    if (options.tcp !== undefined) {
      const { port, ...limits } = options.tcp;
      shell.#tcp = await TcpListener.start({
        port,
        limits,
        ...(options.address === undefined ? {} : { address: options.address }),
        onDatagram: (remote, data) => shell.#handleDatagram(remote, data),
        isKnown: (remote) => shell.endpoint.knows(remote),
        onEnd: (remote) => shell.#handleDisconnected(remote),
        onDrop: (reason) => shell.endpoint.drops.count(reason),
      }).catch(async (error: unknown) => {
        await shell.close();
        throw error;
      });
    }
    return shell;
  }

  /** The port and the connections of TCP, where there is one. */
  get tcp(): { readonly port: number; readonly sockets: number } | null {
    return this.#tcp;
  }

  get socket(): BoundSocket {
    if (this.#socket === null) throw new Error('the endpoint is closed');
    return this.#socket;
  }

  send(sessionId: SessionId, channelId: number, data: string | Uint8Array): boolean {
    const sent = this.endpoint.send(monotonicNow(), sessionId, channelId, data);
    this.#drain();
    return sent;
  }

  closeGracefully(sessionId: SessionId): void {
    this.endpoint.closeGracefully(monotonicNow(), sessionId);
    this.#drain();
  }

  closeChannel(sessionId: SessionId, channelId: number): void {
    this.endpoint.closeChannel(monotonicNow(), sessionId, channelId);
    this.#drain();
  }

  closeSession(sessionId: SessionId): void {
    this.endpoint.close(monotonicNow(), sessionId);
    this.#drain();
  }

  /** Says goodbye to every session. */
  closeSessions(): void {
    this.endpoint.closeAll(monotonicNow());
    this.#drain();
  }

  /** Says goodbye to every session and closes the socket. */
  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket === null) return;
    this.endpoint.closeAll(monotonicNow());
    this.#drain();
    this.#alarm.stop();
    this.#socket = null;
    const tcp = this.#tcp;
    this.#tcp = null;
    await tcp?.close();
    await Promise.all([socket, ...this.#own.values()].map((one) => one.close()));
    this.#own.clear();
  }

  #handleDatagram(remote: Remote, data: Uint8Array): void {
    this.traffic.datagramsIn += 1;
    this.traffic.bytesIn += data.length;
    this.endpoint.handleDatagram(monotonicNow(), remote, data);
    this.#drainSoon();
  }

  #handleDisconnected(remote: Remote): void {
    // All connections end when the endpoint does, which then has nothing more to do.
    if (this.#socket === null) return;
    this.endpoint.handleDisconnected(monotonicNow(), remote);
    this.#drainSoon();
  }

  #handleAlarm(): void {
    this.endpoint.handleTimeout(monotonicNow());
    this.#drain();
  }

  /**
   * Drains when the datagrams that have arrived together are all taken: what they cause for one
   * session then shares packets, and each packet spared is a seal and a system call.
   */
  #drainSoon(): void {
    if (this.#isDrainDue) return;
    this.#isDrainDue = true;
    setImmediate(() => {
      this.#isDrainDue = false;
      this.#drain(HANDSHAKES_MS);
      if (this.endpoint.hasHandshakes) this.#drainSoon();
    });
  }

  #drain(handshakesMs = 0): void {
    // A listener that sends during a drain is served by that drain.
    if (this.#isDraining) return;
    this.#isDraining = true;
    const { endpoint } = this;
    try {
      this.#pump();
      if (endpoint.hasHandshakes) this.#takeHandshakes(handshakesMs);
      this.#socket?.flush();
      for (const socket of this.#own.values()) socket.flush();
      this.#alarm.set(endpoint.deadline);
    } finally {
      this.#isDraining = false;
    }
  }

  #takeHandshakes(ms: number): void {
    const endsAt = monotonicNow() + ms;
    for (let now = monotonicNow(); now < endsAt; now = monotonicNow()) {
      if (!this.endpoint.takeHandshake(now)) return;
      this.#pump();
    }
  }

  #pump(): void {
    const { endpoint } = this;
    for (let output = endpoint.poll(false); output !== null; output = endpoint.poll(false)) {
      if (output.type === 'transmit') {
        if (!this.#send(output.remote, output.data)) continue;
        this.traffic.datagramsOut += 1;
        this.traffic.bytesOut += output.data.length;
      } else this.#onEvent(output.sessionId, output.event);
    }
  }

  #send(remote: Remote, data: Uint8Array): boolean {
    // Without a connection there is nobody: that is no fault.
    if (remote.transport === 'tcp') return this.#tcp?.send(remote, data) ?? false;
    const own = remote.local === undefined ? undefined : this.#own.get(remote.local);
    if ((own ?? this.#socket)?.send(remote, data) !== false) return true;
    this.endpoint.drops.count('udp.sendQueueFull');
    return false;
  }
}
