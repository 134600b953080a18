import type { Ffi } from './ffi.ts';

/** In front of each slab and behind it: a call that writes beside its memory is seen. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;

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
  readonly #guarded: Uint8Array;
  readonly #address: bigint;

  constructor(ffi: Ffi, byteLength: number) {
    // An ArrayBuffer of its own: its bytes lie outside of the garbage collector's heap, where they
    // never move, and live as long as `bytes` does.
    const buffer = new ArrayBuffer(GUARD_BYTES + byteLength + GUARD_BYTES);
    this.bytes = new Uint8Array(buffer, GUARD_BYTES, byteLength);
    this.view = new DataView(buffer, GUARD_BYTES, byteLength);
    this.#guarded = new Uint8Array(buffer);
    this.#guarded.fill(GUARD, 0, GUARD_BYTES).fill(GUARD, GUARD_BYTES + byteLength);
    this.#address = ffi.getRawPointer(buffer) + BigInt(GUARD_BYTES);
  }

  /** Whether nothing has written beside it. */
  get isIntact(): boolean {
    const end = GUARD_BYTES + this.bytes.length;
    return [this.#guarded.subarray(0, GUARD_BYTES), this.#guarded.subarray(end)].every((guard) =>
      guard.every((byte) => byte === GUARD),
    );
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
/** `OSSL_PARAM_UTF8_STRING`. */
const UTF8_STRING = 4;
/** `OSSL_PARAM_OCTET_STRING`. */
const OCTET_STRING = 5;
/** `OSSL_PARAM_UNMODIFIED`. */
const UNMODIFIED = 0xffff_ffff_ffff_ffffn;

/** What owns a slab, and can be asked whether nothing was written beside it. */
export interface Guarded {
  isIntact(): boolean;
}

interface Part {
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Writes an `OSSL_PARAM[2]`, of which the second, all zeros, ends the list.
 * @param type what OpenSSL calls the type of `data`.
 */
function writeParameter(slab: Slab, at: number, name: Part, type: number, data: Part): void {
  slab.writePointer(at + OSSL_PARAM.key, name.offset, name.byteLength);
  slab.view.setUint32(at + OSSL_PARAM.dataType, type, true);
  slab.writePointer(at + OSSL_PARAM.data, data.offset, data.byteLength);
  slab.view.setBigUint64(at + OSSL_PARAM.dataSize, BigInt(data.byteLength), true);
  slab.view.setBigUint64(at + OSSL_PARAM.returnSize, UNMODIFIED, true);
}

/** A slab for AEADs, with the one parameter that they are asked for and given. */
export function aeadSlab(ffi: Ffi): Slab {
  const slab = new Slab(ffi, AEAD_LAYOUT.end);
  const { tag, tagName, parameters } = AEAD_LAYOUT;
  // "tag", ended by a zero.
  slab.bytes.set([0x74, 0x61, 0x67, 0], tagName.offset);
  writeParameter(slab, parameters.offset, tagName, OCTET_STRING, tag);
  return slab;
}

/** Where the parts of one HMAC lie: what is longer is a handshake's, and goes another way. */
export const HMAC_LAYOUT = {
  key: { offset: 0, byteLength: 256 },
  output: { offset: 256, byteLength: 64 },
  /** A `size_t` for OpenSSL to say how much it wrote. */
  written: { offset: 320, byteLength: 8 },
  algorithm: { offset: 328, byteLength: 8 },
  parameterName: { offset: 336, byteLength: 8 },
  digest: { offset: 344, byteLength: 8 },
  parameters: { offset: 352, byteLength: 80 },
  input: { offset: 432, byteLength: 2048 },
  end: 2480,
} as const;

/** A slab for HMACs, with the names by which OpenSSL finds them. */
export function hmacSlab(ffi: Ffi): Slab {
  const slab = new Slab(ffi, HMAC_LAYOUT.end);
  slab.bytes.set(asciiOf('HMAC'), HMAC_LAYOUT.algorithm.offset);
  slab.bytes.set(asciiOf('digest'), HMAC_LAYOUT.parameterName.offset);
  return slab;
}

/** Names the digest of an HMAC, for its next first use. */
export function nameDigest(slab: Slab, name: string): void {
  const { digest, parameterName, parameters } = HMAC_LAYOUT;
  slab.bytes.fill(0, digest.offset, digest.offset + digest.byteLength);
  slab.bytes.set(asciiOf(name), digest.offset);
  writeParameter(slab, parameters.offset, parameterName, UTF8_STRING, {
    offset: digest.offset,
    byteLength: name.length,
  });
}

function asciiOf(name: string): number[] {
  return Array.from(name, (letter) => letter.charCodeAt(0));
}

/** `struct sockaddr_in` and `sockaddr_in6` (netinet/in.h); port and addresses are big-endian. */
export const SOCKADDR = {
  family: 0,
  port: 2,
  ipv4: 4,
  ipv6: 8,
  scopeId: 24,
  ipv4Bytes: 16,
  ipv6Bytes: 28,
} as const;

/**
 * `struct mmsghdr` (sys/socket.h): `struct msghdr { void *name; socklen_t namelen; struct iovec
 * *iov; size_t iovlen; void *control; size_t controllen; int flags; }`, then `unsigned int len`.
 */
const MMSGHDR = {
  name: 0,
  nameBytes: 8,
  iov: 16,
  iovCount: 24,
  flags: 48,
  length: 56,
  byteLength: 64,
} as const;
/** `struct iovec { void *base; size_t len; }`. */
const IOVEC = { base: 0, byteCount: 8, byteLength: 16 } as const;
/** A `sockaddr_in6`, with its padding. */
const NAME_BYTES = 32;

/**
 * `count` datagrams of up to `maxBytes` bytes each, as `sendmmsg` and `recvmmsg` take them: all
 * `mmsghdr`s first, then what they point to. The pointers in them are written once.
 */
export class DatagramSlab {
  readonly count: number;
  readonly maxBytes: number;
  readonly slab: Slab;
  readonly #iovs: number;
  readonly #names: number;
  readonly #payloads: number;
  readonly #headers: readonly bigint[];

  constructor(ffi: Ffi, count: number, maxBytes: number) {
    this.count = count;
    this.maxBytes = maxBytes;
    this.#iovs = count * MMSGHDR.byteLength;
    this.#names = this.#iovs + count * IOVEC.byteLength;
    this.#payloads = this.#names + count * NAME_BYTES;
    this.slab = new Slab(ffi, this.#payloads + count * maxBytes);
    for (let i = 0; i < count; i++) {
      const header = i * MMSGHDR.byteLength;
      const iov = this.#iovs + i * IOVEC.byteLength;
      this.slab.writePointer(header + MMSGHDR.name, this.nameAt(i), NAME_BYTES);
      this.slab.writePointer(header + MMSGHDR.iov, iov, IOVEC.byteLength);
      this.slab.view.setBigUint64(header + MMSGHDR.iovCount, 1n, true);
      this.slab.writePointer(iov + IOVEC.base, this.payloadAt(i), maxBytes);
    }
    this.#headers = Array.from({ length: count }, (_, i) =>
      this.slab.pointer(i * MMSGHDR.byteLength, (count - i) * MMSGHDR.byteLength),
    );
  }

  /** Where the address of a datagram lies. */
  nameAt(i: number): number {
    return this.#names + i * NAME_BYTES;
  }

  /** Where the bytes of a datagram lie. */
  payloadAt(i: number): number {
    return this.#payloads + i * this.maxBytes;
  }

  /** The address of the `mmsghdr`s from `i` on; there are `count - i`. */
  headersFrom(i: number): bigint {
    const pointer = this.#headers[i];
    if (pointer === undefined) throw new RangeError(`no datagram ${i} in a slab`);
    return pointer;
  }

  /** Says how long address and bytes of a datagram are: when sent, or at most when received. */
  setLengths(i: number, nameBytes: number, byteCount: number): void {
    if (i < 0 || i >= this.count || nameBytes > NAME_BYTES || byteCount > this.maxBytes)
      throw new RangeError(`no datagram ${i} of ${byteCount} bytes in a slab`);
    const header = i * MMSGHDR.byteLength;
    this.slab.view.setUint32(header + MMSGHDR.nameBytes, nameBytes, true);
    // Both fit into 32 bits; the upper half of the size_t stays zero.
    this.slab.view.setUint32(this.#iovs + i * IOVEC.byteLength + IOVEC.byteCount, byteCount, true);
  }

  /** How many bytes of a datagram were received: never more than it has room for. */
  receivedBytes(i: number): number {
    const length = this.slab.view.getUint32(i * MMSGHDR.byteLength + MMSGHDR.length, true);
    return Math.min(length, this.maxBytes);
  }

  /** The bytes of a datagram: a view that the next call writes over. */
  payload(i: number, byteCount: number): Uint8Array {
    const at = this.payloadAt(i);
    return this.slab.bytes.subarray(at, at + Math.min(byteCount, this.maxBytes));
  }
}
