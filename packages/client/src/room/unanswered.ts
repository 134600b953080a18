import { type Instant, later } from '@lumamesh/base';
import type { ClientMessage } from '@lumamesh/protocol';

/** A receiver that has said nothing for this long may not have been told. */
const PATIENCE_MS = 1500;
/** An offer and its candidates. */
const MAX_KEPT = 16;

/**
 * Signals to members who have not been heard since. A relay that passes nothing on looks like a
 * member who says nothing: what it took is said again by all relays, and whoever has heard it
 * passes over what comes twice.
 */
export class Unanswered {
  readonly #sent = new Map<
    string,
    { readonly messages: ClientMessage[]; readonly dueAt: Instant }
  >();

  _add(to: string, message: ClientMessage, now: Instant): void {
    const known = this.#sent.get(to) ?? { messages: [], dueAt: later(now, PATIENCE_MS) };
    this.#sent.set(to, known);
    if (known.messages.length < MAX_KEPT) known.messages.push(message);
  }

  get _receivers(): Iterable<string> {
    return this.#sent.keys();
  }

  /** It was heard, or nobody waits for it any more. */
  _settle(to: string): void {
    this.#sent.delete(to);
  }

  /** What is to be said again, by receiver. Each signal is said again once. */
  _takeDue(now: Instant): readonly (readonly [to: string, messages: readonly ClientMessage[]])[] {
    const due = [...this.#sent].filter(([, { dueAt }]) => now >= dueAt);
    return due.map(([to, { messages }]) => {
      this.#sent.delete(to);
      return [to, messages];
    });
  }
}
