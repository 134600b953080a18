import { type Instant, type SyncCrypto, TokenBucket, later } from '@lumamesh/base';
import type { FlightSender } from './flight/flight-sender.ts';
import { HandshakeReassembler } from './flight/handshake-reassembler.ts';
import type { ApplicationTraffic } from './handshake.ts';
import { updatedSecret } from './key-schedule-13.ts';
import { ALERT } from './message/alert.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeFragment,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { decodeKeyUpdate, encodeKeyUpdate } from './message/key-update.ts';
import type { PostHandshake, PostHandshakeStep } from './post-handshake.ts';
import type { RecordLayer } from './record/record-layer.ts';
import { RecordProtection13 } from './record/record-protection-13.ts';

/** Tickets are the largest messages after a handshake. */
const MAX_HELD_BYTES = 4096;

/** Long before AES-GCM's limit of 2^24.5 records (RFC 8446 §5.5). */
const KEY_UPDATE_AFTER_RECORDS = 2 ** 23;
/** A client that has not heard our ACK repeats its Finished for no longer than this. */
const FINISHED_KEYS_MS = 60_000;
const FIRST_APPLICATION_EPOCH = 3;
/**
 * Each costs a key schedule, for 45 bytes. Who sends more waits for the ACK, before which he may
 * not use the new keys (RFC 9147 §8).
 */
const KEY_UPDATES_PER_SECOND = 1;
const KEY_UPDATES_BURST = 20;

const ACKNOWLEDGE: PostHandshakeStep = { type: 'acknowledge' };

/**
 * What follows a handshake of DTLS 1.3: KeyUpdates of both sides (RFC 9147 §8), the client's
 * Finished again when our ACK was lost, tickets, which are not used.
 */
export class PostHandshake13 implements PostHandshake {
  readonly version = '1.3';
  readonly #keyUpdateAfterRecords: number;
  readonly #crypto: SyncCrypto;
  readonly #records: RecordLayer;
  readonly #flights: FlightSender;
  readonly #isServer: boolean;
  readonly #suite: ApplicationTraffic['suite'];
  #readSecret: Uint8Array;
  #writeSecret: Uint8Array;
  #nextReceiveSeq: number;
  #nextSendSeq: number;
  /** Only while a message is not whole: thousands of idle sessions would keep one for nothing. */
  #reassembler: HandshakeReassembler | null = null;
  /** Until when the client's Finished may come again, under the keys of epoch 2. */
  #finishedKeysUntil: Instant | null;
  #isUpdating = false;
  /** Made with the first one of the peer's, which few sessions see. */
  #peerUpdates: TokenBucket | null = null;
  /** The peer asked for our KeyUpdate while another flight was under way. */
  #owesUpdate = false;

  constructor(
    now: Instant,
    crypto: SyncCrypto,
    records: RecordLayer,
    flights: FlightSender,
    isServer: boolean,
    traffic: ApplicationTraffic,
    keyUpdateAfterRecords = KEY_UPDATE_AFTER_RECORDS,
  ) {
    this.#keyUpdateAfterRecords = keyUpdateAfterRecords;
    this.#crypto = crypto;
    this.#records = records;
    this.#flights = flights;
    this.#isServer = isServer;
    this.#suite = traffic.suite;
    this.#readSecret = traffic.readSecret;
    this.#writeSecret = traffic.writeSecret;
    this.#nextReceiveSeq = traffic.nextReceiveSeq;
    this.#nextSendSeq = traffic.nextSendSeq;
    this.#finishedKeysUntil = isServer ? later(now, FINISHED_KEYS_MS) : null;
  }

