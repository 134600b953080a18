import { once } from 'node:events';
import { type Socket, createSocket } from 'node:dgram';
import type { NegotiatedSecurity } from '@lumamesh/transport';
import { monotonicNow } from '@lumamesh/transport/io';
import type { DtlsConnection } from '@lumamesh/transport/internal/dtls/dtls-connection';

const HERE = '127.0.0.1';
const TIMER_MS = 20;

/** One of our DTLS connections, with nothing above it and a socket of loopback below. */
export class DtlsOverUdp {
  readonly port: number;
  /** What it has agreed on, once it is up. */
  negotiated: NegotiatedSecurity | null = null;
  remoteCertificate: Uint8Array | null = null;
  /** What came, as text. */
  received = '';
  /** Why it has ended. */
  ended: string | null = null;
  readonly drops: string[] = [];
  readonly #connection: DtlsConnection;
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #peerPort: number | null;

  private constructor(connection: DtlsConnection, socket: Socket, peerPort: number | null) {
    this.#connection = connection;
    this.#socket = socket;
    this.#peerPort = peerPort;
    this.port = socket.address().port;
    socket.on('message', (datagram, { port }) => {
      this.#peerPort ??= port;
      const drop = connection.handleDatagram(monotonicNow(), datagram);
      if (drop !== null) this.drops.push(drop);
      this.#drain();
    });
    this.#timer = setInterval(() => {
      connection.handleTimeout(monotonicNow());
      this.#drain();
    }, TIMER_MS);
    this.#drain();
  }

  /** @param peerPort of the server; `null`: whoever sends first is the client */
  static async open(connection: DtlsConnection, peerPort: number | null): Promise<DtlsOverUdp> {
    const socket = createSocket('udp4').bind(0, HERE);
    await once(socket, 'listening');
    return new DtlsOverUdp(connection, socket, peerPort);
  }

  send(text: string): void {
    this.#connection.send(new TextEncoder().encode(text));
    this.#drain();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #drain(): void {
    const connection = this.#connection;
    for (let next = connection.poll(); next !== null; next = connection.poll()) {
      switch (next.type) {
        case 'transmit':
          this.#socket.send(next.data, this.#peerPort ?? 0, HERE);
          break;
        case 'connected':
          this.negotiated = next.negotiated;
          this.remoteCertificate = next.remoteCertificate;
          break;
        case 'data':
          this.received += new TextDecoder().decode(next.data);
          break;
        case 'closed':
          this.ended = `${next.reason}: ${next.detail}`;
          break;
        case 'writable':
      }
    }
  }
}
