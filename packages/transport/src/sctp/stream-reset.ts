import {
  type Instant,
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

type SendableParameter = Exclude<ReConfigParameter, { type: 'unsupportedRequest' }>;
type OutgoingReset = Extract<ReConfigParameter, { type: 'outgoingReset' }>;

/** Streams of one request; the rest waits for the next (RFC 6525 §5.1.1 allows one request at a time). */
const MAX_STREAMS_PER_REQUEST = 128;
const MAX_DELAY_MS = 10_000;

/** What the reset machine asks of the association around it. */
export interface StreamResetHost {
  /** The last TSN that was assigned. */
  readonly lastAssignedTsn: number;
  readonly cumulativeTsn: number;
  readonly rtoMs: number;
  /** Whether all that was queued on a stream before its reset has a TSN. */
  isDrained(streamId: number): boolean;
  isAcknowledged(tsn: number): boolean;
  handleIncomingReset(streamIds: readonly number[]): void;
  handleOutgoingResetDone(streamIds: readonly number[], wasPerformed: boolean): void;
  /** A request was not answered in time (RFC 9260 §8.1). */
  handleUnanswered(): void;
}

/** A stream whose reset was asked for; `lastTsn` is set once all of its data has been sent. */
interface Waiting {
  readonly streamId: number;
  lastTsn: number | null;
}

/** Closing data channels by resetting their streams (RFC 6525 §5, as RFC 8831 §6.7 uses it). */
export class StreamReset {
  readonly #host: StreamResetHost;
  readonly #timers = new TimerTable<'ReConfig'>();
  #waiting: Waiting[] = [];
  #nextRequestSequence: number;
  #expectedRequestSequence: number;
  #request: OutgoingReset | null = null;
  #attempt = 0;
  #mustSendRequest = false;
  /** An incoming reset whose last TSN has not arrived (RFC 6525 §5.2.2 E4). */
  #deferred: OutgoingReset | null = null;
  /** The last request answered, so that a retransmission of it gets the same answer (RFC 6525 §5.2.1). */
  #lastResponse: { readonly sequence: number; readonly result: number } | null = null;
  readonly #responses: SendableParameter[] = [];

  /** RFC 6525 §4.1: both sequences start at the initial TSNs. */
  constructor(host: StreamResetHost, localInitialTsn: number, peerInitialTsn: number) {
    this.#host = host;
    this.#nextRequestSequence = localInitialTsn;
    this.#expectedRequestSequence = peerInitialTsn;
  }

  get nextTimeout(): Instant | null {
    return this.#timers.next();
  }

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

  /** The cumulative TSN moved: a deferred reset may be due. */
  handleProgress(): void {
    if (this.#deferred !== null && this.#hasAllBefore(this.#deferred))
      this.#perform(this.#deferred);
  }

  handleTimeout(now: Instant): void {
    if (this.#timers.takeExpired(now) === null || this.#request === null) return;
    this.#mustSendRequest = true;
    this.#host.handleUnanswered();
  }

  /** The chunks to send now. */
  takeChunks(now: Instant): Chunk[] {
    const chunks = this.#responses.splice(0).map((response) => encodeReConfigChunk([response]));
    this.#startRequest();
    if (this.#mustSendRequest && this.#request !== null) {
      this.#mustSendRequest = false;
      this.#timers.arm(
        'ReConfig',
        later(now, Math.min(this.#host.rtoMs * 2 ** this.#attempt, MAX_DELAY_MS)),
      );
      this.#attempt += 1;
      chunks.push(encodeReConfigChunk([this.#request]));
    }
    return chunks;
  }

  clear(): void {
    this.#timers.disarmAll();
    this.#waiting = [];
    this.#request = null;
    this.#deferred = null;
    this.#responses.length = 0;
  }

  /** A request goes out when the peer has all data of its streams: then it can perform it at once, instead of answering "in progress". */
  #startRequest(): void {
    if (this.#request !== null || this.#waiting.length === 0) return;
    for (const waiting of this.#waiting)
      if (waiting.lastTsn === null && this.#host.isDrained(waiting.streamId))
        waiting.lastTsn = this.#host.lastAssignedTsn;
    const ready = this.#waiting
      .filter(({ lastTsn }) => lastTsn !== null && this.#host.isAcknowledged(lastTsn))
      .slice(0, MAX_STREAMS_PER_REQUEST);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((waiting) => !ready.includes(waiting));
    this.#attempt = 0;
    this.#request = this.#makeRequest(ready.map(({ streamId }) => streamId));
    this.#mustSendRequest = true;
  }

  #makeRequest(streamIds: readonly number[]): OutgoingReset {
    const requestSequence = this.#nextRequestSequence;
    this.#nextRequestSequence = serial32Add(requestSequence, 1);
    return {
      type: 'outgoingReset',
      requestSequence,
      responseSequence: serial32Add(this.#expectedRequestSequence, -1),
      lastTsn: this.#host.lastAssignedTsn,
      streamIds,
    };
  }

  #handleResponse(responseSequence: number, result: number): void {
    const request = this.#request;
    if (request === null || responseSequence !== request.requestSequence) return;
    if (result === RESET_RESULT.inProgress) {
      // A repeated number would get the stored answer for ever: the next try, when the timer comes, is a request of its own.
      this.#request = this.#makeRequest(request.streamIds);
      return;
    }
    this.#timers.disarm('ReConfig');
    this.#request = null;
    this.#host.handleOutgoingResetDone(
      request.streamIds,
      result === RESET_RESULT.performed || result === RESET_RESULT.nothingToDo,
    );
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
    return serial32Lte(request.lastTsn, this.#host.cumulativeTsn);
  }

  #perform(request: OutgoingReset): void {
    // A later request for the same streams took the place of a deferred one.
    this.#deferred = null;
    this.#conclude(request.requestSequence, RESET_RESULT.performed);
    this.#host.handleIncomingReset(request.streamIds);
  }

  /** The answer that a retransmission of the request gets as well. */
  #conclude(sequence: number, result: number): void {
    this.#lastResponse = { sequence, result };
    this.#respond(sequence, result);
  }

  #respond(sequence: number, result: number): void {
    if (this.#responses.length < MAX_STREAMS_PER_REQUEST)
      this.#responses.push({ type: 'response', responseSequence: sequence, result });
  }
}
