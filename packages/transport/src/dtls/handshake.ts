import {
  type HashName,
  type NamedGroup,
  type SigningKey,
  type SyncCrypto,
  concatBytes,
} from '@lumamesh/base';
import type { CipherSuite13 } from './cipher-suite-13.ts';
import type { Acknowledgement } from './flight/flight-sender.ts';
import type { FlightPart } from './flight/flight.ts';
import { ALERT } from './message/alert.ts';
import type { HandshakeMessage } from './message/handshake-header.ts';
import type { DtlsVersion, SecurityOptions } from './security-options.ts';

/**
 * What a handshake wants done after a message. The connection acts on it; the handshake itself
 * sends nothing.
 */
export type HandshakeStep =
  | { readonly type: 'wait' }
  | {
      readonly type: 'send';
      readonly parts: readonly FlightPart[];
      readonly acknowledgement: Acknowledgement;
      /** Application data may follow this flight, though the peer's Finished is not there yet. */
      readonly isWritable?: boolean;
    }
  /** The peer's Finished was right. `parts` is our last flight, where there is one. */
  | {
      readonly type: 'connected';
      readonly parts: readonly FlightPart[];
      readonly remoteCertificate: Uint8Array | null;
      readonly negotiated: NegotiatedSecurity;
      /** What keys of DTLS 1.3 are updated from; `null` for DTLS 1.2. */
      readonly traffic: ApplicationTraffic | null;
    }
  | { readonly type: 'failed'; readonly alert: number; readonly reason: string };

/** What two peers have agreed on. */
export interface NegotiatedSecurity {
  readonly version: DtlsVersion;
  readonly cipherSuite: string;
  readonly group: NamedGroup;
}

/** The secrets of application data of DTLS 1.3, and where post-handshake messages go on. */
export interface ApplicationTraffic {
  readonly suite: CipherSuite13;
  readonly readSecret: Uint8Array;
  readonly writeSecret: Uint8Array;
  /** The message_seq of the peer's next message, and of ours. */
  readonly nextReceiveSeq: number;
  readonly nextSendSeq: number;
}

/**
 * One role's handshake: of one version, or until it is chosen. {@link DtlsConnection} knows
 * records, timers and alerts; what messages mean is decided here.
 */
export interface Handshake {
  /** What to send first, for the side that opens. */
  start(): HandshakeStep;
  /** A whole message, in order. */
  handleMessage(message: HandshakeMessage): HandshakeStep;
  /** The version, once it is chosen. */
  readonly version: DtlsVersion | null;
  /** Whose keys the next message must come under. */
  readonly expectedEpoch: number;
  /** Whether the next message may be numbered as the first one behind a HelloVerifyRequest. */
  readonly expectsFirstMessage: boolean;
  /** Whether another ClientHello takes the place of the one that was answered. */
  readonly mayStartAgain: boolean;
}

export const WAIT: HandshakeStep = { type: 'wait' };

export function unexpected(): HandshakeStep {
  return failed(ALERT.unexpectedMessage, 'unexpectedMessage');
}

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

export interface ServerHandshakeOptions extends SecurityOptions {
  readonly crypto: SyncCrypto;
  readonly certificate: LocalCertificate;
  /** Whether the client must show a certificate and prove that it holds the key. */
  readonly requestClientCertificate: boolean;
}

export interface ClientHandshakeOptions extends SecurityOptions {
  readonly crypto: SyncCrypto;
  /** SHA-256 of the server's certificate, 32 bytes. */
  readonly remoteFingerprint: Uint8Array;
  /** Shown when the server asks for one. */
  readonly certificate: LocalCertificate | null;
}
