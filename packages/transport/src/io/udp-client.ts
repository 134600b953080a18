import { randomBytes } from 'node:crypto';
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
import { type ClientSocket, openClientSocket } from './client-socket.ts';

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
 * One session of the client role on a socket of its own, of TCP where `remote` says so: how Node programs, checks and load
 * generators reach a relay.
 */
export class UdpClient {
  readonly #session: Session;
  readonly #onEvent: UdpClientOptions['onEvent'];
  readonly #alarm = new Alarm(() => {
    this.#session.handleTimeout(monotonicNow());
    this.#drain();
  });
  #socket: ClientSocket | null = null;
  #isDraining = false;

  private constructor(options: UdpClientOptions) {
    this.#onEvent = options.onEvent;
    this.#session = Session.client(monotonicNow(), options, () => undefined);
  }

  /**
   * Opens a socket and begins to connect; what becomes of it is told by `onEvent`. Throws the errors
   * of {@link openClientSocket}.
   */
  static async connect(options: UdpClientOptions): Promise<UdpClient> {
    const client = new UdpClient(options);
    client.#socket = await openClientSocket(options.remote, options.localAddress, {
      onDatagram: (data) => {
        client.#session.handleDatagram(monotonicNow(), data);
        client.#drain();
      },
      onBroken: () => {
        client.#session.close(monotonicNow());
        client.#drain();
      },
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
    this.#alarm.stop();
    const socket = this.#socket;
    this.#socket = null;
    await socket?.close();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let output = this.#session.poll(); output !== null; output = this.#session.poll()) {
        if (output.type === 'transmit') this.#socket?.send(output.data);
        else this.#onEvent(output);
      }
      this.#alarm.set(this.#session.deadline);
    } finally {
      this.#isDraining = false;
    }
  }
}
