import { type Instant, LumameshError, instant } from '@lumamesh/base';
import {
  type SignedRelayRecord,
  type VerifyEd25519,
  type WebCrypto,
  verifyEd25519,
  verifyRecord,
} from '@lumamesh/protocol';
import type { KnownRelay } from '../core/relay-source.ts';
import { dialRelay } from './dial-relay.ts';

/** A message channel to a relay, as a browser or a Node program makes it. */
export interface RelayChannel {
  /** False when it is not open. */
  send(frame: string): boolean;
  /** Nothing is heard of it afterwards. */
  close(): void;
}

export interface RelayChannelEvents {
  open(): void;
  frame(text: string): void;
  /** Once, at the end: a code of docs/errors.md and what was seen. */
  closed(code: string, text: string, cause?: unknown): void;
}

export type DialRelay = (
  relay: KnownRelay,
  addresses: readonly string[],
  events: RelayChannelEvents,
) => RelayChannel;

/** What the client takes from the world around it. Tests have one with a clock of their own. */
export interface Platform {
  readonly crypto: WebCrypto;
  /** `null` where there is no WebRTC: relays may be reached all the same, peers may not. */
  readonly PeerConnection: (new (configuration?: RTCConfiguration) => RTCPeerConnection) | null;
  readonly dialRelay: DialRelay;
  /** Whether a record is signed by its node key; `null` where nobody can tell. */
  verifyRecord(record: SignedRelayRecord): Promise<boolean | null>;
  /** Session or local storage, or `null` where there is none. */
  storage(name: 'localStorage' | 'sessionStorage'): Storage | null;
  now(): Instant;
  unixSeconds(): number;
  random(): number;
  /** The answer cancels. */
  setTimer(ms: number, run: () => void): () => void;
}

/** The page's own. Throws `INSECURE_ORIGIN` where the browser keeps WebCrypto from it. */
export function browserPlatform(): Platform {
  // Plain http on anything but localhost has no crypto.subtle (W3C Secure Contexts).
  if (globalThis.crypto?.subtle === undefined)
    throw new LumameshError(
      'INSECURE_ORIGIN',
      'this page has no WebCrypto: serve it over https, or from localhost',
    );
  const crypto = globalThis.crypto as unknown as WebCrypto;
  return {
    crypto,
    verifyRecord: async (record) =>
      verifyRecord(
        record,
        async (key, signature, data) =>
          (await verifyEd25519(crypto.subtle, key, signature, data)) ??
          fallBack(key, signature, data),
      ),
    PeerConnection: globalThis.RTCPeerConnection ?? null,
    dialRelay,
    storage: (name) => {
      try {
        return globalThis[name] ?? null;
      } catch {
        // In an opaque origin even looking throws.
        return null;
      }
    },
    now: () => instant(performance.now()),
    unixSeconds: () => Date.now() / 1000,
    random: Math.random,
    setTimer: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  };
}

/** Browsers without Ed25519 load a file for it; `null` where the page's policy does not let them, or the file is not there. */
const fallBack: VerifyEd25519<boolean | null> = async (key, signature, data) => {
  try {
    const { verify } = await import('./ed25519-fallback.ts');
    return await verify(key, signature, data);
  } catch {
    return null;
  }
};
