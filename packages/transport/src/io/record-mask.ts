import { createCipheriv } from 'node:crypto';
import type { AeadName, RecordMask } from '@lumamesh/base';

/** RFC 9147 §4.2.3, over node:crypto. A cipher takes 1.2 KB; idle sessions keep no mask. */
export function createRecordMask(algorithm: AeadName, keyBytes: Uint8Array): RecordMask {
  switch (algorithm) {
    case 'aes-128-gcm':
      return aesMask('aes-128-ecb', keyBytes);
    case 'aes-256-gcm':
      return aesMask('aes-256-ecb', keyBytes);
    case 'chacha20-poly1305':
      return chachaMask(keyBytes);
  }
}

/** Mask = AES-ECB(sn_key, Ciphertext[0..15]). */
function aesMask(name: string, keyBytes: Uint8Array): RecordMask {
  const cipher = createCipheriv(name, keyBytes, null);
  return { mask: (sample) => cipher.update(sample) };
}

/** Mask = ChaCha20(sn_key, Ciphertext[0..3], Ciphertext[4..15]): counter, then nonce. */
function chachaMask(keyBytes: Uint8Array): RecordMask {
  return {
    // OpenSSL's IV is counter and nonce in one, as they stand in the sample.
    mask: (sample) => createCipheriv('chacha20', keyBytes, sample).update(new Uint8Array(2)),
  };
}
