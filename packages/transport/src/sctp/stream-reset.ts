import {
  Fifo,
  type Instant,
  type Machine,
  TimerTable,
  later,
  serial32Add,
  serial32Diff,
  serial32Lte,
} from '@lumamesh/base';
import {
  RESET_RESULT,
  type ReConfigParameter,
  encodeReConfigChunk,
} from './chunk/re-config-chunk.ts';
import type { Chunk } from './chunk/packet.ts';
import type { Incoming } from './incoming.ts';
import type { Outgoing } from './outgoing.ts';
import type { RtoEstimator } from './rto.ts';

type OutgoingReset = Extract<ReConfigParameter, { type: 'outgoingReset' }>;

/**
 * Streams of one request; the rest waits for the next (RFC 6525 §5.1.1 allows one request at a
 * time).
 */
const MAX_STREAMS_PER_REQUEST = 128;
const MAX_DELAY_MS = 10_000;

export type StreamResetOutput =
  /** A RE-CONFIG to send: a request of ours. */
  | { readonly type: 'request'; readonly chunk: Chunk }
  /** A RE-CONFIG to send: the response to a request of the peer. */
  | { readonly type: 'response'; readonly chunk: Chunk }
  /** The peer reset its outgoing side of these streams; empty means all. */
  | { readonly type: 'incomingReset'; readonly streamIds: readonly number[] }
  /** Our own request is over; the peer performed it, or would not. */
  | {
      readonly type: 'outgoingResetDone';
      readonly streamIds: readonly number[];
      readonly wasPerformed: boolean;
    }
  /** A request had no response in time, which is an error of the path (RFC 9260 §8.1). */
  | { readonly type: 'unanswered' };

/** A stream whose reset was asked for; `lastTsn` is set once all of its data has been sent. */
interface Waiting {
  readonly streamId: number;
  lastTsn: number | null;
}

/** Closing data channels by resetting their streams (RFC 6525 §5, as RFC 8831 §6.7 uses it). */
export class StreamReset implements Machine<StreamResetOutput> {
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #rto: RtoEstimator;
  readonly #outputs = new Fifo<StreamResetOutput>();
  readonly #timers = new TimerTable<'ReConfig'>();
  #waiting: Waiting[] = [];
  #nextRequestSequence: number;
  #expectedRequestSequence: number;
  #request: OutgoingReset | null = null;
  #attempt = 0;
  /** An incoming reset whose last TSN has not arrived (RFC 6525 §5.2.2 E4). */
  #deferred: OutgoingReset | null = null;
  /**
   * The last response sent, so that a retransmission of it gets the same response (RFC 6525
   * §5.2.1).
   */
  #lastResponse: { readonly sequence: number; readonly result: number } | null = null;

  /**
   * @param halves the two halves of the association, read and never changed from here.
   * @param localInitialTsn where our request sequence starts (RFC 6525 §4.1).
   * @param peerInitialTsn where the peer's does.
   */
  constructor(
    halves: {
      readonly incoming: Incoming;
      readonly outgoing: Outgoing;
      readonly rto: RtoEstimator;
    },
    localInitialTsn: number,
    peerInitialTsn: number,
  ) {
    this.#incoming = halves.incoming;
    this.#outgoing = halves.outgoing;
    this.#rto = halves.rto;
    this.#nextRequestSequence = localInitialTsn;
    this.#expectedRequestSequence = peerInitialTsn;
  }

  get deadline(): Instant | null {
    return this.#timers.next();
  }

