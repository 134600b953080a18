/** Everything strangers can fill in the directory of relays has a bound (docs/limits.md). */
export const DIRECTORY_LIMITS = {
  maxRecords: 16_384,
  maxPerPrefix: 32,
  /** On loopback or in a private network all relays may stand in one prefix. */
  maxPerLocalPrefix: 64,
  maxCandidates: 512,
  maxCandidatesPerSource: 64,
  maxCandidatesPerPrefix: 8,
  checksBurst: 100,
  /**
   * Each kind has slots of its own: candidates that never answer must not keep a newcomer from
   * being looked at, nor a death from being noticed.
   */
  maxChecks: { recheck: 6, hello: 6, candidate: 10 },
  maxChecksPerSource: 2,
  maxPerAddress: 4,
  /** IPv6 networks of one provider's customer. */
  maxPerSlash32: 64,
  offersPerSecondPerSource: 50,
  offersBurstPerSource: 1000,
  maxRefused: 4096,
  maxTombstones: 1024,
  /** New versions of one relay's record. */
  updatesPerSecondPerRelay: 1 / 60,
  updatesBurstPerRelay: 4,
} as const;

/** Clocks may differ by this much. */
export const CLOCK_SKEW_SECONDS = 900;
/** A running relay signs a new record every day. */
export const MAX_AGE_SECONDS = 7 * 24 * 3600;
