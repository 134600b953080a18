import type { HmacName, SyncCrypto } from '@lumamesh/base';
import { type Ffi, INTEGER, type Library, integer } from './ffi.ts';
import { type Guarded, HMAC_LAYOUT, NULL, hmacSlab, nameDigest } from './memory.ts';

const OK = 1;

const DIGESTS: Readonly<Record<HmacName, { readonly name: string; readonly byteLength: number }>> =
  {
    sha1: { name: 'SHA1', byteLength: 20 },
    sha256: { name: 'SHA256', byteLength: 32 },
    sha384: { name: 'SHA384', byteLength: 48 },
  };

/** The part of {@link SyncCrypto} that authenticates and derives keys. */
export type HmacSource = Pick<SyncCrypto, 'hmac'>;

/**
 * `SyncCrypto.hmac` by one context for each digest: a handshake asks for some thirty, and each
 * object of node:crypto costs more than the digest. Throws when OpenSSL lacks something; what
 * exceeds the slab goes to `fallback`.
 */
export function nativeHmacs(
  ffi: Ffi,
  library: Library,
  fallback: HmacSource,
): HmacSource & Guarded {
  const openssl = library.getFunctions({
    EVP_MAC_fetch: { arguments: ['pointer', 'pointer', 'pointer'], return: 'pointer' },
    EVP_MAC_CTX_new: { arguments: ['pointer'], return: 'pointer' },
    EVP_MAC_init: { arguments: ['pointer', 'pointer', INTEGER, 'pointer'], return: 'i32' },
    EVP_MAC_update: { arguments: ['pointer', 'pointer', INTEGER], return: 'i32' },
    EVP_MAC_final: { arguments: ['pointer', 'pointer', 'pointer', INTEGER], return: 'i32' },
  });
  const slab = hmacSlab(ffi);
  const { bytes } = slab;
  const at = HMAC_LAYOUT;
  const pointerTo = (part: { readonly offset: number; readonly byteLength: number }): bigint =>
    slab.pointer(part.offset, part.byteLength);
  const key = pointerTo(at.key);
  const input = pointerTo(at.input);
  const output = pointerTo(at.output);
  const written = pointerTo(at.written);
  const outputBytes = integer(at.output.byteLength);
  const mac = openssl.EVP_MAC_fetch(NULL, pointerTo(at.algorithm), NULL);
  if (mac === NULL) throw new Error('OpenSSL lacks HMAC');

  /** For the life of the process, with its digest; the key is set anew each time. */
  const makeContext = (algorithm: HmacName): bigint => {
    const context = openssl.EVP_MAC_CTX_new(mac);
    nameDigest(slab, DIGESTS[algorithm].name);
    if (
      context === NULL ||
      openssl.EVP_MAC_init(context, key, integer(1), pointerTo(at.parameters)) !== OK
    )
      throw new Error(`OpenSSL lacks HMAC with ${algorithm}`);
    return context;
  };
  const contexts: Readonly<Record<HmacName, bigint>> = {
    sha1: makeContext('sha1'),
    sha256: makeContext('sha256'),
    sha384: makeContext('sha384'),
  };

  return {
    hmac(algorithm, keyBytes, data) {
      const fits =
        keyBytes.length > 0 &&
        keyBytes.length <= at.key.byteLength &&
        data.length <= at.input.byteLength;
      if (!fits) return fallback.hmac(algorithm, keyBytes, data);
      bytes.set(keyBytes, at.key.offset);
      bytes.set(data, at.input.offset);
      const context = contexts[algorithm];
      const isDone =
        openssl.EVP_MAC_init(context, key, integer(keyBytes.length), NULL) === OK &&
        openssl.EVP_MAC_update(context, input, integer(data.length)) === OK &&
        openssl.EVP_MAC_final(context, output, written, outputBytes) === OK;
      // Nothing that a peer sends brings this about.
      if (!isDone) throw new Error('OpenSSL did not compute an HMAC');
      return bytes.slice(at.output.offset, at.output.offset + DIGESTS[algorithm].byteLength);
    },
    isIntact: () => slab.isIntact,
  };
}
