import { Fifo } from '@lumamesh/base';

/**
 * What may wait for a session of signals: what other members send must not take the place that its
 * own news need.
 */
const HIGH_WATER_BYTES = 262_144;
/** What a message that waits costs besides its bytes, as `queuedBytes` counts it. */
const MESSAGE_BYTES = 512;
/** Below this nobody has to be compared with anybody. */
const LOW_WATER_BYTES = 32_768;

interface Waiting {
  readonly order: Fifo<{ readonly sender: string; readonly bytes: number }>;
  readonly bySender: Map<string, number>;
  bytes: number;
}

/**
 * Shares the queue to a session among those who send to it: each may have as much in it as is still
 * free, so that one sender takes half of it at most, a second one a quarter, and whoever has nothing
 * in it finds a place.
 */
export class SignalShares<Session> {
  readonly #waiting = new Map<Session, Waiting>();

  /**
   * Whether a signal may be sent to a session; counts it at what it costs there, so that many small
   * ones are no cheaper than a large one.
   * @param frameBytes of the frame that would be sent
   * @param queuedBytes what waits for the session now
   */
  take(session: Session, sender: string, frameBytes: number, queuedBytes: number): boolean {
    if (queuedBytes < LOW_WATER_BYTES) {
      this.#waiting.delete(session);
      return true;
    }
    let waiting = this.#waiting.get(session);
    if (waiting === undefined)
      this.#waiting.set(session, (waiting = { order: new Fifo(), bySender: new Map(), bytes: 0 }));
    forgetSent(waiting, queuedBytes);
    const own = waiting.bySender.get(sender) ?? 0;
    const bytes = frameBytes + MESSAGE_BYTES;
    if (own + bytes > HIGH_WATER_BYTES - queuedBytes) return false;
    waiting.order.push({ sender, bytes });
    waiting.bySender.set(sender, own + bytes);
    waiting.bytes += bytes;
    return true;
  }

  forget(session: Session): void {
    this.#waiting.delete(session);
  }
}

/** More is counted than waits: the oldest of it has arrived. */
function forgetSent(waiting: Waiting, queuedBytes: number): void {
  while (waiting.bytes > queuedBytes) {
    const first = waiting.order.shift();
    if (first === undefined) return;
    waiting.bytes -= first.bytes;
    const left = (waiting.bySender.get(first.sender) ?? 0) - first.bytes;
    if (left > 0) waiting.bySender.set(first.sender, left);
    else waiting.bySender.delete(first.sender);
  }
}
