import { LumameshError, instant } from '@lumamesh/base';
import {
  type VerifyEd25519,
  type WebCrypto,
  verifyEd25519,
  verifyRecord,
} from '@lumamesh/protocol';
import type { Platform } from '../platform.ts';
import { dialRelay } from './dial-relay.ts';
import { watchPage } from './page-lifecycle.ts';

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

/**
 * Browsers without Ed25519 load a file for it; `null` where the page's policy does not let them,
 * or the file is not there.
 */
const fallBack: VerifyEd25519<boolean | null> = async (key, signature, data) => {
  try {
    const { verify } = await import('./ed25519-fallback.ts');
    return await verify(key, signature, data);
  } catch {
    return null;
  }
};
