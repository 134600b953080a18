import { type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';

/**
 * A NAT in front of one server, of real sockets: each client has a port of its own towards the
 * server, which {@link rebind} exchanges, as a router does that has forgotten its mappings.
 */
export class RebindingNat {
  readonly #inside = createSocket('udp4');
  readonly #server: { readonly address: string; readonly port: number };
  readonly #outside = new Map<string, Socket>();

  private constructor(server: RebindingNat['server']) {
    this.#server = server;
  }

  static async start(server: RebindingNat['server'], address = '127.0.0.1'): Promise<RebindingNat> {
    const nat = new RebindingNat(server);
    nat.#inside.on('message', (data, { address: from, port }) => {
      const outside = nat.#outsideOf(from, port);
      outside.send(data, server.port, server.address);
    });
    nat.#inside.bind(0, address);
    await once(nat.#inside, 'listening');
    return nat;
  }

  get server(): { readonly address: string; readonly port: number } {
    return this.#server;
  }

  /** What clients dial. */
  get port(): number {
    return this.#inside.address().port;
  }

  /** Everybody comes from another port from now on; nothing reaches the old ones. */
  rebind(): void {
    for (const socket of this.#outside.values()) socket.close();
    this.#outside.clear();
  }

  close(): void {
    this.rebind();
    this.#inside.close();
  }

  #outsideOf(address: string, port: number): Socket {
    const key = `${address} ${port}`;
    let socket = this.#outside.get(key);
    if (socket === undefined) {
      socket = createSocket('udp4');
      socket.on('message', (data) => this.#inside.send(data, port, address));
      this.#outside.set(key, socket);
    }
    return socket;
  }
}
