import { type Cipheriv, createCipheriv } from 'node:crypto';
import type { AeadName, RecordMask } from '@lumamesh/base';

/**
 * A cipher kept costs a third of a new one and 1.2 KB: so many that were made last are kept, and a
 * session that is idle while others are busy has none.
 */
const MAX_KEPT = 256;
const kept = new Set<AesMask>();

/** RFC 9147 §4.2.3, over node:crypto. */
export function createRecordMask(algorithm: AeadName, keyBytes: Uint8Array): RecordMask {
  switch (algorithm) {
    case 'aes-128-gcm':
      return new AesMask('aes-128-ecb', keyBytes);
    case 'aes-256-gcm':
      return new AesMask('aes-256-ecb', keyBytes);
    case 'chacha20-poly1305':
      return chachaMask(keyBytes);
  }
}

/** Mask = AES-ECB(sn_key, Ciphertext[0..15]). */
class AesMask implements RecordMask {
  readonly #name: string;
  readonly #keyBytes: Uint8Array;
  #cipher: Cipheriv | null = null;

  constructor(name: string, keyBytes: Uint8Array) {
    this.#name = name;
    this.#keyBytes = keyBytes;
  }

  mask(sample: Uint8Array): Uint8Array {
    return (this.#cipher ?? this.#make()).update(sample);
  }

  #make(): Cipheriv {
    for (const oldest of kept) {
      if (kept.size < MAX_KEPT) break;
      oldest.#cipher = null;
      kept.delete(oldest);
    }
    kept.add(this);
    return (this.#cipher = createCipheriv(this.#name, this.#keyBytes, null));
  }
}

/** Mask = ChaCha20(sn_key, Ciphertext[0..3], Ciphertext[4..15]): counter, then nonce. */
function chachaMask(keyBytes: Uint8Array): RecordMask {
  return {
    // OpenSSL's IV is counter and nonce in one, as they stand in the sample.
    mask: (sample) => createCipheriv('chacha20', keyBytes, sample).update(new Uint8Array(2)),
  };
}
