import type { Instant } from '@lumamesh/base';
import type { SignedRelayRecord, WebCrypto } from '@lumamesh/protocol';
import type { DialRelay } from './relay-channel.ts';

/** What the client takes from the world around it. Tests have one with a clock of their own. */
export interface Platform {
  readonly crypto: WebCrypto;
  /** `null` where there is no WebRTC: relays may be reached all the same, peers may not. */
  readonly PeerConnection: (new (configuration?: RTCConfiguration) => RTCPeerConnection) | null;
  readonly dialRelay: DialRelay;
  /** Whether a record is signed by its node key; `null` where that cannot be checked. */
  verifyRecord(record: SignedRelayRecord): Promise<boolean | null>;
  /** Session or local storage, or `null` where there is none. */
  storage(name: 'localStorage' | 'sessionStorage'): Storage | null;
  /** The global scope, as far as features ask it something; what is not there is undefined. */
  readonly scope: Partial<
    Pick<
      typeof globalThis,
      'fetch' | 'navigator' | 'location' | 'self' | 'MediaStream' | 'RTCRtpSender'
    >
  >;
  /** Reports what the page goes through. Returns a function that ends the reports. */
  watchPage(events: PageEvents): () => void;
  readonly now: () => Instant;
  readonly unixSeconds: () => number;
  /** A number in [0, 1), like Math.random. */
  readonly random: () => number;
  /** Calls `run` once after `ms`. Returns a function that cancels it. */
  setTimer(ms: number, run: () => void): () => void;
}

/** What a page goes through, as far as connections depend on it. */
export interface PageEvents {
  /** The page is visible again, has thawed, or has another network. */
  readonly wake: () => void;
  /** The page is put aside for "back" (back/forward cache): it may return. */
  readonly freeze: () => void;
  /** The page goes for good. */
  readonly gone: () => void;
}
