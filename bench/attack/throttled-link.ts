import { type RemoteInfo, type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';

/*
 * The line of a small relay, in a process of its own: `node throttled-link.ts <relay's port> <Mbit/s>`.
 * Datagrams pass each way at the line's rate, headers counted; what does not fit into a short queue is
 * lost, whoever sent it. Each sender keeps its address (they are all on loopback), as the relay
 * counts by it.
 */
const HEADER_BYTES = 28;
/** Of a queue: what passes in so long. */
const QUEUE_MS = 50;
const TURN_MS = 2;
const IDLE_MS = 30_000;
const LISTEN = '127.0.0.1';

/** One way of the line. */
class Lane {
  readonly #bytesPerMs: number;
  #queue: { readonly bytes: number; readonly pass: () => void }[] = [];
  #queuedBytes = 0;
  #credit = 0;

  constructor(megabits: number) {
    this.#bytesPerMs = (megabits * 1_000_000) / 8 / 1000;
    let before = performance.now();
    setInterval(() => {
      const now = performance.now();
      const elapsedMs = now - before;
      before = now;
      this.#run(elapsedMs);
    }, TURN_MS);
  }

  push(length: number, pass: () => void): void {
    const bytes = length + HEADER_BYTES;
    if (this.#queuedBytes + bytes > this.#bytesPerMs * QUEUE_MS) return;
    this.#queue.push({ bytes, pass });
    this.#queuedBytes += bytes;
  }

  #run(elapsedMs: number): void {
    // Time in which nothing was there is not saved up.
    this.#credit = Math.min(this.#credit, 0) + elapsedMs * this.#bytesPerMs;
    let count = 0;
    for (const { bytes, pass } of this.#queue) {
      if (this.#credit <= 0) break;
      this.#credit -= bytes;
      this.#queuedBytes -= bytes;
      count += 1;
      pass();
    }
    this.#queue = this.#queue.slice(count);
  }
}

async function run(relayPort: number, megabits: number): Promise<void> {
  const [inwards, outwards] = [new Lane(megabits), new Lane(megabits)];
  const front = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
  const senders = new Map<string, { readonly socket: Socket; seenAt: number }>();
  const makeSender = (key: string, { address, port }: RemoteInfo): Socket => {
    const socket = createSocket({ type: 'udp4' });
    senders.set(key, { socket, seenAt: performance.now() });
    socket.on('error', () => undefined);
    socket.bind(0, address, () => socket.connect(relayPort, LISTEN));
    socket.on('message', (data) => {
      outwards.push(data.length, () => front.send(data, port, address));
    });
    return socket;
  };
  front.on('message', (data, from) => {
    const key = `${from.address}:${from.port}`;
    const sender = senders.get(key);
    if (sender !== undefined) sender.seenAt = performance.now();
    const socket = sender?.socket ?? makeSender(key, from);
    inwards.push(data.length, () => {
      try {
        socket.send(data);
      } catch {
        // It is not connected yet: the line has lost it.
      }
    });
  });
  setInterval(() => {
    for (const [key, { socket, seenAt }] of senders) {
      if (performance.now() - seenAt < IDLE_MS) continue;
      senders.delete(key);
      socket.close();
    }
  }, IDLE_MS / 4);
  front.on('error', () => undefined);
  front.bind(0, LISTEN);
  await once(front, 'listening');
  process.send?.(front.address().port);
}

await run(Number(process.argv[2]), Number(process.argv[3]));
