import * as Y from 'yjs';
import {
  ASK,
  type Bytes,
  type Part,
  CURRENT,
  HELLO,
  REPLY,
  REPLY_IF_DIFFERENT,
  UPDATE,
  answerOf,
} from './frames.ts';
import type { Clock } from './clock.ts';
import type { Link } from './link.ts';
import type { Links } from './links.ts';

/** Who does not answer for so long is not waited for. */
const ANSWER_MS = 6000;
/**
 * An answer that takes longer is waited for, and another member asked besides; for a third one it may
 * take twice as long, and so on: who is slow is not to be slowed down by many answers.
 */
const PATIENCE_MS = 60_000;
/** A hello that is not answered is said again, each time after twice as long. */
const GREETING_MS = 3000;
const MAX_GREETINGS = 6;
/** After so long without an edit, neighbours compare what they have. */
const QUIET_MS = 1500;
/** A member is given the whole of it so often at most, and so many are at once. */
const ANSWER_INTERVAL_MS = 1000;
const MAX_ANSWERS = 4;
/** Of another's state vector: of more than half a million authors. */
const MAX_VECTOR_BYTES = 4_194_304;
/** Of updates that wait for others, which may never come. */
const MAX_PENDING_BYTES = 4_194_304;

export interface DocumentHost {
  readonly _clock: Clock;
  /** Transactions of this origin are what others have written. */
  readonly _origin: object;
  readonly _links: Links;
  /** The document is that of the room. */
  readonly _handleSynced: () => void;
  readonly _handleError: (error: unknown, id: string) => void;
}

/**
 * Brings documents together. Two that meet say by a digest where they are. When they differ the one
 * that came last asks, one member at a time, for what it lacks, and tells all what they lack. Later
 * each edit is said once. After every pause two neighbours compare again, in case one was missed.
 */
export class DocumentSync {
  readonly #doc: Y.Doc;
  readonly #host: DocumentHost;
  /** `null` after a change. */
  #digest: string | null = null;
  _isCurrent = false;
  /** Whom we still have to ask. */
  readonly #queue = new Set<Link>();
  #asked: Link | null = null;
  #patienceMs = PATIENCE_MS;
  #patientUntil = 0;
  #cancelAsked: (() => void) | null = null;
  #cancelQuiet: (() => void) | null = null;
  #answers = 0;
  /** Who was answered a moment ago, or is being answered. */
  readonly #served = new Set<string>();

