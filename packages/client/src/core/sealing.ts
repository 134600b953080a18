import { ByteReader, ByteWriter, type Decoded, concatBytes, decoded, dropped, fromBase64Url, toBase64Url, utf8Decode, utf8Encode } from '@lumamesh/base';
import type { RoomSecret, WebCrypto } from '@lumamesh/protocol';
import { PEER_KEY_ALGORITHM, PEER_KEY_BYTES, PEER_SIGN_ALGORITHM, type PeerIdentity, peerIdOf } from './peer-identity.ts';

/*
 * What peers say through relays (docs/wire-protocol.md, "Sealing"):
 *
 *   base64url( version 1 (1) | counter (6) | nonce (12) | AES-GCM-256( public key (65) | signature (64) | payload ) )
 *
 * under the room key. The additional data names purpose, room, sender, receiver and counter, and the signature covers it together with the
 * payload: a relay can neither read, alter nor redirect it, and a member cannot speak for another.
 */
const VERSION = 1;
const COUNTER_BYTES = 6;
const NONCE_BYTES = 12;
const SIGNATURE_BYTES = 64;
const REPLAY_WINDOW = 64;
/** Senders whose counters are remembered, those that have left included. */
const MAX_SENDERS = 1024;

export type Purpose = 'presence' | 'signal';

/** The receiver of what is meant for the whole room. */
export const EVERYONE = '*';

interface Envelope {
  readonly purpose: Purpose;
  readonly from: string;
  readonly to: string;
}

/** Seals and opens for one room. */
export class Sealer {
  readonly #crypto: WebCrypto;
  readonly #secret: RoomSecret;
  readonly #identity: PeerIdentity;
  readonly #windows = new Map<string, { highest: number; seen: Set<number> }>();
  #counter = 0;

  constructor(crypto: WebCrypto, secret: RoomSecret, identity: PeerIdentity) {
    this.#crypto = crypto;
    this.#secret = secret;
    this.#identity = identity;
  }

  async seal(purpose: Purpose, to: string, payload: unknown): Promise<string> {
    const counter = this.#counter;
    this.#counter += 1;
    const { subtle } = this.#crypto;
    const additionalData = this.#additionalData({ purpose, from: this.#identity.id, to }, counter);
    const text = utf8Encode(JSON.stringify(payload));
    const signature = new Uint8Array(await subtle.sign(PEER_SIGN_ALGORITHM, this.#identity.privateKey, concatBytes([additionalData, text])));
    const nonce = this.#crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const plaintext = concatBytes([this.#identity.publicKey, signature, text]);
    const sealed = await subtle.encrypt({ name: 'AES-GCM', iv: nonce, additionalData }, this.#secret.key, plaintext);
    const head = new ByteWriter(32).uint8(VERSION).uint48(counter).bytes(nonce).finish();
    return toBase64Url(concatBytes([head, new Uint8Array(sealed)]));
  }

  /** Opens what `from` sent us. Drops: malformed, `sealing.key` (another key: a wrong password, or not from this room), forged, replayed. */
  async open(purpose: Purpose, from: string, sealed: string): Promise<Decoded<unknown>> {
    const bytes = fromBase64Url(sealed);
    if (bytes === null) return dropped('sealing.encoding');
    const reader = new ByteReader(bytes);
    const version = reader.uint8();
    const counter = reader.uint48();
    const nonce = reader.bytes(NONCE_BYTES).slice();
    if (!reader.ok) return dropped('sealing.truncated');
    if (version !== VERSION) return dropped('sealing.version');
    const to = purpose === 'presence' ? EVERYONE : this.#identity.id;
    const additionalData = this.#additionalData({ purpose, from, to }, counter);
    const plaintext = await this.#decrypt(nonce, additionalData, reader.rest().slice());
    if (plaintext === null) return dropped('sealing.key');
    if (plaintext.length < PEER_KEY_BYTES + SIGNATURE_BYTES) return dropped('sealing.truncated');
    const payload = plaintext.slice(PEER_KEY_BYTES + SIGNATURE_BYTES);
    const isSigned = await this.#isSignedBy(from, plaintext, concatBytes([additionalData, payload]));
    if (!isSigned) return dropped('sealing.forged');
    // Presence says the same however often it is heard; a signal acts.
    if (purpose === 'signal' && !this.#isFresh(from, counter)) return dropped('sealing.replayed');
    return parse(payload);
  }

  async #decrypt(nonce: Uint8Array<ArrayBuffer>, additionalData: Uint8Array, sealed: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      return new Uint8Array(await this.#crypto.subtle.decrypt({ name: 'AES-GCM', iv: nonce, additionalData }, this.#secret.key, sealed));
    } catch {
      return null;
    }
  }

  async #isSignedBy(from: string, plaintext: Uint8Array<ArrayBuffer>, covered: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const { subtle } = this.#crypto;
    const publicKey = plaintext.slice(0, PEER_KEY_BYTES);
    if ((await peerIdOf(subtle, publicKey)) !== from) return false;
    try {
      const key = await subtle.importKey('raw', publicKey, PEER_KEY_ALGORITHM, false, ['verify']);
      return await subtle.verify(PEER_SIGN_ALGORITHM, key, plaintext.slice(PEER_KEY_BYTES, PEER_KEY_BYTES + SIGNATURE_BYTES), covered);
    } catch {
      return false;
    }
  }

  #isFresh(from: string, counter: number): boolean {
    let window = this.#windows.get(from);
    if (window === undefined) {
      // A crowd of made-up identities pushes out those that have been silent for longest.
      if (this.#windows.size >= MAX_SENDERS) this.#windows.delete(this.#windows.keys().next().value ?? '');
      this.#windows.set(from, (window = { highest: -1, seen: new Set() }));
    }
    // The order of the map is that of use: who is heard from is not pushed out.
    this.#windows.delete(from);
    this.#windows.set(from, window);
    if (counter <= window.highest - REPLAY_WINDOW || window.seen.has(counter)) return false;
    window.seen.add(counter);
    window.highest = Math.max(window.highest, counter);
    for (const old of window.seen) if (old <= window.highest - REPLAY_WINDOW) window.seen.delete(old);
    return true;
  }

  #additionalData({ purpose, from, to }: Envelope, counter: number): Uint8Array<ArrayBuffer> {
    return utf8Encode(`lumamesh ${purpose} ${VERSION}\n${this.#secret.roomId}\n${from}\n${to}\n${counter}`);
  }
}

/** The bytes in front of the sealed part, for tests that tamper. */
export const SEALED_HEAD_BYTES = 1 + COUNTER_BYTES + NONCE_BYTES;

function parse(payload: Uint8Array): Decoded<unknown> {
  const text = utf8Decode(payload);
  try {
    return text === null ? dropped('sealing.payload') : decoded(JSON.parse(text) as unknown);
  } catch {
    return dropped('sealing.payload');
  }
}
