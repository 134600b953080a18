import {
  type Decoded,
  concatBytes,
  decoded,
  dropOldest,
  dropped,
  fromBase64Url,
  parseJson,
  readUint48,
  toBase64Url,
  uint48Bytes,
  utf8Encode,
} from '@lumamesh/base';
import type { JoinProof, RoomSecret, WebCrypto } from '@lumamesh/protocol';
import { ReplayWindow } from './replay-window.ts';
import {
  PEER_KEY_ALGORITHM,
  PEER_KEY_BYTES,
  PEER_SIGN_ALGORITHM,
  type PeerIdentity,
  peerIdOf,
} from './peer-identity.ts';

/*
 * What peers say through relays (docs/wire-protocol.md, "Sealing"):
 *
 *   base64url( version 2 (1) | counter (6) | nonce (12) | AES-GCM-256( public key (65) | signature (64) | payload ) )
 *
 * under the room key. The additional data names purpose, room, sender, receiver, counter and, of a
 * signal, the receiver's stay in the room; the signature covers it together with the payload: a
 * relay can neither read, alter nor redirect it, nor keep it for a later stay, and a member cannot
 * speak for another.
 */
const VERSION = 2;
const COUNTER_BYTES = 6;
const NONCE_BYTES = 12;
/** The bytes in front of the sealed part. */
export const SEALED_HEAD_BYTES = 1 + COUNTER_BYTES + NONCE_BYTES;
const SIGNATURE_BYTES = 64;
const AUTHENTICATION_TAG_BYTES = 16;
/** What a sealed text has beside its payload. */
export const SEALED_OVERHEAD_BYTES =
  SEALED_HEAD_BYTES + PEER_KEY_BYTES + SIGNATURE_BYTES + AUTHENTICATION_TAG_BYTES;
/** Senders whose counters are remembered, those that have left included. */
const MAX_SENDERS = 1024;

export type Purpose = 'presence' | 'signal';

/** The receiver of what is meant for the whole room. */
export const EVERYONE = '*';

interface Envelope {
  readonly purpose: Purpose;
  readonly from: string;
  readonly to: string;
  /** Of the receiver: the counter of the presence that it came with. 0 for everyone. */
  readonly stay: number;
}

/** What was sealed, and the counter of its sender. */
export interface Opened {
  readonly value: unknown;
  readonly counter: number;
}

/** Seals and opens for one room. */
export class Sealer {
  readonly #crypto: WebCrypto;
  readonly #secret: RoomSecret;
  readonly #identity: PeerIdentity;
  readonly #windows = new Map<string, ReplayWindow>();
  #counter: number;
  /** Names this page's stay in the room: the counter of its presence, which it seals first. */
  readonly stay: number;

  constructor(crypto: WebCrypto, secret: RoomSecret, identity: PeerIdentity) {
    this.#crypto = crypto;
    this.#secret = secret;
    this.#identity = identity;
    this.#counter = this.stay = identity.counter;
  }

  /** The next counter: an identity that goes on elsewhere begins there. */
  get counter(): number {
    return this.#counter;
  }

