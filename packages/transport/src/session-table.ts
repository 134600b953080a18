import { Fifo, type HeapEntry, type Instant, TimerHeap, type TokenBucket } from '@lumamesh/base';
import type { Remote } from './five-tuple.ts';
import type { Admitted } from './session-admission.ts';
import type { PathState } from './path-state.ts';
import type { Session } from './session.ts';

/** Names a session for as long as it lives; never used again. */
export type SessionId = number & { readonly __unit: 'session id' };

/** A session's place at an endpoint. */
export interface Slot extends HeapEntry, Admitted {
  readonly id: SessionId;
  /** Where its peer is now; changed by {@link SessionTable.move} only. */
  remote: Remote;
  key: string;
  /** By which checks of its peer are known: that of the last one, once one has come. */
  remoteUfrag: string | null;
  /** That of when the session was opened: what anybody checks as since then does not change it. */
  firstUfrag: string | null;
  /** Other five-tuples of its peer; `null` for the many that have none. */
  paths: PathState | null;
  readonly session: Session;
  /** Checks that are answered, of its peer's ufrag. */
  readonly checks: TokenBucket;
  /** The same of others, which come from whoever forges its five-tuple, or after an ICE restart. */
  otherChecks: TokenBucket | null;
  heldBytes: number;
  /** Of the ClientHello that the handshake began with, while nothing has proven the address. */
  helloRandom: Uint8Array | null;
  /**
   * A HelloVerifyRequest was sent, after which the client numbers its messages and expects ours
   * from 1: a flight for a repeated first ClientHello, from 0, would mislead it.
   */
  isChallenged: boolean;
  isDirty: boolean;
}

/** The sessions of an endpoint by five-tuple and by id, their timers, and those to be drained. */
export class SessionTable {
  readonly #byKey = new Map<string, Slot>();
  readonly #byId = new Map<SessionId, Slot>();
  readonly #heap = new TimerHeap<Slot>();
  readonly #dirty = new Fifo<Slot>();
  #nextId = 1;

  get deadline(): Instant | null {
    return this.#heap.peek()?.deadline ?? null;
  }

  /** The session that is to be drained next. */
  get nextDirty(): Slot | undefined {
    return this.#dirty.peek();
  }

  /** A new id; they last for 2^53 sessions. */
  takeId(): SessionId {
    const id = this.#nextId as SessionId;
    this.#nextId += 1;
    return id;
  }

  at(key: string): Slot | undefined {
    return this.#byKey.get(key);
  }

  get(id: SessionId): Slot | undefined {
    return this.#byId.get(id);
  }

  all(): readonly Slot[] {
    return [...this.#byId.values()];
  }

  add(slot: Slot): void {
    this.#byKey.set(slot.key, slot);
    this.#byId.set(slot.id, slot);
    this.touch(slot);
  }

  /** The session is on another five-tuple now. */
  move(slot: Slot, remote: Remote, key: string): void {
    this.leave(slot);
    slot.remote = remote;
    slot.key = key;
    this.#byKey.set(key, slot);
  }

  /** Its five-tuple is free for another session. */
  leave(slot: Slot): void {
    if (this.#byKey.get(slot.key) === slot) this.#byKey.delete(slot.key);
  }

  /** The same of one that ends, and still has to be drained. */
  release(slot: Slot): void {
    this.leave(slot);
    this.touch(slot);
  }

  remove(slot: Slot): void {
    this.#heap.set(slot, null);
    this.#byId.delete(slot.id);
    this.leave(slot);
  }

  /** The session has to be drained. */
  touch(slot: Slot): void {
    if (slot.isDirty) return;
    slot.isDirty = true;
    this.#dirty.push(slot);
  }

  /** {@link nextDirty} has nothing more to say for now. */
  handleDrained(slot: Slot): void {
    this.#dirty.shift();
    slot.isDirty = false;
    this.#heap.set(slot, slot.session.deadline);
  }

  /** @returns A session whose deadline is over, or `null`; the drain sets its next one. */
  takeDue(now: Instant): Slot | null {
    const slot = this.#heap.peek();
    if (slot === null || slot.deadline === null || slot.deadline > now) return null;
    this.#heap.set(slot, null);
    return slot;
  }
}
