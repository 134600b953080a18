import { LumameshError, instant } from '@lumamesh/base';
import { type WebCrypto, verifyRecord } from '@lumamesh/protocol';
import type { Platform } from '../platform.ts';
import { dialRelay } from './dial-relay.ts';
import { watchPage } from './page-lifecycle.ts';
import { anyEd25519 } from './verify-ed25519.ts';

/** The page's own platform. Throws `INSECURE_ORIGIN` where the browser keeps WebCrypto from it. */
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
    verifyRecord: async (record) => verifyRecord(record, anyEd25519(crypto)),
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
    scope: globalThis,
    watchPage,
    now: () => instant(performance.now()),
    unixSeconds: () => Date.now() / 1000,
    random: Math.random,
    setTimer: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  };
}
