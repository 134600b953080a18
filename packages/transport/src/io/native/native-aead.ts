import { AEAD_TAG_BYTES, type Aead, type AeadName, shortLivedCopy } from '@lumamesh/base';
import { type Ffi, INTEGER, type Library, integer } from './ffi.ts';
import { AEAD_LAYOUT, type Guarded, NULL, aeadSlab } from './memory.ts';
import type { AeadSource, MaskSource } from './self-test.ts';

/** `EVP_CipherInit_ex2`'s last but one parameter. */
const ENCRYPT = 1n;
const DECRYPT = 0n;
const OK = 1;
/** Of AES. */
const BLOCK_BYTES = 16;

const NONCE_BYTES = AEAD_LAYOUT.nonce.byteLength;
const KEY_BYTES: Readonly<Record<AeadName, number>> = {
  'aes-128-gcm': 16,
  'aes-256-gcm': 32,
  'chacha20-poly1305': 32,
};

/** Of an algorithm, for all of its keys: the key is set anew with every record. */
interface Contexts {
  readonly encrypt: bigint;
  readonly decrypt: bigint;
}

/**
 * `SyncCrypto.createAead` on the OpenSSL of this process itself, without the objects that
 * node:crypto makes anew for every record. Throws when it lacks something; what exceeds the slab
 * goes to `fallback`.
 */
export function nativeAeads(
  ffi: Ffi,
  library: Library,
  fallback: AeadSource & MaskSource,
): AeadSource & MaskSource & Guarded {
  const openssl = openSsl(library);
  const slab = aeadSlab(ffi);
  const { bytes } = slab;
  const at = AEAD_LAYOUT;
  const pointerTo = (part: { readonly offset: number; readonly byteLength: number }): bigint =>
    slab.pointer(part.offset, part.byteLength);
  const key = pointerTo(at.key);
  const nonce = pointerTo(at.nonce);
  const additionalData = pointerTo(at.additionalData);
  const written = pointerTo(at.written);
  const parameters = pointerTo(at.parameters);
  const input = pointerTo(at.input);
  const output = pointerTo(at.output);

  const contexts: Readonly<Record<AeadName, Contexts>> = {
    'aes-128-gcm': makeContexts(openssl, openssl.EVP_aes_128_gcm()),
    'aes-256-gcm': makeContexts(openssl, openssl.EVP_aes_256_gcm()),
    'chacha20-poly1305': makeContexts(openssl, openssl.EVP_chacha20_poly1305()),
  };

  /** Whether one record is of lengths that its parts of the slab hold. */
  const fits = (nonceBytes: Uint8Array, aad: Uint8Array, text: Uint8Array): boolean =>
    nonceBytes.length === NONCE_BYTES &&
    aad.length <= at.additionalData.byteLength &&
    text.length <= at.input.byteLength;

  /** Runs one record of `length` bytes, whose parts lie in the slab, from input to output. */
  const run = (context: bigint, direction: bigint, aadBytes: number, length: number): boolean =>
    openssl.EVP_CipherInit_ex2(
      context,
      NULL,
      key,
      nonce,
      direction,
      direction === DECRYPT ? parameters : NULL,
    ) === OK &&
    openssl.EVP_CipherUpdate(context, NULL, written, additionalData, integer(aadBytes)) === OK &&
    openssl.EVP_CipherUpdate(context, output, written, input, integer(length)) === OK &&
    openssl.EVP_CipherFinal_ex(context, output, written) === OK;

  const createAead = (algorithm: AeadName, keyBytes: Uint8Array): Aead => {
    if (keyBytes.length !== KEY_BYTES[algorithm])
      throw new RangeError(`${algorithm} takes ${KEY_BYTES[algorithm]} bytes of key`);
    const { encrypt, decrypt } = contexts[algorithm];
    let ofNode: Aead | null = null;
    const nodeAead = (): Aead => (ofNode ??= fallback.createAead(algorithm, keyBytes));
    return {
      seal(nonceBytes, aad, plaintext, out, offset) {
        if (!fits(nonceBytes, aad, plaintext))
          return nodeAead().seal(nonceBytes, aad, plaintext, out, offset);
        bytes.set(keyBytes, at.key.offset);
        bytes.set(nonceBytes, at.nonce.offset);
        bytes.set(aad, at.additionalData.offset);
        bytes.set(plaintext, at.input.offset);
        const isSealed =
          run(encrypt, ENCRYPT, aad.length, plaintext.length) &&
          openssl.EVP_CIPHER_CTX_get_params(encrypt, parameters) === OK;
        // Nothing that a peer sends brings this about, and nothing unsealed may go out.
        if (!isSealed) throw new Error('OpenSSL did not seal a record');
        const start = at.output.offset;
        out.set(bytes.subarray(start, start + plaintext.length), offset);
        out.set(
          bytes.subarray(at.tag.offset, at.tag.offset + AEAD_TAG_BYTES),
          offset + plaintext.length,
        );
      },
      open(nonceBytes, aad, sealed) {
        const length = sealed.length - AEAD_TAG_BYTES;
        if (length < 0) return null;
        if (!fits(nonceBytes, aad, sealed)) return nodeAead().open(nonceBytes, aad, sealed);
        bytes.set(keyBytes, at.key.offset);
        bytes.set(nonceBytes, at.nonce.offset);
        bytes.set(aad, at.additionalData.offset);
        bytes.set(sealed, at.input.offset);
        bytes.copyWithin(at.tag.offset, at.input.offset + length, at.input.offset + sealed.length);
        if (!run(decrypt, DECRYPT, aad.length, length)) {
          // What is left in OpenSSL's queue of errors would be taken for node:crypto's own.
          openssl.ERR_clear_error();
          return null;
        }
        return shortLivedCopy(bytes.subarray(at.output.offset, at.output.offset + length));
      },
    };
  };
  const ecb: Readonly<Record<'aes-128-gcm' | 'aes-256-gcm', bigint>> = {
    'aes-128-gcm': makeContexts(openssl, openssl.EVP_aes_128_ecb()).encrypt,
    'aes-256-gcm': makeContexts(openssl, openssl.EVP_aes_256_ecb()).encrypt,
  };
  const createRecordMask: MaskSource['createRecordMask'] = (algorithm, keyBytes) => {
    // RFC 9147 §4.2.3: AES-ECB(sn_key, Ciphertext[0..15]); ChaCha20 is seldom asked for.
    if (algorithm === 'chacha20-poly1305' || keyBytes.length !== KEY_BYTES[algorithm])
      return fallback.createRecordMask(algorithm, keyBytes);
    const context = ecb[algorithm];
    return {
      mask(sample) {
        if (sample.length !== BLOCK_BYTES) throw new RangeError('a sample has 16 bytes');
        bytes.set(keyBytes, at.key.offset);
        bytes.set(sample, at.input.offset);
        const isMasked =
          openssl.EVP_CipherInit_ex2(context, NULL, key, NULL, ENCRYPT, NULL) === OK &&
          openssl.EVP_CipherUpdate(context, output, written, input, integer(BLOCK_BYTES)) === OK;
        if (!isMasked) throw new Error('OpenSSL did not mask a record');
        return bytes.slice(at.output.offset, at.output.offset + BLOCK_BYTES);
      },
    };
  };
  return { createAead, createRecordMask, isIntact: () => slab.isIntact };
}

