import { type Socket, createSocket } from 'node:dgram';
import { monotonicNow } from '@lumamesh/transport/io';

/**
 * A UDP port in front of another one, with so much time in between each way: a relay that is far
 * away. Each client has a port of its own towards the relay.
 */
export class DelayedPort {
  readonly port: number;
  readonly #socket: Socket;
  readonly #delayMs: number;
  readonly #target: { readonly address: string; readonly port: number };
  readonly #upstream = new Map<string, Promise<Socket>>();
  readonly #firstAt = new Map<number, number>();
  /** What is on its way then is lost. */
  #isClosed = false;

  private constructor(
    socket: Socket,
    target: { readonly address: string; readonly port: number },
    delayMs: number,
  ) {
    this.#socket = socket;
    this.#target = target;
    this.#delayMs = delayMs;
    this.port = socket.address().port;
    socket.on('message', (data, { address, port }) => this.#forward(data, address, port));
  }

  static async open(
    target: { readonly address: string; readonly port: number },
    delayMs: number,
  ): Promise<DelayedPort> {
    const socket = createSocket('udp4');
    await bound(socket, target.address);
    return new DelayedPort(socket, target, delayMs);
  }

  /** When the first datagram came of the client that the relay sees at this port. */
  firstAt(upstreamPort: number): number | undefined {
    return this.#firstAt.get(upstreamPort);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const sockets = [this.#socket, ...(await Promise.all(this.#upstream.values()))];
    for (const socket of sockets) socket.close();
  }

  #forward(data: Uint8Array, address: string, port: number): void {
    const key = `${address} ${port}`;
    const now = monotonicNow();
    let upstream = this.#upstream.get(key);
    if (upstream === undefined) {
      upstream = this.#connect(now, (reply) => {
        if (!this.#isClosed) this.#socket.send(reply, port, address);
      });
      this.#upstream.set(key, upstream);
    }
    void upstream.then((socket) =>
      setTimeout(() => {
        if (!this.#isClosed) socket.send(data, this.#target.port, this.#target.address);
      }, this.#delayMs),
    );
  }

  async #connect(now: number, reply: (data: Uint8Array) => void): Promise<Socket> {
    const socket = createSocket('udp4');
    await bound(socket, this.#target.address);
    this.#firstAt.set(socket.address().port, now);
    socket.on('message', (data) => {
      setTimeout(() => reply(data), this.#delayMs);
    });
    return socket;
  }
}

async function bound(socket: Socket, address: string): Promise<void> {
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
}
