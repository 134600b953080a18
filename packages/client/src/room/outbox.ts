import { type Instant, instant } from '@lumamesh/base';
import type { ClientMessage } from '@lumamesh/protocol';
import type { ChannelHost } from './channel-host.ts';
import { Unanswered } from './unanswered.ts';

/** Signals to members: in the order in which they were given, each by the way back to its receiver. */
export class Outbox {
  readonly #host: ChannelHost;
  /** The relay a member was last heard through: the way back. */
  readonly #routes = new Map<string, string>();
  /** Sealing takes time; what is sent to a member keeps its order. */
  readonly #chains = new Map<string, Promise<unknown>>();
  readonly #unanswered = new Unanswered();
  /** Members to whom something was to be said while there was no relay. */
  readonly #missed = new Set<string>();

  constructor(host: ChannelHost) {
    this.#host = host;
  }

  /**
   * @param seal makes the message when it is its turn; `null` where it is of no use any more
   * @returns whether a relay took it; never rejects
   */
  _send(to: string, seal: () => Promise<ClientMessage | null>): Promise<boolean> {
    const sent = (this.#chains.get(to) ?? Promise.resolve()).then(async () => {
      const message = await seal();
      if (message === null) return false;
      const isTaken = this.#host.send(this.#routes.get(to) ?? null, message);
      if (isTaken) this.#unanswered._add(to, message, this.#host.platform.now());
      else this.#missed.add(to);
      return isTaken;
    });
    const settled = sent.catch((error: unknown) => {
      this.#host.onListenerError(error);
      return false;
    });
    this.#chains.set(to, settled);
    return settled;
  }

  /** Says again by all relays what was not answered. */
  _handleTick(now: Instant): void {
    for (const [to, messages] of this.#unanswered._takeDue(now)) {
      // By all relays, also what follows, until the member is heard by one of them.
      this._unroute(to);
      for (const message of messages) this.#host.send(null, message);
    }
  }

  /** A relay had to be dialled again: what was not answered may have found none. */
  _handleReturn(): void {
    for (const to of this.#unanswered._receivers) this.#missed.add(to);
  }

  /** Says again now what was not answered. */
  _sayAgain(): void {
    this._handleTick(instant(Number.POSITIVE_INFINITY));
  }

  /** It was heard by a relay: that is the way back. */
  _route(id: string, relay: string): void {
    this.#routes.set(id, relay);
  }

  /** By all relays, until the member is heard by one of them. */
  _unroute(id: string): void {
    this.#routes.delete(id);
  }

  /** It was heard, or needs no relay to be reached. */
  _settle(id: string): void {
    this.#unanswered._settle(id);
  }

  /** Whether something was to be said to it that found no relay; from now on not. */
  _takeMissed(id: string): boolean {
    return this.#missed.delete(id);
  }

  /** Nobody has anything to say to it any more. */
  _release(id: string): void {
    this._settle(id);
    this._unroute(id);
    this.#chains.delete(id);
    this.#missed.delete(id);
  }
}
