import { RECORD_HEADER_BYTES } from './record/record.ts';
import { HANDSHAKE_HEADER_BYTES } from './message/handshake-header.ts';

const HEADERS_BYTES = RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES;
/** ServerHello, its extensions all there (server-extensions.ts): 38 and 2 + 4 + 5 + 6 + 9 + 13. */
const SERVER_HELLO_BYTES = 77;
/** A chain of one: two lengths. */
const CERTIFICATE_BYTES = 6;
/** An uncompressed point of P-256, and the largest signature (RFC 8422 §5.4). */
const SERVER_KEY_EXCHANGE_BYTES = 4 + 65 + 4 + 72;
const CERTIFICATE_REQUEST_BYTES = 8;
/** What a message that needs more than one datagram has of itself in each, at least. */
const MIN_FRAGMENT_BYTES = 1000;

/**
 * What the reply to a ClientHello takes at most: to be compared with what may be
 * sent to an address before anything dear is computed.
 */
export function maxFirstFlightBytes(options: {
  readonly certificate: { readonly der: Uint8Array };
  readonly requestClientCertificate: boolean;
}): number {
  const certificateBytes = CERTIFICATE_BYTES + options.certificate.der.length;
  const requestBytes = options.requestClientCertificate
    ? HEADERS_BYTES + CERTIFICATE_REQUEST_BYTES
    : 0;
  return (
    (4 + Math.floor(certificateBytes / MIN_FRAGMENT_BYTES)) * HEADERS_BYTES +
    SERVER_HELLO_BYTES +
    certificateBytes +
    SERVER_KEY_EXCHANGE_BYTES +
    requestBytes
  );
}
