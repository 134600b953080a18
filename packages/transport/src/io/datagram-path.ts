import type { Socket } from 'node:dgram';
import type { Remote } from '../five-tuple.ts';
import type { NativeSocket } from './native/native-udp.ts';

/** How datagrams leave and enter a socket that is bound. */
export interface DatagramPath {
  send(remote: Remote, data: Uint8Array): boolean;
  flush(): void;
  /** Node's socket has just given one datagram: takes those behind it. */
  receiveMore(): void;
  /** The descriptor is closed, and may be another's soon. */
  close(): void;
}

/** The part of a {@link NativeSocket} that is used. */
export type NativeBatches = Pick<NativeSocket, 'hasRoom' | 'add' | 'flush' | 'receive'>;

export interface PathEvents {
  readonly onDatagram: (remote: Remote, data: Uint8Array) => void;
  readonly onSendError: (error: NodeJS.ErrnoException) => void;
}

/**
 * What waits here because the kernel takes no more. Behind a link that is slower than what is sent
 * this would grow without end; what is dropped is lost as on the way, and sent again by SCTP.
 */
const MAX_SEND_QUEUE_BYTES = 2 * 1024 * 1024;
/** Each costs some 500 bytes besides. */
const MAX_SEND_QUEUE_DATAGRAMS = 4096;

/** The part of a socket that tells how much waits to be sent; not every runtime has it. */
export interface SendQueue {
  getSendQueueSize?(): number;
  getSendQueueCount?(): number;
}

/** Whether one more datagram may wait until the kernel takes it. */
export function hasSendCapacity(queue: SendQueue, bytes: number): boolean {
  const waiting = queue.getSendQueueSize?.() ?? 0;
  if (waiting === 0) return true;
  return (
    waiting + bytes <= MAX_SEND_QUEUE_BYTES &&
    (queue.getSendQueueCount?.() ?? 0) < MAX_SEND_QUEUE_DATAGRAMS
  );
}

/** By Node's socket, one call a datagram. What the kernel does not take at once waits in it. */
export class NodePath implements DatagramPath {
  readonly #socket: Socket;
  readonly #isV6: boolean;
  readonly #events: PathEvents;
  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.#events.onSendError(error);
  };

  constructor(socket: Socket, isV6: boolean, events: PathEvents) {
    this.#socket = socket;
    this.#isV6 = isV6;
    this.#events = events;
  }

  send(remote: Remote, data: Uint8Array): boolean {
    if (!hasSendCapacity(this.#socket, data.length)) return false;
    const destination =
      this.#isV6 && !remote.address.includes(':') ? `::ffff:${remote.address}` : remote.address;
    try {
      this.#socket.send(data, remote.port, destination, this.#onSent);
    } catch (error) {
      // Node checks its arguments by throwing; an address from the wire must never end the
      // process.
      this.#events.onSendError(error as NodeJS.ErrnoException);
    }
    return true;
  }

  flush(): void {}

  receiveMore(): void {}

  close(): void {}
}

/** As many as one turn of the event loop takes: what else there is to do has its turn, too. */
const MAX_RECEIVED_A_TURN = 512;

/**
 * By `sendmmsg` and `recvmmsg`, many datagrams a call. Node's socket owns the descriptor, waits for
 * it, gives the first datagram of each wake-up, and keeps what the kernel has no room for: so all
 * bounds are those of {@link NodePath}.
 */
export class NativePath implements DatagramPath {
  readonly #native: NativeBatches;
  readonly #ofNode: DatagramPath;
  readonly #queue: SendQueue;
  readonly #events: PathEvents;
  #isOpen = true;
  #isReceiving = false;
  #receivedThisTurn = 0;
  readonly #onDatagram = (remote: Remote, data: Uint8Array): boolean => {
    this.#receivedThisTurn += 1;
    this.#events.onDatagram(remote, data);
    // Whoever takes it may close the socket.
    return this.#isOpen;
  };

  constructor(native: NativeBatches, ofNode: DatagramPath, queue: SendQueue, events: PathEvents) {
    this.#native = native;
    this.#ofNode = ofNode;
    this.#queue = queue;
    this.#events = events;
  }

  send(remote: Remote, data: Uint8Array): boolean {
    if (!this.#isOpen) return false;
    if (!this.#native.hasRoom) this.flush();
    // While something waits in Node's queue, everything goes there, in order.
    if ((this.#queue.getSendQueueCount?.() ?? 0) > 0) return this.#ofNode.send(remote, data);
    if (this.#native.add(remote, data)) return true;
    this.flush();
    return this.#ofNode.send(remote, data);
  }

  flush(): void {
    if (!this.#isOpen) return;
    const { left, errors } = this.#native.flush();
    for (const error of errors) this.#events.onSendError(error);
    for (const { remote, data } of left) this.#ofNode.send(remote, data);
  }

  receiveMore(): void {
    if (this.#isReceiving || !this.#isOpen || this.#receivedThisTurn >= MAX_RECEIVED_A_TURN) return;
    if (this.#receivedThisTurn === 0) setImmediate(() => (this.#receivedThisTurn = 0));
    // Counted even where nothing comes, so that the turn is ended once.
    this.#receivedThisTurn += 1;
    this.#isReceiving = true;
    try {
      while (this.#receivedThisTurn < MAX_RECEIVED_A_TURN)
        if (!this.#native.receive(this.#onDatagram)) break;
    } finally {
      this.#isReceiving = false;
    }
  }

  close(): void {
    this.flush();
    this.#isOpen = false;
  }
}
