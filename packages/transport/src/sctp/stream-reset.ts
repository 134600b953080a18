import { type Instant, TimerTable, later, serial32Add, serial32Diff, serial32Lte } from '@lumamesh/base';
import { RESET_RESULT, type ReConfigParameter, encodeReConfigChunk } from './chunk/re-config-chunk.ts';
import type { Chunk } from './chunk/packet.ts';

type SendableParameter = Exclude<ReConfigParameter, { type: 'unsupportedRequest' }>;
type OutgoingReset = Extract<ReConfigParameter, { type: 'outgoingReset' }>;

/** Streams of one request; the rest waits for the next (RFC 6525 §5.1.1 allows one request at a time). */
const MAX_STREAMS_PER_REQUEST = 128;

/** What the reset machine asks of the association around it. */
export interface StreamResetHost {
  /** The last TSN that was assigned. */
  readonly lastAssignedTsn: number;
  readonly cumulativeTsn: number;
  readonly rtoMs: number;
  /** Whether all that was queued on a stream before its reset has a TSN. */
  isDrained(streamId: number): boolean;
  handleIncomingReset(streamIds: readonly number[]): void;
  handleOutgoingResetDone(streamIds: readonly number[]): void;
}

/** Closing data channels by resetting their streams (RFC 6525 §5, as RFC 8831 §6.7 uses it). */
export class StreamReset {
  readonly #host: StreamResetHost;
  readonly #timers = new TimerTable<'ReConfig'>();
  readonly #waiting: number[] = [];
  #nextRequestSequence: number;
  #expectedRequestSequence: number;
  #request: OutgoingReset | null = null;
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
    for (const streamId of streamIds) if (!this.#waiting.includes(streamId) && this.#request?.streamIds.includes(streamId) !== true) this.#waiting.push(streamId);
  }

  handleParameters(parameters: readonly ReConfigParameter[]): void {
    for (const parameter of parameters) {
      if (parameter.type === 'response') this.#handleResponse(parameter.responseSequence, parameter.result);
      else this.#handleRequest(parameter);
    }
  }

  /** The cumulative TSN moved: a deferred reset may be due. */
  handleProgress(): void {
    if (this.#deferred === null || !this.#hasAllBefore(this.#deferred)) return;
    const request = this.#deferred;
    this.#deferred = null;
    this.#perform(request);
  }

  handleTimeout(now: Instant): void {
    if (this.#timers.takeExpired(now) !== null) this.#mustSendRequest = this.#request !== null;
  }

  /** The chunks to send now. */
  takeChunks(now: Instant): Chunk[] {
    const chunks = this.#responses.splice(0).map((response) => encodeReConfigChunk([response]));
    this.#startRequest();
    if (this.#mustSendRequest && this.#request !== null) {
      this.#mustSendRequest = false;
      this.#timers.arm('ReConfig', later(now, this.#host.rtoMs));
      chunks.push(encodeReConfigChunk([this.#request]));
    }
    return chunks;
  }

  clear(): void {
    this.#timers.disarmAll();
    this.#waiting.length = 0;
  }

  #startRequest(): void {
    if (this.#request !== null) return;
    const streamIds = this.#waiting.filter((streamId) => this.#host.isDrained(streamId)).slice(0, MAX_STREAMS_PER_REQUEST);
    if (streamIds.length === 0) return;
    for (const streamId of streamIds) this.#waiting.splice(this.#waiting.indexOf(streamId), 1);
    this.#request = {
      type: 'outgoingReset',
      requestSequence: this.#nextRequestSequence,
      responseSequence: serial32Add(this.#expectedRequestSequence, -1),
      lastTsn: this.#host.lastAssignedTsn,
      streamIds,
    };
    this.#nextRequestSequence = serial32Add(this.#nextRequestSequence, 1);
    this.#mustSendRequest = true;
  }

  #handleResponse(responseSequence: number, result: number): void {
    const request = this.#request;
    if (request === null || responseSequence !== request.requestSequence) return;
    // RFC 6525 §5.2.7: "in progress" means ask again; the timer does.
    if (result === RESET_RESULT.inProgress) return;
    this.#timers.disarm('ReConfig');
    this.#request = null;
    this.#host.handleOutgoingResetDone(request.streamIds);
  }

  #handleRequest(parameter: Exclude<ReConfigParameter, { type: 'response' }>): void {
    const distance = serial32Diff(parameter.requestSequence, this.#expectedRequestSequence);
    if (distance === -1) return this.#handleRepeatedRequest(parameter.requestSequence);
    if (distance !== 0) return this.#respond(parameter.requestSequence, RESET_RESULT.badSequenceNumber);
    this.#expectedRequestSequence = serial32Add(this.#expectedRequestSequence, 1);
    if (parameter.type === 'unsupportedRequest') this.#respond(parameter.requestSequence, RESET_RESULT.denied);
    else if (this.#hasAllBefore(parameter)) this.#perform(parameter);
    else {
      this.#deferred = parameter;
      this.#respond(parameter.requestSequence, RESET_RESULT.inProgress);
    }
  }

  #handleRepeatedRequest(sequence: number): void {
    if (this.#lastResponse?.sequence === sequence) this.#respond(sequence, this.#lastResponse.result);
  }

  #hasAllBefore(request: OutgoingReset): boolean {
    return serial32Lte(request.lastTsn, this.#host.cumulativeTsn);
  }

  #perform(request: OutgoingReset): void {
    this.#respond(request.requestSequence, RESET_RESULT.performed);
    this.#host.handleIncomingReset(request.streamIds);
  }

  #respond(sequence: number, result: number): void {
    this.#lastResponse = { sequence, result };
    this.#responses.push({ type: 'response', responseSequence: sequence, result });
  }
}
