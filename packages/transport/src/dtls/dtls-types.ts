import type { Transmit } from '@lumamesh/base';
import type { NegotiatedSecurity } from './handshake.ts';

export interface ConnectionOptions {
  /** The largest datagram of a handshake; application data is the caller's to limit. */
  readonly maxDatagramBytes: number;
  /** Of DTLS 1.3: after how many sealed records our keys are changed. */
  readonly keyUpdateAfterRecords?: number;
}

export type DtlsCloseReason =
  | 'closeNotify'
  | 'localClose'
  | 'fatalAlert'
  | 'handshakeFailed'
  | 'handshakeTimeout';

export type DtlsEvent =
  /** Data may be sent; nothing has proven the peer's address, and none of its data is taken yet. */
  | { readonly type: 'writable' }
  | {
      readonly type: 'connected';
      readonly remoteCertificate: Uint8Array | null;
      readonly negotiated: NegotiatedSecurity;
    }
  /**
   * Application data, authenticated and in the order of arrival: a view for now, of which
   * the receiver copies what it keeps.
   */
  | { readonly type: 'data'; readonly data: Uint8Array }
  | { readonly type: 'closed'; readonly reason: DtlsCloseReason; readonly detail: string };

export type DtlsOutput = Transmit | DtlsEvent;
