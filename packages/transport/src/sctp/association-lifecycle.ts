import { Fifo, type Instant, type Machine, TimerTable, later } from '@lumamesh/base';
import type { AssociationState } from './association-state.ts';
import { emptyChunk, invalidInitAbort } from './chunk/error-cause.ts';
import { type InitChunk, encodeInitChunk } from './chunk/init-chunk.ts';
import { CHUNK_TYPE } from './chunk/packet.ts';
import { encodeShutdownChunk } from './chunk/shutdown-chunk.ts';
import { InitResponder } from './init-responder.ts';
import type { PacketAssembler } from './packet-assembler.ts';
import { RTO_INITIAL_MS } from './rto.ts';
import type { SctpCloseReason, SctpOptions } from './sctp-types.ts';

/** T1 and T2 double from the initial RTO to this; the whole handshake has 15 s. */
const T1_MAX_MS = 2000;
/** RFC 9260 §16: Max.Init.Retransmits. */
const MAX_INIT_ATTEMPTS = 8;
/**
 * INITs of a peer that are acknowledged: it repeats its own as often as we do, and one DTLS datagram
 * has place for dozens.
 */
const MAX_INIT_ACKS = 2 * MAX_INIT_ATTEMPTS;
/** How long an INIT that crossed ours may wait for the reply to ours. */
const HELD_INIT_MS = 30;

export type LifecycleOutput =
  /** The peer's tag, TSN and abilities are known, from its INIT or INIT ACK. */
  | { readonly type: 'peerKnown'; readonly init: InitChunk }
  | { readonly type: 'established' }
  /** The COOKIE ECHO goes again, and so must the DATA that was bundled with it. */
  | { readonly type: 'cookieEchoLost' }
  | { readonly type: 'ended'; readonly reason: SctpCloseReason; readonly detail: string };

/**
 * Setting an association up and taking it down (RFC 9260 §5, §9): the states of
 * association-state.ts, with T1 and T2.
 */
export class AssociationLifecycle implements Machine<LifecycleOutput> {
  readonly #ownInit: InitChunk;
  readonly #holdsCrossingInit: boolean;
  readonly #packets: PacketAssembler;
  readonly #receivedTsn: () => number;
  readonly #responder: InitResponder;
  readonly #timers = new TimerTable<'T1Init' | 'T1Cookie' | 'T2Shutdown' | 'HeldInit'>();
  readonly #outputs = new Fifo<LifecycleOutput>();
  #state: AssociationState = { name: 'closed' };
  #peerTag: number | null = null;
  #initAcks = 0;

  /**
   * @param packets takes the chunks of setup and shutdown.
   * @param receivedTsn the cumulative TSN received so far, which a SHUTDOWN acknowledges.
   */
  constructor(
    options: SctpOptions,
    ownInit: InitChunk,
    packets: PacketAssembler,
    receivedTsn: () => number,
  ) {
    this.#ownInit = ownInit;
    this.#holdsCrossingInit = options.holdsCrossingInit;
    this.#packets = packets;
    this.#receivedTsn = receivedTsn;
    this.#responder = new InitResponder(options.randomBytes, ownInit);
  }

  get state(): AssociationState['name'] {
    return this.#state.name;
  }

  get isEnding(): boolean {
    return this.#state.name.startsWith('shutdown') || this.#state.name === 'ended';
  }

  get deadline(): Instant | null {
    return this.#timers.next();
  }

