import { LumameshError } from '@lumamesh/base';
import type { WebCrypto } from '@lumamesh/protocol';

/** The platform's WebCrypto. Throws `INSECURE_ORIGIN` where the browser keeps it from the page. */
export function webCrypto(): WebCrypto {
  // Plain http on anything but localhost has no crypto.subtle (W3C Secure Contexts).
  if (globalThis.crypto?.subtle === undefined) {
    throw new LumameshError('INSECURE_ORIGIN', 'this page has no WebCrypto: serve it over https, or from localhost');
  }
  return globalThis.crypto as unknown as WebCrypto;
}