  /** Signs a text as this page's peer: shows a relay that its id is its own. */
  async prove(text: string): Promise<JoinProof> {
    const { publicKey, privateKey } = this.#identity;
    const signature = await this.#crypto.subtle.sign(
      PEER_SIGN_ALGORITHM,
      privateKey,
      utf8Encode(text),
    );
    return { key: toBase64Url(publicKey), signature: toBase64Url(new Uint8Array(signature)) };
  }

  /** @param stay the receiver's, of a signal */
  async seal(purpose: Purpose, to: string, payload: unknown, stay = 0): Promise<string> {
    const counter = this.#counter;
    this.#counter += 1;
    const { subtle } = this.#crypto;
    const envelope = { purpose, from: this.#identity.id, to, stay };
    const additionalData = this.#additionalData(envelope, counter);
    const text = utf8Encode(JSON.stringify(payload));
    const signature = new Uint8Array(
      await subtle.sign(
        PEER_SIGN_ALGORITHM,
        this.#identity.privateKey,
        concatBytes([additionalData, text]),
      ),
    );
    const nonce = this.#crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const plaintext = concatBytes([this.#identity.publicKey, signature, text]);
    const sealed = await subtle.encrypt(
      { name: 'AES-GCM', iv: nonce, additionalData },
      this.#secret.key,
      plaintext,
    );
    return toBase64Url(
      concatBytes([Uint8Array.of(VERSION), uint48Bytes(counter), nonce, new Uint8Array(sealed)]),
    );
  }

  /**
   * Opens what `from` sent us. Drops: malformed, `sealing.key` (another key: a wrong password, or
   * not from this room), forged, replayed.
   */
  async open(purpose: Purpose, from: string, sealed: string): Promise<Decoded<Opened>> {
    const bytes = fromBase64Url(sealed);
    if (bytes === null) return dropped('sealing.encoding');
    if (bytes.length < SEALED_HEAD_BYTES) return dropped('sealing.truncated');
    if (bytes[0] !== VERSION) return dropped('sealing.version');
    const counter = readUint48(bytes.subarray(1));
    const receiver =
      purpose === 'presence'
        ? { to: EVERYONE, stay: 0 }
        : { to: this.#identity.id, stay: this.stay };
    const additionalData = this.#additionalData({ purpose, from, ...receiver }, counter);
    const plaintext = await this.#decrypt(
      bytes.slice(1 + COUNTER_BYTES, SEALED_HEAD_BYTES),
      additionalData,
      bytes.slice(SEALED_HEAD_BYTES),
    );
    if (plaintext === null) return dropped('sealing.key');
    if (plaintext.length < PEER_KEY_BYTES + SIGNATURE_BYTES) return dropped('sealing.truncated');
    const payload = plaintext.slice(PEER_KEY_BYTES + SIGNATURE_BYTES);
    const isSigned = await this.#isSignedBy(
      from,
      plaintext,
      concatBytes([additionalData, payload]),
    );
    if (!isSigned) return dropped('sealing.forged');
    // Presence says the same however often it is heard; a signal acts.
    if (purpose === 'signal' && !this.#isFresh(from, counter)) return dropped('sealing.replayed');
    const value = parse(payload);
    return value.ok ? decoded({ value: value.value, counter }) : value;
  }

  async #decrypt(
    nonce: Uint8Array<ArrayBuffer>,
    additionalData: Uint8Array,
    sealed: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      return new Uint8Array(
        await this.#crypto.subtle.decrypt(
          { name: 'AES-GCM', iv: nonce, additionalData },
          this.#secret.key,
          sealed,
        ),
      );
    } catch {
      return null;
    }
  }

  async #isSignedBy(
    from: string,
    plaintext: Uint8Array<ArrayBuffer>,
    covered: Uint8Array<ArrayBuffer>,
  ): Promise<boolean> {
    const { subtle } = this.#crypto;
    const publicKey = plaintext.slice(0, PEER_KEY_BYTES);
    if ((await peerIdOf(subtle, publicKey)) !== from) return false;
    try {
      const key = await subtle.importKey('raw', publicKey, PEER_KEY_ALGORITHM, false, ['verify']);
      return await subtle.verify(
        PEER_SIGN_ALGORITHM,
        key,
        plaintext.slice(PEER_KEY_BYTES, PEER_KEY_BYTES + SIGNATURE_BYTES),
        covered,
      );
    } catch {
      return false;
    }
  }

  #isFresh(from: string, counter: number): boolean {
    const window = this.#windows.get(from) ?? new ReplayWindow();
    // The order of the map is that of use: a crowd of made-up identities pushes out who has been
    // silent for longest.
    this.#windows.delete(from);
    dropOldest(this.#windows, MAX_SENDERS);
    this.#windows.set(from, window);
    return window.accept(counter);
  }

  #additionalData({ purpose, from, to, stay }: Envelope, counter: number): Uint8Array<ArrayBuffer> {
    return utf8Encode(
      `lumamesh ${purpose} ${VERSION}\n${this.#secret.roomId}\n${from}\n${to}\n${counter}\n${stay}`,
    );
  }
}

function parse(payload: Uint8Array): Decoded<unknown> {
  const value = parseJson(payload);
  return value === undefined ? dropped('sealing.payload') : decoded(value);
}
