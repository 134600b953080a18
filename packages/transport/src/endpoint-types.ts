import type { SyncCrypto } from '@lumamesh/base';
import type { LocalCertificate } from './dtls/handshake.ts';
import type { SecurityOptions } from './dtls/security-options.ts';
import type { Remote } from './five-tuple.ts';
import type { IceCredentials } from './ice/ice-credentials.ts';
import type { EndpointLimits } from './session-admission.ts';
import type { SessionId } from './session-table.ts';
import type { TurnLimits } from './turn/turn-limits.ts';
import type { NegotiatedChannel, SessionEvent, SessionLimits } from './session-types.ts';

export interface EndpointOptions {
  readonly crypto: SyncCrypto;
  readonly ice: IceCredentials;
  readonly certificate: LocalCertificate;
  readonly requestClientCertificate: boolean;
  /** Versions and groups of DTLS; default: all. */
  readonly security?: SecurityOptions;
  readonly negotiatedChannels: readonly NegotiatedChannel[];
  readonly limits: EndpointLimits;
  readonly sessionLimits: SessionLimits;
  /** Forwards by TURN within these limits; without them not at all. */
  readonly turn?: TurnLimits;
  /** What it may send and receive in a second, in bytes; default: no bound. */
  readonly maxBandwidth?: number;
}

export type EndpointOutput =
  | { readonly type: 'transmit'; readonly remote: Remote; readonly data: Uint8Array }
  | { readonly type: 'event'; readonly sessionId: SessionId; readonly event: SessionEvent };
