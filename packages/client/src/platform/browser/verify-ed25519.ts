import { type VerifyEd25519, type WebCrypto, verifyEd25519 } from '@lumamesh/protocol';

/**
 * By WebCrypto, or, in browsers without Ed25519, by a file that is loaded for it; `null` where the
 * page's policy does not let them, or the file is not there.
 */
export function anyEd25519({ subtle }: WebCrypto): VerifyEd25519<boolean | null> {
  return async (key, signature, data) =>
    (await verifyEd25519(subtle, key, signature, data)) ?? fallBack(key, signature, data);
}

const fallBack: VerifyEd25519<boolean | null> = async (key, signature, data) => {
  try {
    const { verify } = await import('./ed25519-fallback.ts');
    return await verify(key, signature, data);
  } catch {
    return null;
  }
};
