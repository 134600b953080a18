import type { SyncCrypto, Transmit } from '@lumamesh/base';
import type { DataChannelEvent } from './datachannel/data-channels.ts';
import type { ChannelProperties } from './datachannel/dcep.ts';
import type { LocalCertificate, NegotiatedSecurity } from './dtls/handshake.ts';
import type { SecurityOptions } from './dtls/security-options.ts';
import type { IceCredentials } from './ice/ice-credentials.ts';
import type { TransportAddress } from './stun/attributes/xor-mapped-address.ts';

export type SessionCloseReason =
  | 'localClose'
  | 'remoteClose'
  | 'handshakeFailed'
  | 'handshakeTimeout'
  | 'silence'
  | 'iceFailed'
  | 'associationFailed';

export type SessionEvent =
  /** Our ICE pair works (client role). */
  | { readonly type: 'reachable'; readonly mappedAddress: TransportAddress; readonly rttMs: number }
  /** DTLS is up: the peer is the holder of its certificate, its address is proven. */
  | {
      readonly type: 'secure';
      readonly remoteCertificate: Uint8Array | null;
      readonly negotiated: NegotiatedSecurity;
    }
  /** The association is up. */
  | { readonly type: 'connected' }
  | DataChannelEvent
  | { readonly type: 'closed'; readonly reason: SessionCloseReason; readonly detail: string };

export type SessionOutput = Transmit | SessionEvent;

export interface SessionLimits {
  readonly maxMessageBytes: number;
  readonly receiveWindowBytes: number;
  readonly maxBufferedBytes: number;
  readonly maxStreams: number;
  readonly maxChannels: number;
}

export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  maxMessageBytes: 65_536,
  receiveWindowBytes: 131_072,
  maxBufferedBytes: 1_048_576,
  maxStreams: 256,
  maxChannels: 16,
};

/** A channel that exists from the start, without DCEP (RFC 8831 §6.1). */
export interface NegotiatedChannel {
  readonly id: number;
  readonly properties: ChannelProperties;
}

export interface CommonSessionOptions {
  /** Versions and groups of DTLS; default: all. */
  readonly security?: SecurityOptions;
  readonly crypto: SyncCrypto;
  readonly limits: SessionLimits;
  readonly negotiatedChannels: readonly NegotiatedChannel[];
}

export interface ServerSessionOptions extends CommonSessionOptions {
  readonly certificate: LocalCertificate;
  readonly requestClientCertificate: boolean;
}

export interface ClientSessionOptions extends CommonSessionOptions {
  readonly localUfrag: string;
  readonly remoteIce: IceCredentials;
  /** SHA-256 of the relay's certificate, 32 bytes. */
  readonly remoteFingerprint: Uint8Array;
  readonly certificate: LocalCertificate | null;
}
