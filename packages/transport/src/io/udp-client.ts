import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { formatIp, parseIp } from '@lumamesh/base';
import type { Remote } from '../five-tuple.ts';
import { Session } from '../session.ts';
import {
  type ClientSessionOptions,
  DEFAULT_SESSION_LIMITS,
  type NegotiatedChannel,
  type SessionEvent,
} from '../session-types.ts';
import { Alarm, monotonicNow } from './clock.ts';
import { nodeCrypto } from './node-crypto.ts';
import { type BoundSocket, bindUdpSocket } from './udp-socket.ts';

export interface UdpClientOptions extends ClientSessionOptions {
  readonly remote: Remote;
  /** An address of this machine to come from; else the kernel chooses. */
  readonly localAddress?: string;
  readonly onEvent: (event: SessionEvent) => void;
}

/** What is known of a server before anything was said to it. */
export interface KnownServer {
  readonly remote: Remote;
  readonly ufrag: string;
  readonly password: string;
  /** SHA-256, 32 bytes. */
  readonly certificateFingerprint: Uint8Array;
}

const UFRAG_BYTES = 6;

/**
 * One session of the client role on a socket of its own: how Node programs, checks and load
 * generators reach a relay.
 */
export class UdpClient {
  readonly #session: Session;
  readonly #remote: Remote;
  readonly #onEvent: UdpClientOptions['onEvent'];
  readonly #alarm = new Alarm(() => {
    this.#session.handleTimeout(monotonicNow());
    this.#drain();
  });
  #socket: BoundSocket | null = null;
  #isDraining = false;

  private constructor(options: UdpClientOptions) {
    this.#remote = options.remote;
    this.#onEvent = options.onEvent;
    this.#session = Session.client(monotonicNow(), options, () => undefined);
  }

  /** Binds an ephemeral port and begins to connect; what becomes of it is told by `onEvent`. */
  static async connect(options: UdpClientOptions): Promise<UdpClient> {
    // Sockets report addresses in their canonical form.
    const ip = parseIp(options.remote.address);
    const address = ip === null ? options.remote.address : formatIp(ip);
    const client = new UdpClient(options);
    client.#socket = await bindUdpSocket({
      port: 0,
      address: options.localAddress ?? (isIPv6(options.remote.address) ? '::' : '0.0.0.0'),
      onDatagram: (remote, data) => {
        if (remote.address !== address || remote.port !== options.remote.port) return;
        client.#session.handleDatagram(monotonicNow(), data);
        client.#drain();
      },
      onSendError: () => undefined,
    });
    client.#drain();
    return client;
  }

  /**
   * Connects to an ICE-lite server whose credentials and certificate are known beforehand, by one
   * negotiated channel.
   */
  static async toKnownServer(
    server: KnownServer,
    channel: NegotiatedChannel,
    onEvent: UdpClientOptions['onEvent'],
    { localAddress }: Pick<UdpClientOptions, 'localAddress'> = {},
  ): Promise<UdpClient> {
    return UdpClient.connect({
      ...(localAddress === undefined ? {} : { localAddress }),
      crypto: nodeCrypto,
      limits: { ...DEFAULT_SESSION_LIMITS, maxChannels: 1 },
      negotiatedChannels: [channel],
      localUfrag: randomBytes(UFRAG_BYTES).toString('hex'),
      remoteIce: { ufrag: server.ufrag, password: server.password },
      remoteFingerprint: server.certificateFingerprint,
      certificate: null,
      remote: server.remote,
      onEvent,
    });
  }

  get session(): Session {
    return this.#session;
  }

  /** Queues a message; false when the channel is gone or too much is waiting. */
  send(channelId: number, data: string | Uint8Array): boolean {
    const sent = this.#session.send(monotonicNow(), channelId, data);
    this.#drain();
    return sent;
  }

  async close(): Promise<void> {
    this.#session.close(monotonicNow());
    this.#drain();
    // From within an event it is the drain that runs already which says goodbye.
    await Promise.resolve();
    this.#alarm.clear();
    const socket = this.#socket;
    this.#socket = null;
    await socket?.close();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let output = this.#session.poll(); output !== null; output = this.#session.poll()) {
        if (output.type === 'transmit') this.#socket?.send(this.#remote, output.data);
        else this.#onEvent(output);
      }
      this.#alarm.set(this.#session.deadline);
    } finally {
      this.#isDraining = false;
    }
  }
}
