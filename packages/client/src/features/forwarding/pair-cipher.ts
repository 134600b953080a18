import {
  type Decoded,
  concatBytes,
  decoded,
  dropped,
  fromBase64Url,
  readUint32,
  readUint48,
  toBase64Url,
  uint48Bytes,
  utf8Decode,
  utf8Encode,
  writeUint32,
} from '@lumamesh/base';
import {
  type WebCrypto,
  type WebCryptoKey,
  type WebCryptoKeyPair,
  hkdf,
  importSealingKey,
} from '@lumamesh/protocol';
import { type Frame, UNORDERED } from '../../peer/peer-frame.ts';
import { ReplayWindow } from '../../room/replay-window.ts';

/*
 * What two peers say to each other through a third, which is a member of the room and knows its
 * key: so the two have a key of their own, agreed upon by ECDH (P-256) with public keys that stand
 * in their signed presence.
 *
 *   counter (6) | nonce (12) | AES-GCM-256( kind (1) | index (4) | payload )      additional data: the room, who speaks, who listens, the counter
 *
 * Kinds: twice the lane of a text frame, one more for a binary frame; 16 "can you hear me?", 17
 * "yes". The index counts ordered frames since the way was found, so that a frame that was lost is
 * noticed.
 */
const HELLO = 16;
const WELCOME = 17;
const KEY_ALGORITHM = { name: 'ECDH', namedCurve: 'P-256' };
const SALT = 'lumamesh forward 1';
const COUNTER_BYTES = 6;
const HEAD_BYTES = COUNTER_BYTES + 12;
const INDEX_END = 5;

/** `index`: of an ordered frame; 0 for the others. */
export type PairMessage =
  | {
      readonly type: 'frame';
      readonly frame: Frame;
      readonly lane: number;
      readonly index: number;
    }
  | { readonly type: 'hello' | 'welcome' };

/** This page's half of the agreement, one for each room. */
export interface PairKeys {
  /** base64url, for the presence. */
  readonly publicKey: string;
  readonly privateKey: WebCryptoKey;
}

export async function createPairKeys({ subtle }: WebCrypto): Promise<PairKeys> {
  const pair = (await subtle.generateKey(KEY_ALGORITHM, false, ['deriveBits'])) as WebCryptoKeyPair;
  return {
    publicKey: toBase64Url(new Uint8Array(await subtle.exportKey('raw', pair.publicKey))),
    privateKey: pair.privateKey,
  };
}

/** Seals and opens for one peer. */
export class PairCipher {
  readonly #crypto: WebCrypto;
  readonly #key: WebCryptoKey;
  readonly #context: string;
  readonly #ownId: string;
  readonly #peerId: string;
  readonly #unordered = new ReplayWindow();
  #sent = 0;
  #heard = -1;

  private constructor(
    crypto: WebCrypto,
    key: WebCryptoKey,
    context: string,
    ownId: string,
    peerId: string,
  ) {
    this.#crypto = crypto;
    this.#key = key;
    this.#context = context;
    this.#ownId = ownId;
    this.#peerId = peerId;
  }

  /** Rejects at a public key that is none. */
  static async create(
    crypto: WebCrypto,
    own: PairKeys,
    peerKey: string,
    roomId: string,
    ownId: string,
    peerId: string,
  ): Promise<PairCipher> {
    const { subtle } = crypto;
    const publicKey = await subtle.importKey(
      'raw',
      fromBase64Url(peerKey) ?? new Uint8Array(0),
      KEY_ALGORITHM,
      false,
      [],
    );
    const shared = new Uint8Array(
      await subtle.deriveBits({ name: 'ECDH', public: publicKey }, own.privateKey, 256),
    );
    const expand = await hkdf(subtle, shared, SALT);
    const key = await importSealingKey(
      subtle,
      await expand([roomId, ...[ownId, peerId].toSorted()].join('\n')),
    );
    return new PairCipher(crypto, key, roomId, ownId, peerId);
  }

  async seal(message: PairMessage): Promise<Uint8Array<ArrayBuffer>> {
    const counter = this.#sent;
    this.#sent += 1;
    const iv = this.#crypto.getRandomValues(new Uint8Array(HEAD_BYTES - COUNTER_BYTES));
    const additionalData = this.#additionalData(this.#ownId, this.#peerId, counter);
    const sealed = await this.#crypto.subtle.encrypt(
      { name: 'AES-GCM', iv, additionalData },
      this.#key,
      encode(message),
    );
    return concatBytes([uint48Bytes(counter), iv, new Uint8Array(sealed)]);
  }

  /** Opens what came; ordered frames are taken in ascending order only, unordered ones once. */
  async open(bytes: Uint8Array): Promise<Decoded<PairMessage>> {
    if (bytes.length < HEAD_BYTES) return dropped('forward.truncated');
    const counter = readUint48(bytes);
    let plaintext: Uint8Array;
    try {
      const additionalData = this.#additionalData(this.#peerId, this.#ownId, counter);
      const iv = bytes.slice(COUNTER_BYTES, HEAD_BYTES);
      plaintext = new Uint8Array(
        await this.#crypto.subtle.decrypt(
          { name: 'AES-GCM', iv, additionalData },
          this.#key,
          bytes.slice(HEAD_BYTES),
        ),
      );
    } catch {
      return dropped('forward.key');
    }
    const message = decode(plaintext);
    if (message === null) return dropped('forward.payload');
    if (message.type === 'frame' && message.lane === UNORDERED)
      return this.#unordered.accept(counter) ? decoded(message) : dropped('forward.replayed');
    if (counter <= this.#heard) return dropped('forward.replayed');
    this.#heard = counter;
    return decoded(message);
  }

  #additionalData(from: string, to: string, counter: number): Uint8Array<ArrayBuffer> {
    return utf8Encode(`${this.#context}\n${from}\n${to}\n${counter}`);
  }
}

function encode(message: PairMessage): Uint8Array<ArrayBuffer> {
  if (message.type !== 'frame') return Uint8Array.of(message.type === 'hello' ? HELLO : WELCOME);
  const { frame, lane, index } = message;
  const isText = typeof frame === 'string';
  const head = new Uint8Array(INDEX_END);
  head[0] = 2 * lane + Number(!isText);
  writeUint32(head, 1, index);
  return concatBytes([head, isText ? utf8Encode(frame) : frame]);
}

function decode(bytes: Uint8Array): PairMessage | null {
  const kind = bytes[0] ?? 255;
  if (kind === HELLO || kind === WELCOME) return { type: kind === HELLO ? 'hello' : 'welcome' };
  const lane = kind >> 1;
  if (lane > UNORDERED || bytes.length < INDEX_END) return null;
  const payload = bytes.slice(INDEX_END);
  const frame = kind % 2 === 0 ? utf8Decode(payload) : payload;
  return frame === null ? null : { type: 'frame', frame, lane, index: readUint32(bytes, 1) };
}
