import {
  type Aead,
  EMPTY_BYTES,
  type HashName,
  type RecordMask,
  type SyncCrypto,
  concatBytes,
  utf8Encode,
} from '@lumamesh/base';
import type { CipherSuite13 } from './cipher-suite-13.ts';

const HASH_BYTES: Readonly<Record<HashName, number>> = { sha256: 32, sha384: 48 };
/** RFC 9147 §5.9: instead of "tls13 ". */
const LABEL_PREFIX = 'dtls13';
const IV_BYTES = 12;

/** Length, label and an empty context, with the block counter behind them. */
const infos = new Map<string, Uint8Array>();

/**
 * HKDF-Expand-Label (RFC 8446 §7.1) for outputs of up to one block of the hash, as all of DTLS
 * 1.3's are.
 */
export function expandLabel(
  crypto: SyncCrypto,
  hash: HashName,
  secret: Uint8Array,
  label: Label,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const info = context.length === 0 ? emptyInfo(label, length) : infoOf(label, context, length);
  const block = crypto.hmac(hash, secret, info);
  // A small array of its own: what node:crypto gives keeps a buffer of several hundred bytes alive.
  return new Uint8Array(block.length === length ? block : block.subarray(0, length));
}

type Label =
  | 'derived'
  | 'c hs traffic'
  | 's hs traffic'
  | 'c ap traffic'
  | 's ap traffic'
  | 'traffic upd'
  | 'finished'
  | 'key'
  | 'iv'
  | 'sn';

function infoOf(label: Label, context: Uint8Array, length: number): Uint8Array {
  const name = utf8Encode(LABEL_PREFIX + label);
  return concatBytes([
    Uint8Array.of(length >> 8, length & 0xff, name.length),
    name,
    Uint8Array.of(context.length),
    context,
    Uint8Array.of(1),
  ]);
}

function emptyInfo(label: Label, length: number): Uint8Array {
  const key = `${label} ${length}`;
  let info = infos.get(key);
  if (info === undefined) infos.set(key, (info = infoOf(label, EMPTY_BYTES, length)));
  return info;
}

/** The secrets of both directions. */
export interface TrafficSecrets {
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

/**
 * The secrets of one connection (RFC 8446 §7.1, without pre-shared keys):
 *
 *   0 ─▶ early ─derived─▶ + shared secret ─▶ handshake ─derived─▶ + 0 ─▶ master
 *                                              └─▶ c hs, s hs              └─▶ c ap, s ap
 */
export class KeySchedule13 {
  readonly #crypto: SyncCrypto;
  readonly #suite: CipherSuite13;
  readonly #handshakeSecret: Uint8Array;

  constructor(crypto: SyncCrypto, suite: CipherSuite13, sharedSecret: Uint8Array) {
    this.#crypto = crypto;
    this.#suite = suite;
    this.#handshakeSecret = crypto.hmac(suite.hash, earlyDerived(crypto, suite.hash), sharedSecret);
  }

  /** @param transcriptHash of ClientHello to ServerHello */
  handshakeTraffic(transcriptHash: Uint8Array): TrafficSecrets {
    return {
      client: this.#derive(this.#handshakeSecret, 'c hs traffic', transcriptHash),
      server: this.#derive(this.#handshakeSecret, 's hs traffic', transcriptHash),
    };
  }

  /** @param transcriptHash of ClientHello to the server's Finished */
  applicationTraffic(transcriptHash: Uint8Array): TrafficSecrets {
    const { hash } = this.#suite;
    const derived = this.#derive(
      this.#handshakeSecret,
      'derived',
      this.#crypto.hash(hash, EMPTY_BYTES),
    );
    const master = this.#crypto.hmac(hash, derived, new Uint8Array(HASH_BYTES[hash]));
    return {
      client: this.#derive(master, 'c ap traffic', transcriptHash),
      server: this.#derive(master, 's ap traffic', transcriptHash),
    };
  }

  #derive(secret: Uint8Array, label: Label, context: Uint8Array): Uint8Array {
    const { hash } = this.#suite;
    return expandLabel(this.#crypto, hash, secret, label, context, HASH_BYTES[hash]);
  }
}

const earlySecrets = new Map<HashName, Uint8Array>();

/** Derive-Secret(Early Secret, "derived", ""): the same for every connection. */
function earlyDerived(crypto: SyncCrypto, hash: HashName): Uint8Array {
  let derived = earlySecrets.get(hash);
  if (derived === undefined) {
    const zeros = new Uint8Array(HASH_BYTES[hash]);
    const early = crypto.hmac(hash, zeros, zeros);
    const emptyHash = crypto.hash(hash, EMPTY_BYTES);
    derived = expandLabel(crypto, hash, early, 'derived', emptyHash, HASH_BYTES[hash]);
    earlySecrets.set(hash, derived);
  }
  return derived;
}

/** The keys of one direction in one epoch. */
export interface RecordKeys {
  readonly aead: Aead;
  /** 12 bytes. */
  readonly iv: Uint8Array;
  readonly mask: RecordMask;
}

/** Derives them (RFC 8446 §7.3, RFC 9147 §4.2.3). */
export function recordKeys(
  crypto: SyncCrypto,
  suite: CipherSuite13,
  secret: Uint8Array,
): RecordKeys {
  const expand = (label: Label, length: number): Uint8Array =>
    expandLabel(crypto, suite.hash, secret, label, EMPTY_BYTES, length);
  return {
    aead: crypto.createAead(suite.aead, expand('key', suite.keyBytes)),
    iv: expand('iv', IV_BYTES),
    mask: crypto.createRecordMask(suite.aead, expand('sn', suite.keyBytes)),
  };
}

/** The next secret of one direction (RFC 8446 §7.2). */
export function updatedSecret(crypto: SyncCrypto, hash: HashName, secret: Uint8Array): Uint8Array {
  return expandLabel(crypto, hash, secret, 'traffic upd', EMPTY_BYTES, HASH_BYTES[hash]);
}

/** The verify_data of a Finished message (RFC 8446 §4.4.4). */
export function verifyData13(
  crypto: SyncCrypto,
  hash: HashName,
  handshakeSecret: Uint8Array,
  transcriptHash: Uint8Array,
): Uint8Array {
  const length = HASH_BYTES[hash];
  const key = expandLabel(crypto, hash, handshakeSecret, 'finished', EMPTY_BYTES, length);
  return crypto.hmac(hash, key, transcriptHash);
}

const SIGNATURE_PADDING = new Uint8Array(64).fill(0x20);

/** What a CertificateVerify signs (RFC 8446 §4.4.3). */
export function signedContent(side: 'client' | 'server', transcriptHash: Uint8Array): Uint8Array {
  return concatBytes([
    SIGNATURE_PADDING,
    utf8Encode(`TLS 1.3, ${side} CertificateVerify\0`),
    transcriptHash,
  ]);
}
