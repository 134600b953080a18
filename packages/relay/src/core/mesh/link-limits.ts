export const LINK_LIMITS = {
  /**
   * Outbound links for gossip: below the first number relays are dialled, above the second hung up.
   */
  minOutbound: 6,
  maxOutbound: 8,
  /** Inbound links that stay; below the hard cap of the sockets. */
  maxInbound: 96,
  maxInboundPerPrefix: 12,
  /** Links to homes of rooms, beyond those for gossip. */
  maxHomeLinks: 128,
  maxDialsAtOnce: 8,
} as const;
