import type { Ffi } from './ffi.ts';

/*
 * All memory that native code is shown, and how it is laid out: for Linux on x64 and arm64, where
 * `size_t` and pointers have 8 bytes and numbers are little-endian.
 *
 * A slab has a fixed size and is made once. Its pointers are made when its owner is made, each for
 * a region whose ends are checked; what a peer sends decides neither a pointer nor, unchecked, a
 * length. Native code keeps none of them beyond the call that it is given them in.
 */
export class Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #address: bigint;

  constructor(ffi: Ffi, byteLength: number) {
    // An ArrayBuffer of its own: its bytes lie outside of the garbage collector's heap, where they
    // never move, and live as long as `bytes` does.
    const buffer = new ArrayBuffer(byteLength);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.#address = ffi.getRawPointer(buffer);
  }

  /** The address of `byteLength` bytes at `offset`. Throws when they do not lie in the slab. */
  pointer(offset: number, byteLength: number): bigint {
    const isWithin =
      Number.isSafeInteger(offset) &&
      Number.isSafeInteger(byteLength) &&
      offset >= 0 &&
      byteLength >= 0 &&
      offset + byteLength <= this.bytes.length;
    if (!isWithin) throw new RangeError(`no ${byteLength} bytes at ${offset} of a slab`);
    return this.#address + BigInt(offset);
  }

  /** Writes such an address into the slab, where a struct has a pointer. */
  writePointer(at: number, offset: number, byteLength: number): void {
    this.view.setBigUint64(at, this.pointer(offset, byteLength), true);
  }
}

/** `NULL`. */
export const NULL = 0n;

/**
 * Where the parts of one seal or open lie. The longest record has 2^14 + 2048 bytes (RFC 5246
 * §6.2.3).
 */
export const AEAD_LAYOUT = {
  key: { offset: 0, byteLength: 32 },
  nonce: { offset: 32, byteLength: 12 },
  additionalData: { offset: 48, byteLength: 64 },
  tag: { offset: 112, byteLength: 16 },
  /** An `int` for OpenSSL to say how much it wrote. */
  written: { offset: 128, byteLength: 4 },
  tagName: { offset: 136, byteLength: 4 },
  /** `OSSL_PARAM[2]`: the tag, and the end. */
  parameters: { offset: 144, byteLength: 80 },
  input: { offset: 256, byteLength: 18_432 },
  output: { offset: 18_688, byteLength: 18_432 },
  end: 37_120,
} as const;

/**
 * `OSSL_PARAM` (openssl/core.h): `const char *key; unsigned int data_type; void *data; size_t
 * data_size; size_t return_size`.
 */
const OSSL_PARAM = { key: 0, dataType: 8, data: 16, dataSize: 24, returnSize: 32 } as const;
/** `OSSL_PARAM_OCTET_STRING`. */
const OCTET_STRING = 5;
/** `OSSL_PARAM_UNMODIFIED`. */
const UNMODIFIED = 0xffff_ffff_ffff_ffffn;

/** A slab for AEADs, with the one parameter that they are asked for and given. */
export function aeadSlab(ffi: Ffi): Slab {
  const slab = new Slab(ffi, AEAD_LAYOUT.end);
  const { tag, tagName, parameters } = AEAD_LAYOUT;
  // "tag", ended by a zero; the second OSSL_PARAM is all zeros, and ends the list.
  slab.bytes.set([0x74, 0x61, 0x67, 0], tagName.offset);
  const at = parameters.offset;
  slab.writePointer(at + OSSL_PARAM.key, tagName.offset, tagName.byteLength);
  slab.view.setUint32(at + OSSL_PARAM.dataType, OCTET_STRING, true);
  slab.writePointer(at + OSSL_PARAM.data, tag.offset, tag.byteLength);
  slab.view.setBigUint64(at + OSSL_PARAM.dataSize, BigInt(tag.byteLength), true);
  slab.view.setBigUint64(at + OSSL_PARAM.returnSize, UNMODIFIED, true);
  return slab;
}
