import { type HashName, type SyncCrypto, concatBytes } from '@lumamesh/base';
import { HANDSHAKE_TYPE, type HandshakeMessage } from './message/handshake-header.ts';

/**
 * All handshake messages as DTLS 1.3 hashes them: with the header of TLS, which has neither
 * message_seq nor fragment (RFC 9147 §5.2).
 */
export class Transcript13 {
  #parts: Uint8Array[] = [];

  add(message: HandshakeMessage): void {
    this.addBody(message.type, message.body);
  }

  addBody(type: number, body: Uint8Array): void {
    this.#parts.push(
      Uint8Array.of(type, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff),
      body,
    );
  }

  /** RFC 8446 §4.4.1: before a HelloRetryRequest only a hash of the first ClientHello is kept. */
  startWithHashOf(firstHello: Uint8Array): void {
    this.#parts = [];
    this.addBody(HANDSHAKE_TYPE.messageHash, firstHello);
  }

  hash(crypto: SyncCrypto, hash: HashName): Uint8Array {
    return crypto.hash(hash, concatBytes(this.#parts));
  }

  clear(): void {
    this.#parts = [];
  }
}