  constructor(doc: Y.Doc, host: DocumentHost) {
    this.#doc = doc;
    this.#host = host;
    doc.on('update', this.#handleChange);
  }

  _close(): void {
    this.#doc.off('update', this.#handleChange);
    this.#cancelAsked?.();
    this.#cancelQuiet?.();
  }

  /** Begins with another one, or begins anew. */
  _greet(link: Link, count = 0): void {
    link._isGreeting = true;
    this.#sayHello(link, REPLY);
    this.#host._clock.setTimer(GREETING_MS * 2 ** count, () => {
      const isThere = this.#host._links._byId.get(link._id) === link;
      if (isThere && link._isGreeting && count < MAX_GREETINGS) this._greet(link, count + 1);
    });
  }

  _handleHello(link: Link, flags: number, digest: string): void {
    const isNews = !link._isSettled || (flags & REPLY) !== 0;
    link._isHeard = true;
    link._digest = digest;
    link._isCurrent = (flags & CURRENT) !== 0;
    link._isSettled = digest === this.#now;
    const isAnswer = link._isGreeting;
    link._isGreeting = false;
    const isWanted = (flags & REPLY) !== 0 ? !isAnswer : (flags & REPLY_IF_DIFFERENT) !== 0;
    if (link._isSettled) {
      if ((flags & REPLY) !== 0 && isWanted) this.#sayHello(link, 0);
      return this.#settle();
    }
    if (isWanted) this.#sayHello(link, 0);
    // While edits are on their way two who are settled differ.
    if (isNews || this.#cancelQuiet === null) this.#consider(link);
  }

  _handleAsk(link: Link, vector: Bytes): void {
    if (vector.length > MAX_VECTOR_BYTES) return;
    // Of several questions of one member the last counts.
    link._question = vector;
    this.#answerNext();
  }

  _handleAnswer(link: Link, digest: string, vector: Bytes, update: Bytes): void {
    if (!link._isAsked) return;
    link._isAsked = false;
    this.#patienceMs = PATIENCE_MS;
    if (this.#asked === link) this.#endQuestion();
    if (this.#apply(link, update)) this.#host._links._spread(UPDATE, [update], link);
    link._digest = digest;
    link._isSettled = true;
    if (digest !== this.#now)
      this.#try(link, () => {
        const rest = Y.encodeStateAsUpdate(this.#doc, vector);
        // What a newcomer has, nobody has; what two parts of a room have is known in each.
        if (this._isCurrent) void link._send(false, UPDATE, 0, rest);
        else this.#host._links._spread(UPDATE, [rest]);
      });
    // It does not know yet that we have the same now.
    if (!link._isCurrent) this.#sayHello(link, 0);
    this.#settle();
    // The others may have it by now, or have heard of it.
    for (const other of this.#queue) this.#sayHello(other, REPLY_IF_DIFFERENT);
    this.#queue.clear();
  }

  /** Returns whether it could be read. */
  _handleUpdate(link: Link, update: Bytes): boolean {
    return this.#apply(link, update);
  }

  /** A large answer is on its way. */
  _handleProgress(link: Link): void {
    const isWaitedFor = this.#host._clock.now() < this.#patientUntil || this.#queue.size === 0;
    if (this.#asked === link && isWaitedFor) this.#await(link);
  }

  _handleGone(link: Link): void {
    this.#queue.delete(link);
    if (this.#asked === link) {
      this.#endQuestion();
      this.#askNext();
    }
    // Whoever comes back after having been alone has missed something.
    if (this.#host._links._heard.length === 0) this._isCurrent = false;
  }

  get #now(): string {
    return (this.#digest ??= digestOf(Y.encodeSnapshot(Y.snapshot(this.#doc))));
  }

  readonly #handleChange = (update: Uint8Array, origin: unknown): void => {
    this.#digest = null;
    this.#cancelQuiet?.();
    this.#cancelQuiet = this.#host._clock.setTimer(QUIET_MS, () => {
      this.#cancelQuiet = null;
      this.#compare();
    });
    if (origin !== this.#host._origin) this.#host._links._spread(UPDATE, [update]);
  };

  #sayHello(link: Link, wanted: number): void {
    void link._send(false, HELLO, wanted | (this._isCurrent ? CURRENT : 0), this.#now);
  }

  /** With the next on the ring, and where not all hear each other also with any. */
  #compare(): void {
    const { _next, _heard, _isPartial } = this.#host._links;
    // Which one does not matter, as long as it is another one each time.
    const any = _heard[this.#now.charCodeAt(0) % _heard.length];
    for (const link of new Set(_isPartial ? [_next, any] : [_next]))
      if (link !== undefined) this.#sayHello(link, REPLY_IF_DIFFERENT);
  }

  #consider(link: Link): void {
    const isOurs = this._isCurrent === link._isCurrent ? link._isFirst : link._isCurrent;
    if (!isOurs) return;
    this.#queue.add(link);
    this.#askNext();
  }

  #askNext(): void {
    if (this.#asked !== null) return;
    for (const link of this.#queue) {
      this.#queue.delete(link);
      if (link._digest === this.#now) {
        link._isSettled = true;
        continue;
      }
      void link._send(false, ASK, Y.encodeStateVector(this.#doc));
      link._isAsked = true;
      this.#patientUntil = this.#host._clock.now() + this.#patienceMs;
      return this.#await(link);
    }
  }

  #await(link: Link): void {
    this.#endQuestion();
    this.#asked = link;
    this.#cancelAsked = this.#host._clock.setTimer(ANSWER_MS, () => {
      this.#endQuestion();
      if (this.#host._clock.now() >= this.#patientUntil) this.#patienceMs *= 2;
      // Behind all others.
      this.#queue.add(link);
      this.#askNext();
    });
  }

  #endQuestion(): void {
    this.#cancelAsked?.();
    this.#asked = null;
  }

  #settle(): void {
    if (this._isCurrent) return;
    this._isCurrent = true;
    this.#host._handleSynced();
    for (const link of this.#host._links._heard) {
      link._isSettled ||= link._digest === this.#now;
      if (!link._isSettled) this.#queue.add(link);
    }
  }

  #answerNext(): void {
    for (const link of this.#host._links._heard) {
      if (this.#answers >= MAX_ANSWERS) return;
      const vector = link._question;
      if (vector === null || this.#served.has(link._id)) continue;
      link._question = null;
      this.#served.add(link._id);
      this.#answers += 1;
      void this.#answer(link, vector).then(() => {
        this.#answers -= 1;
        this.#host._clock.setTimer(ANSWER_INTERVAL_MS, () => {
          this.#served.delete(link._id);
          this.#answerNext();
        });
        this.#answerNext();
      });
    }
  }

  async #answer(link: Link, vector: Bytes): Promise<void> {
    const parts: Part[] = [];
    this.#try(link, () => {
      const update = Y.encodeStateAsUpdate(this.#doc, vector);
      parts.push(...answerOf(this.#now, Y.encodeStateVector(this.#doc), update));
    });
    if (parts.length === 0) return;
    // It will tell what we lack.
    link._isSettled = true;
    await link._send(false, ...parts);
  }

  /** Returns whether it could be read, and what it needs was there. */
  #apply(link: Link, update: Bytes): boolean {
    const { store } = this.#doc;
    return this.#try(link, () => {
      // Reads all of it and keeps nothing: what claims more than it has is found here.
      Y.parseUpdateMeta(update);
      Y.applyUpdate(this.#doc, update, this.#host._origin);
      const pending = (store.pendingStructs?.update.length ?? 0) + (store.pendingDs?.length ?? 0);
      // Each update that must wait is merged with all that do.
      if (pending === 0 || (pending < MAX_PENDING_BYTES && link._take(pending))) return;
      store.pendingStructs = store.pendingDs = null;
      this._greet(link);
    });
  }

  #try(link: Link, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      this.#host._handleError(error, link._id);
      return false;
    }
  }
}

/** Two hashes of 32 bits (FNV-1a with different primes): documents that are alike have the same. */
function digestOf(bytes: Uint8Array): string {
  let [one, two] = [2_166_136_261, 3_735_928_559];
  for (const byte of bytes) {
    one = Math.imul(one ^ byte, 16_777_619);
    two = Math.imul(two ^ byte, 2_654_435_761);
  }
  return [one, two]
    .flatMap((hash) => [24, 16, 8, 0].map((shift) => (hash >>> shift) & 255))
    .map((byte) => String.fromCharCode(byte))
    .join('');
}
