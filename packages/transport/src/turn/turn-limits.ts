/** What a relay forwards at most. Bytes are counted with what a datagram costs besides. */
export interface TurnLimits {
  /** Of all together, in the long run; so much at once, too. */
  readonly bytesPerSecond: number;
  /** Of two allocations, both ways together. */
  readonly bytesPerSecondOfPair: number;
  /** Sent by the allocations of one session, in all its rooms. */
  readonly bytesPerSecondOfSession: number;
  readonly bytesPerSecondOfRoom: number;
  /** Sent from one address (a /64 with IPv6); its network has four times as much. */
  readonly bytesPerSecondOfHost: number;
  /**
   * An eighth of them may come from one address, a quarter from one network, though never fewer
   * than of one session.
   */
  readonly maxAllocations: number;
  readonly allocationsPerSession: number;
}