  /**
   * Resets our side of these streams, once what was queued on them has been sent and acknowledged.
   */
  reset(streamIds: readonly number[]): void {
    for (const streamId of streamIds)
      if (!this.#waiting.some((waiting) => waiting.streamId === streamId))
        this.#waiting.push({ streamId, lastTsn: null });
  }

  handleParameters(parameters: readonly ReConfigParameter[]): void {
    for (const parameter of parameters) {
      if (parameter.type === 'response')
        this.#handleResponse(parameter.responseSequence, parameter.result);
      else this.#handleRequest(parameter);
    }
  }

  /**
   * TSNs were received, assigned or acknowledged: a deferred reset of the peer or a waiting one of
   * ours may be due.
   */
  handleProgress(now: Instant): void {
    if (this.#deferred !== null && this.#hasAllBefore(this.#deferred))
      this.#perform(this.#deferred);
    if (this.#request === null && this.#waiting.length > 0) this.#startRequest(now);
  }

  handleTimeout(now: Instant): void {
    if (this.#timers.takeExpired(now) === null || this.#request === null) return;
    this.#outputs.push({ type: 'unanswered' });
    this.#sendRequest(now, this.#request);
  }

  poll(): StreamResetOutput | null {
    return this.#outputs.shift() ?? null;
  }

  clear(): void {
    this.#timers.disarmAll();
    this.#waiting = [];
    this.#request = null;
    this.#deferred = null;
    this.#outputs.clear();
  }

  /**
   * A request goes out when the peer has all data of its streams: then it can perform it at once,
   * instead of responding "in progress".
   */
  #startRequest(now: Instant): void {
    for (const waiting of this.#waiting)
      if (waiting.lastTsn === null && this.#outgoing.queue.isDrained(waiting.streamId))
        waiting.lastTsn = this.#outgoing.lastAssignedTsn;
    const ready = this.#waiting
      .filter(({ lastTsn }) => lastTsn !== null && this.#outgoing.isAcknowledged(lastTsn))
      .slice(0, MAX_STREAMS_PER_REQUEST);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !ready.includes(waiting));
    this.#attempt = 0;
    this.#request = this.#makeRequest(ready.map(({ streamId }) => streamId));
    this.#sendRequest(now, this.#request);
  }

  #sendRequest(now: Instant, request: OutgoingReset): void {
    const delayMs = Math.min(this.#rto.rtoMs * 2 ** this.#attempt, MAX_DELAY_MS);
    this.#timers.arm('ReConfig', later(now, delayMs));
    this.#attempt += 1;
    this.#outputs.push({ type: 'request', chunk: encodeReConfigChunk([request]) });
  }

  #makeRequest(streamIds: readonly number[]): OutgoingReset {
    const requestSequence = this.#nextRequestSequence;
    this.#nextRequestSequence = serial32Add(requestSequence, 1);
    return {
      type: 'outgoingReset',
      requestSequence,
      responseSequence: serial32Add(this.#expectedRequestSequence, -1),
      lastTsn: this.#outgoing.lastAssignedTsn,
      streamIds,
    };
  }

  #handleResponse(responseSequence: number, result: number): void {
    const request = this.#request;
    if (request === null || responseSequence !== request.requestSequence) return;
    if (result === RESET_RESULT.inProgress) {
      // A repeated number would get the stored response for ever: the next try, when the timer
      // comes, is a request of its own.
      this.#request = this.#makeRequest(request.streamIds);
      return;
    }
    this.#timers.disarm('ReConfig');
    this.#request = null;
    this.#outputs.push({
      type: 'outgoingResetDone',
      streamIds: request.streamIds,
      wasPerformed: result === RESET_RESULT.performed || result === RESET_RESULT.nothingToDo,
    });
  }

  #handleRequest(parameter: Exclude<ReConfigParameter, { type: 'response' }>): void {
    const distance = serial32Diff(parameter.requestSequence, this.#expectedRequestSequence);
    if (distance === -1) return this.#handleRepeatedRequest(parameter.requestSequence);
    if (distance !== 0)
      return this.#respond(parameter.requestSequence, RESET_RESULT.badSequenceNumber);
    this.#expectedRequestSequence = serial32Add(this.#expectedRequestSequence, 1);
    if (parameter.type === 'unsupportedRequest')
      this.#conclude(parameter.requestSequence, RESET_RESULT.denied);
    else if (this.#hasAllBefore(parameter)) this.#perform(parameter);
    else {
      this.#deferred = parameter;
      this.#conclude(parameter.requestSequence, RESET_RESULT.inProgress);
    }
  }

  #handleRepeatedRequest(sequence: number): void {
    if (this.#lastResponse?.sequence === sequence)
      this.#respond(sequence, this.#lastResponse.result);
  }

  #hasAllBefore(request: OutgoingReset): boolean {
    return serial32Lte(request.lastTsn, this.#incoming.cumulativeTsn);
  }

  #perform(request: OutgoingReset): void {
    // A later request for the same streams took the place of a deferred one.
    this.#deferred = null;
    this.#conclude(request.requestSequence, RESET_RESULT.performed);
    this.#outputs.push({ type: 'incomingReset', streamIds: request.streamIds });
  }

  /** Responds, and remembers the response for a retransmission of the request. */
  #conclude(sequence: number, result: number): void {
    this.#lastResponse = { sequence, result };
    this.#respond(sequence, result);
  }

  #respond(sequence: number, result: number): void {
    this.#outputs.push({
      type: 'response',
      chunk: encodeReConfigChunk([{ type: 'response', responseSequence: sequence, result }]),
    });
  }
}
