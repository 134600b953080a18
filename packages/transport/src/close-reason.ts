import type { DtlsCloseReason } from './dtls/dtls-types.ts';
import type { SctpCloseReason } from './sctp/sctp-types.ts';
import type { SessionCloseReason } from './session-types.ts';

/** Why a session ends when its DTLS association did. */
export function closeReasonOfDtls(reason: DtlsCloseReason): SessionCloseReason {
  return reason === 'closeNotify' || reason === 'fatalAlert' ? 'remoteClose' : reason;
}

/**
 * Why a session ends when its SCTP association did.
 * @param isClosing whether we had begun to end it gracefully.
 */
export function closeReasonOfSctp(reason: SctpCloseReason, isClosing: boolean): SessionCloseReason {
  switch (reason) {
    case 'remoteAbort':
      return 'remoteClose';
    case 'shutdown':
      return isClosing ? 'localClose' : 'remoteClose';
    case 'localAbort':
      return 'localClose';
    default:
      return 'associationFailed';
  }
}