  handleFragment(now: Instant, epoch: number, fragment: HandshakeFragment): PostHandshakeStep {
    if (fragment.messageSeq < this.#nextReceiveSeq) return ACKNOWLEDGE;
    // Whatever is new comes under the newest keys that the peer may use.
    if (epoch !== this.#records.readEpoch) return { type: 'drop', drop: 'dtls.handshake.epoch' };
    if (fragment.type === HANDSHAKE_TYPE.keyUpdate && !this.#mayUpdate(now))
      return { type: 'drop', drop: 'dtls.keyUpdate.budget' };
    const reassembler = (this.#reassembler ??= new HandshakeReassembler(
      MAX_HELD_BYTES,
      this.#nextReceiveSeq,
    ));
    const result = reassembler.add(fragment, epoch);
    if (result !== 'held' && result !== 'duplicate') return { type: 'drop', drop: result };
    for (let message = reassembler.take(); message !== null; message = reassembler.take()) {
      this.#nextReceiveSeq = message.messageSeq + 1;
      const step = this.#handleMessage(now, message);
      if (step.type === 'failed') return step;
    }
    if (reassembler.heldBytes === 0) this.#reassembler = null;
    return ACKNOWLEDGE;
  }

  handleData(now: Instant, epoch: number): string | null {
    // RFC 9147 §6.1: epoch 2 carries the handshake only.
    if (epoch < FIRST_APPLICATION_EPOCH) return 'dtls.record.contentType';
    if (this.#finishedKeysUntil !== null && now >= this.#finishedKeysUntil) {
      this.#finishedKeysUntil = null;
      this.#records.forgetReadKeysBefore(FIRST_APPLICATION_EPOCH);
    }
    return null;
  }

  updateKeysInTime(now: Instant): void {
    const isDue = this.#records.sealedRecords >= this.#keyUpdateAfterRecords;
    if (isDue && !this.#flights.isWaiting) this.#updateKeys(now, false);
  }

  /**
   * Our flight has arrived: Finished, or a KeyUpdate, whose keys may be used from now on (RFC 9147
   * §8: not before).
   */
  handleAcknowledged(now: Instant): void {
    const epoch = this.#records.writeEpoch;
    if (this.#isUpdating) {
      this.#isUpdating = false;
      this.#writeSecret = updatedSecret(this.#crypto, this.#suite.hash, this.#writeSecret);
      this.#records.installWriteKeys(epoch + 1, this.#protection(this.#writeSecret));
    }
    this.#records.forgetWriteKeysBefore(this.#records.writeEpoch);
    if (!this.#owesUpdate) return;
    this.#owesUpdate = false;
    this.#updateKeys(now, false);
  }

  /** Changes our keys (RFC 8446 §4.6.3), as soon as the flight under way has arrived. */
  #updateKeys(now: Instant, isRequested: boolean): void {
    if (this.#isUpdating) return;
    if (this.#flights.isWaiting) {
      this.#owesUpdate = true;
      return;
    }
    this.#isUpdating = true;
    const message = handshakeMessage(
      HANDSHAKE_TYPE.keyUpdate,
      this.#nextSendSeq,
      encodeKeyUpdate(isRequested),
      this.#records.writeEpoch,
    );
    this.#nextSendSeq += 1;
    this.#flights.send(now, [{ type: 'message', message }], 'byAck');
  }

  #mayUpdate(now: Instant): boolean {
    this.#peerUpdates ??= new TokenBucket(KEY_UPDATES_PER_SECOND, KEY_UPDATES_BURST);
    return this.#peerUpdates.take(now);
  }

  #handleMessage(now: Instant, message: HandshakeMessage): PostHandshakeStep {
    switch (message.type) {
      case HANDSHAKE_TYPE.keyUpdate: {
        const update = decodeKeyUpdate(message.body);
        if (!update.ok) return { type: 'failed', alert: ALERT.decodeError, reason: update.drop };
        this.#readSecret = updatedSecret(this.#crypto, this.#suite.hash, this.#readSecret);
        // The keys before stay: what was sent under them may still be on its way.
        this.#records.forgetReadKeysBefore(message.epoch);
        this.#records.installReadKeys(message.epoch + 1, this.#protection(this.#readSecret));
        if (update.value.isRequested) this.#updateKeys(now, false);
        return ACKNOWLEDGE;
      }
      case HANDSHAKE_TYPE.newSessionTicket:
        // Nothing is resumed: each of our handshakes is a full one.
        if (!this.#isServer) return ACKNOWLEDGE;
    }
    return { type: 'failed', alert: ALERT.unexpectedMessage, reason: 'unexpectedMessage' };
  }

  #protection(secret: Uint8Array) {
    return new RecordProtection13(this.#crypto, this.#suite, secret);
  }
}