  /** Sends an INIT, whatever the peer does at the same time. */
  connect(now: Instant): void {
    if (this.#state.name !== 'closed') return;
    this.#state = { name: 'cookieWait', attempt: 0 };
    this.#sendInit(now);
  }

  /** Begins to end gracefully. Only an established association can. */
  shutdown(): void {
    if (this.#state.name === 'established') this.#state = { name: 'shutdownPending' };
  }

  /** Ends at once. */
  end(reason: SctpCloseReason, detail: string): void {
    if (this.#state.name === 'ended') return;
    this.#state = { name: 'ended' };
    this.#timers.disarmAll();
    this.#outputs.push({ type: 'ended', reason, detail });
  }

  /** @returns A drop reason, or `null`. */
  handleInit(now: Instant, init: InitChunk): string | null {
    // Within one DTLS association the peer cannot have been restarted, so a late INIT is an old
    // one, or an attempt to overwrite our state.
    if (!['closed', 'cookieWait', 'cookieEchoed'].includes(this.#state.name))
      return 'sctp.init.unexpected';
    if (
      this.#state.name === 'cookieWait' &&
      this.#holdsCrossingInit &&
      this.#responder.hold(init)
    ) {
      this.#timers.arm('HeldInit', later(now, HELD_INIT_MS));
      return null;
    }
    return this.#acknowledgeInit(init);
  }

  /** An INIT or INIT ACK that cannot be accepted: the peer is told, instead of left waiting. */
  refuseInit(initiateTag: number): void {
    if (!['closed', 'cookieWait', 'cookieEchoed'].includes(this.#state.name)) return;
    this.#packets.transmitAlone(invalidInitAbort(), initiateTag);
    this.end('initInvalid', 'the INIT of the peer is not acceptable');
  }

  /** @returns A drop reason, or `null`. */
  handleInitAck(now: Instant, init: InitChunk): string | null {
    if (this.#state.name !== 'cookieWait') return 'sctp.initAck.unexpected';
    if (init.stateCookie === null) return 'sctp.initAck.noCookie';
    this.#timers.disarm('T1Init');
    this.#timers.disarm('HeldInit');
    this.#setPeer(init);
    this.#state = { name: 'cookieEchoed', cookie: init.stateCookie.slice(), attempt: 0 };
    this.#sendCookieEcho(now);
    return null;
  }

  /** @returns A drop reason, or `null`. */
  handleCookieEcho(cookie: Uint8Array): string | null {
    const init = this.#responder.find(cookie);
    if (init === null) return 'sctp.cookie.unknown';
    switch (this.#state.name) {
      case 'closed':
      case 'cookieWait':
      case 'cookieEchoed':
        // RFC 9260 §5.2.4: in cookieEchoed the peer is known from its INIT ACK, and must be the one
        // of the INIT (action D).
        if (this.#peerTag !== null && this.#peerTag !== init.initiateTag)
          return 'sctp.cookie.otherPeer';
        this.#setPeer(init);
        this.#establish();
        break;
      case 'ended':
        return 'sctp.ended';
      default:
        // Our COOKIE ACK was lost, or both sides opened: the reply is the same.
        if (this.#peerTag !== init.initiateTag) return 'sctp.cookie.otherPeer';
    }
    return this.#packets.queueReply(emptyChunk(CHUNK_TYPE.cookieAck));
  }

  /** @returns A drop reason, or `null`. */
  handleCookieAck(): string | null {
    if (this.#state.name !== 'cookieEchoed') return 'sctp.cookieAck.unexpected';
    this.#establish();
    return null;
  }

  /** Whether a SHUTDOWN of the peer has its place now (RFC 9260 §9.2). */
  get acceptsShutdown(): boolean {
    return ['established', 'shutdownPending', 'shutdownSent', 'shutdownReceived'].includes(
      this.#state.name,
    );
  }

  /** The peer will send no more; what its SHUTDOWN acknowledged has been seen to. */
  handleShutdown(now: Instant): void {
    if (this.#state.name === 'shutdownSent') this.#sendShutdownAck(now);
    else this.#state = { name: 'shutdownReceived' };
  }

  /** @returns A drop reason, or `null`. */
  handleShutdownAck(): string | null {
    if (this.#state.name !== 'shutdownSent' && this.#state.name !== 'shutdownAckSent')
      return 'sctp.shutdownAck.unexpected';
    if (this.#peerTag !== null)
      this.#packets.transmitAlone(emptyChunk(CHUNK_TYPE.shutdownComplete), this.#peerTag);
    this.end('shutdown', '');
    return null;
  }

  /** @returns A drop reason, or `null`. */
  handleShutdownComplete(): string | null {
    if (this.#state.name !== 'shutdownAckSent') return 'sctp.shutdownComplete.unexpected';
    this.end('shutdown', '');
    return null;
  }

  /** Everything that was queued is acknowledged: a shutdown that waited for that goes on. */
  handleAllAcknowledged(now: Instant): void {
    if (this.#state.name === 'shutdownPending') this.#sendShutdown(now);
    else if (this.#state.name === 'shutdownReceived') this.#sendShutdownAck(now);
  }

  handleTimeout(now: Instant): void {
    for (
      let name = this.#timers.takeExpired(now);
      name !== null;
      name = this.#timers.takeExpired(now)
    ) {
      const held = name === 'HeldInit' ? this.#responder.takeHeld() : null;
      // Our own INIT had no reply in time, so the peer's gets one.
      if (held !== null) this.#acknowledgeInit(held);
      else if (name !== 'HeldInit') this.#repeat(now);
    }
  }

  poll(): LifecycleOutput | null {
    return this.#outputs.shift() ?? null;
  }

  #repeat(now: Instant): void {
    const state = this.#state;
    if (!('attempt' in state)) return;
    if (state.attempt >= MAX_INIT_ATTEMPTS)
      return this.end(
        state.name.startsWith('shutdown') ? 'shutdown' : 'initTimeout',
        `no answer in ${state.name}`,
      );
    switch (state.name) {
      case 'cookieWait':
        return this.#sendInit(now);
      case 'cookieEchoed':
        this.#outputs.push({ type: 'cookieEchoLost' });
        return this.#sendCookieEcho(now);
      case 'shutdownSent':
        return this.#sendShutdown(now, state.attempt);
      case 'shutdownAckSent':
        return this.#sendShutdownAck(now, state.attempt);
    }
  }

  #acknowledgeInit(init: InitChunk): string | null {
    this.#timers.disarm('HeldInit');
    if (this.#initAcks >= MAX_INIT_ACKS) return 'sctp.init.tooMany';
    this.#initAcks += 1;
    return this.#packets.transmitAlone(this.#responder.acknowledge(init), init.initiateTag)
      ? null
      : 'sctp.init.tooLarge';
  }

  #setPeer(init: InitChunk): void {
    if (this.#peerTag !== null) return;
    this.#peerTag = init.initiateTag;
    this.#outputs.push({ type: 'peerKnown', init });
  }

  #establish(): void {
    // Nothing of the setup is kept: thousands of sessions are idle afterwards.
    this.#timers.disarmAll();
    this.#responder.takeHeld();
    this.#state = { name: 'established' };
    this.#outputs.push({ type: 'established' });
  }

  #sendInit(now: Instant): void {
    if (this.#state.name !== 'cookieWait') return;
    this.#state.attempt += 1;
    this.#timers.arm('T1Init', later(now, handshakeDelayMs(this.#state.attempt)));
    // RFC 9260 §8.5.1 A: an INIT carries tag 0.
    this.#packets.transmitAlone(encodeInitChunk(CHUNK_TYPE.init, this.#ownInit), 0);
  }

  #sendCookieEcho(now: Instant): void {
    if (this.#state.name !== 'cookieEchoed') return;
    this.#state.attempt += 1;
    this.#timers.arm('T1Cookie', later(now, handshakeDelayMs(this.#state.attempt)));
    // RFC 9260 §5.1 C: COOKIE ECHO is the first chunk of its packet, and outbound DATA may follow
    // it.
    this.#packets.queue({ type: CHUNK_TYPE.cookieEcho, flags: 0, value: this.#state.cookie });
  }

  #sendShutdown(now: Instant, attempt = 0): void {
    this.#state = { name: 'shutdownSent', attempt: attempt + 1 };
    this.#timers.arm('T2Shutdown', later(now, handshakeDelayMs(attempt + 1)));
    this.#packets.queue(encodeShutdownChunk(this.#receivedTsn()));
  }

  #sendShutdownAck(now: Instant, attempt = 0): void {
    this.#state = { name: 'shutdownAckSent', attempt: attempt + 1 };
    this.#timers.arm('T2Shutdown', later(now, handshakeDelayMs(attempt + 1)));
    this.#packets.queue(emptyChunk(CHUNK_TYPE.shutdownAck));
  }
}

/** How long the `attempt`th transmission (from 1) waits for its reply, in milliseconds. */
function handshakeDelayMs(attempt: number): number {
  return Math.min(RTO_INITIAL_MS * 2 ** (attempt - 1), T1_MAX_MS);
}
