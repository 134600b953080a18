import { type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type Instant, instant } from '@lumamesh/base';
import { CHANNEL_ID, type SignedRelayRecord } from '@lumamesh/protocol';
import { relayClientOptions } from '@lumamesh/testkit';
import { Session } from '@lumamesh/transport';

export interface StubOptions {
  /** Where it sends from: a loopback address. */
  readonly from: string;
  readonly onFrame?: (frame: string, stub: Stub) => void;
  /** Looks at each datagram before it is sent; `false` keeps it back. */
  readonly mayGo?: (datagram: Uint8Array) => boolean;
  /** What stands for the relay in USERNAME; by default what its record says. */
  readonly relayUfrag?: string;
}

const TICK_MS = 20;

/**
 * A client of a relay that need not behave: our own session over a socket of its own, whose
 * datagrams may be kept back, copied, or not read.
 */
export class Stub {
  readonly #session: Session;
  readonly #socket: Socket;
  readonly #record: SignedRelayRecord;
  readonly #options: StubOptions;
  readonly #timer: NodeJS.Timeout;
  #channel: number | null = null;
  /** What arrives is not read any more. */
  isDeaf = false;
  isConnected = false;
  isClosed = false;
  readonly sent: Uint8Array[] = [];

  private constructor(record: SignedRelayRecord, socket: Socket, options: StubOptions) {
    this.#record = record;
    this.#socket = socket;
    this.#options = options;
    const { relayUfrag: ufrag = record.ufrag } = options;
    const sessionOptions = relayClientOptions({ ...record, ufrag });
    this.#session = Session.client(now(), sessionOptions, () => undefined);
    socket.on('message', (data) => {
      if (this.isDeaf) return;
      this.#session.handleDatagram(now(), data);
      this.#drain();
    });
    this.#timer = setInterval(() => {
      this.#session.handleTimeout(now());
      this.#drain();
    }, TICK_MS);
    this.#drain();
  }

  static async open(record: SignedRelayRecord, options: StubOptions): Promise<Stub> {
    return new Stub(record, await socketAt(options.from), options);
  }

  /** Queues a frame; false when too much is waiting. */
  say(message: object | string): boolean {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    const isTaken = this.#session.send(now(), CHANNEL_ID, text);
    this.#drain();
    return isTaken;
  }

  /** Opens a channel, and closes the one before. */
  reopenChannel(label: string): void {
    if (this.#channel !== null) this.#session.closeChannel(now(), this.#channel);
    const properties = { label, subprotocol: '', isUnordered: false };
    this.#channel = this.#session.openChannel(now(), properties);
    this.#drain();
  }

  /** Sends bytes as they are. */
  throw(datagram: Uint8Array): void {
    if (!this.isClosed) this.#socket.send(datagram, this.#record.port, this.#record.ip);
  }

  /** Goes, with a goodbye or silently. */
  close(isPolite = true): void {
    if (this.isClosed) return;
    if (isPolite) {
      this.#session.close(now());
      this.#drain();
    }
    this.isClosed = true;
    clearInterval(this.#timer);
    // What was sent in this moment is still on its way out.
    setTimeout(() => this.#socket.close(), TICK_MS);
  }

  #drain(): void {
    for (let output = this.#session.poll(); output !== null; output = this.#session.poll()) {
      if (output.type === 'transmit') {
        if (this.#options.mayGo?.(output.data) === false) continue;
        if (this.#options.mayGo !== undefined) this.sent.push(output.data.slice());
        this.throw(output.data.slice());
      } else if (output.type === 'connected') this.isConnected = true;
      else if (output.type === 'closed') this.isClosed = true;
      else if (output.type === 'message' && typeof output.data === 'string')
        this.#options.onFrame?.(output.data, this);
    }
  }
}

export async function socketAt(address: string): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', sendBufferSize: 4_194_304 });
  socket.on('error', () => undefined);
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

function now(): Instant {
  return instant(performance.now());
}
