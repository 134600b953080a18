import type { Instant } from './instant.ts';

/**
 * The contract of every protocol machine. It owns no socket, clock or timer: whoever owns it
 *
 * 1. tells it what happened (a datagram, a command, a timeout), each with the time it happened;
 * 2. drains it: polls until `null`, and acts on each output, which may tell the machine more (the running drain picks that up; drains do not nest);
 * 3. reads {@link Machine.deadline}, and wakes it then.
 */
export interface Machine<Output> {
  /** When the machine next wants {@link handleTimeout}; `null`: not until something happens. Valid once it is drained. */
  readonly deadline: Instant | null;
  /** Time has passed: whatever is due at `now` happens. Harmless before the deadline. */
  handleTimeout(now: Instant): void;
  /** @returns The next output, or `null`, which ends the drain. */
  poll(): Output | null;
}

/** An output of machines that talk to one peer: a datagram for it. */
export interface Transmit {
  readonly type: 'transmit';
  readonly data: Uint8Array;
}
