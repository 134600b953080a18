/*
 * The life of an association (RFC 9260 §4, figure 3). Over DTLS both ends usually open at once, so
 * the two columns run side by side and whichever COOKIE ECHO arrives first wins (§5.2.1, §5.2.4):
 *
 *   closed ──connect(): INIT──▶ cookieWait ──INIT ACK: COOKIE ECHO (+ DATA)──▶ cookieEchoed ──COOKIE ACK──▶ established
 *      └──────INIT: INIT ACK, keep the cookie──────COOKIE ECHO: COOKIE ACK───────────────────────────────────────▲
 *
 *   established ──shutdown()──▶ shutdownPending ──all acknowledged: SHUTDOWN──▶ shutdownSent ──SHUTDOWN ACK: SHUTDOWN COMPLETE──▶ ended
 *   established ──SHUTDOWN──▶ shutdownReceived ──all acknowledged: SHUTDOWN ACK──▶ shutdownAckSent ──SHUTDOWN COMPLETE──▶ ended
 *   any ──ABORT, abort(), too many errors──▶ ended
 */
export type AssociationState =
  | { readonly name: 'closed' }
  | { readonly name: 'cookieWait'; attempt: number }
  | { readonly name: 'cookieEchoed'; readonly cookie: Uint8Array; attempt: number }
  | { readonly name: 'established' }
  | { readonly name: 'shutdownPending' }
  | { readonly name: 'shutdownSent'; attempt: number }
  | { readonly name: 'shutdownReceived' }
  | { readonly name: 'shutdownAckSent'; attempt: number }
  | { readonly name: 'ended' };
