import { type HashName, type SigningKey, type SyncCrypto, concatBytes } from '@lumamesh/base';
import type { FlightPart } from './flight/flight.ts';
import type { HandshakeMessage } from './message/handshake-header.ts';

/**
 * What a handshake wants done after a message. The connection acts on it; the handshake itself
 * sends nothing.
 */
export type HandshakeStep =
  | { readonly type: 'wait' }
  | { readonly type: 'send'; readonly parts: readonly FlightPart[] }
  /** The peer's Finished was right. `parts` is our last flight, empty for a client. */
  | {
      readonly type: 'connected';
      readonly parts: readonly FlightPart[];
      readonly remoteCertificate: Uint8Array | null;
    }
  | { readonly type: 'failed'; readonly alert: number; readonly reason: string };

/**
 * One role's handshake in one version of DTLS. {@link DtlsConnection} knows records, epochs, timers
 * and alerts; what messages mean is decided here, so a DTLS 1.3 handshake is another implementation
 * of this.
 */
export interface Handshake {
  /** What to send first, for the side that opens. */
  start(): HandshakeStep;
  /** A whole message, in order. */
  handleMessage(message: HandshakeMessage): HandshakeStep;
  /** Whether the next message must come under the keys of epoch 1. */
  readonly expectsProtected: boolean;
  /** Whether the next message may be numbered as the first one behind a HelloVerifyRequest. */
  readonly expectsFirstMessage: boolean;
  /** Whether another ClientHello takes the place of the one that was answered. */
  readonly mayStartAgain: boolean;
}

export const WAIT: HandshakeStep = { type: 'wait' };

export function failed(alert: number, reason: string): HandshakeStep {
  return { type: 'failed', alert, reason };
}

/**
 * All handshake messages in their unfragmented form, as RFC 6347 §4.2.6 has them hashed: without
 * HelloVerifyRequest and the ClientHello before it.
 */
export class Transcript {
  #parts: Uint8Array[] = [];

  add(message: HandshakeMessage): void {
    this.#parts.push(message.bytes);
  }

  reset(): void {
    this.#parts = [];
  }

  bytes(): Uint8Array {
    return concatBytes(this.#parts);
  }

  hash(crypto: SyncCrypto, hash: HashName): Uint8Array {
    return crypto.hash(hash, this.bytes());
  }
}

/** A DTLS certificate of ours with its private key. */
export interface LocalCertificate {
  readonly der: Uint8Array;
  readonly privateKey: SigningKey;
}
