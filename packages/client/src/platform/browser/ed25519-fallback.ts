import { verifyAsync } from '@noble/ed25519';

/*
 * Loaded only by browsers whose WebCrypto has no Ed25519 (Chrome before 137, Firefox before 129,
 * Safari before 17).
 */

/** As RFC 8032 §5.1.7 has it; false for a key or a signature that is none. */
export async function verify(
  publicKey: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  try {
    return await verifyAsync(signature, data, publicKey, { zip215: false });
  } catch {
    return false;
  }
}
