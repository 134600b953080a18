export const ALERT_LEVEL = { warning: 1, fatal: 2 } as const;

/** Alert descriptions (RFC 5246 §7.2, RFC 8446 §6). */
export const ALERT = {
  closeNotify: 0,
  unexpectedMessage: 10,
  handshakeFailure: 40,
  badCertificate: 42,
  illegalParameter: 47,
  decodeError: 50,
  decryptError: 51,
  protocolVersion: 70,
  userCanceled: 90,
  noRenegotiation: 100,
  missingExtension: 109,
  certificateRequired: 116,
} as const;

export interface Alert {
  readonly level: number;
  readonly description: number;
}

export function encodeAlert(alert: Alert): Uint8Array {
  return Uint8Array.of(alert.level, alert.description);
}

/**
 * Whether an alert that is no close_notify ends the connection. RFC 8446 §6: in 1.3 the level means
 * nothing, and all but user_canceled do.
 */
export function isFatal({ level, description }: Alert, is13: boolean): boolean {
  return is13 ? description !== ALERT.userCanceled : level === ALERT_LEVEL.fatal;
}

/** An alert is two bytes (RFC 5246 §7.2); anything else is none. */
export function decodeAlert(fragment: Uint8Array): Alert | null {
  const [level, description] = fragment;
  return fragment.length === 2 && level !== undefined && description !== undefined
    ? { level, description }
    : null;
}