type OpenSsl = ReturnType<typeof openSsl>;

function openSsl(library: Library) {
  return library.getFunctions({
    EVP_aes_128_gcm: { arguments: [], return: 'pointer' },
    EVP_aes_256_gcm: { arguments: [], return: 'pointer' },
    EVP_aes_128_ecb: { arguments: [], return: 'pointer' },
    EVP_aes_256_ecb: { arguments: [], return: 'pointer' },
    EVP_chacha20_poly1305: { arguments: [], return: 'pointer' },
    EVP_CIPHER_CTX_new: { arguments: [], return: 'pointer' },
    EVP_CipherInit_ex2: {
      arguments: ['pointer', 'pointer', 'pointer', 'pointer', INTEGER, 'pointer'],
      return: 'i32',
    },
    EVP_CipherUpdate: {
      arguments: ['pointer', 'pointer', 'pointer', 'pointer', INTEGER],
      return: 'i32',
    },
    EVP_CipherFinal_ex: { arguments: ['pointer', 'pointer', 'pointer'], return: 'i32' },
    EVP_CIPHER_CTX_get_params: { arguments: ['pointer', 'pointer'], return: 'i32' },
    ERR_clear_error: { arguments: [], return: 'void' },
  });
}

/** Two for the life of the process: they are never freed. */
function makeContexts(openssl: OpenSsl, cipher: bigint): Contexts {
  const make = (direction: bigint): bigint => {
    const context = openssl.EVP_CIPHER_CTX_new();
    if (
      cipher === NULL ||
      context === NULL ||
      openssl.EVP_CipherInit_ex2(context, cipher, NULL, NULL, direction, NULL) !== OK
    )
      throw new Error('OpenSSL lacks an algorithm');
    return context;
  };
  return { encrypt: make(ENCRYPT), decrypt: make(DECRYPT) };
}
