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

/** Of DTLS 1.3: supported_versions and key_share, without the key, in place of the others. */
const SERVER_HELLO_13_BYTES = 38 + 2 + 6 + 8;
/** X25519MLKEM768; an uncompressed point of P-256 is the largest other one. */
const HYBRID_SHARE_BYTES = 1120;
const CLASSIC_SHARE_BYTES = 65;
/** No ClientHello without so many bytes has a hybrid share in it. */
const HYBRID_HELLO_BYTES = 1216;
/** use_srtp and ALPN. */
const ENCRYPTED_EXTENSIONS_BYTES = 2 + 9 + 13;
const CERTIFICATE_REQUEST_13_BYTES = 11;
/** Context, two lengths, no extensions. */
const CERTIFICATE_13_BYTES = 9;
const CERTIFICATE_VERIFY_BYTES = 4 + 72;
const FINISHED_13_BYTES = 48;
/** Header, content type and tag of a protected record; the flight needs two, or more. */
const RECORD_13_BYTES = 22;
/** What the layer above sends right behind the flight: an INIT. */
const EARLY_DATA_BYTES = 160;

export interface FirstFlightOptions {
  readonly certificate: { readonly der: Uint8Array };
  readonly requestClientCertificate: boolean;
}

/**
 * What the reply to a ClientHello takes at most: to be compared with what may be
 * sent to an address before anything dear is computed.
 */
export function maxFirstFlightBytes(options: FirstFlightOptions): number {
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

/** The same of DTLS 1.3, with what may ride behind it, for a ClientHello of this size. */
export function maxFirstFlightBytes13(options: FirstFlightOptions, helloBytes: number): number {
  const share = helloBytes < HYBRID_HELLO_BYTES ? CLASSIC_SHARE_BYTES : HYBRID_SHARE_BYTES;
  const certificateBytes = CERTIFICATE_13_BYTES + options.certificate.der.length;
  const requestBytes = options.requestClientCertificate
    ? HANDSHAKE_HEADER_BYTES + CERTIFICATE_REQUEST_13_BYTES
    : 0;
  const largeParts = Math.floor(certificateBytes / MIN_FRAGMENT_BYTES);
  return (
    HEADERS_BYTES +
    SERVER_HELLO_13_BYTES +
    share +
    (2 + largeParts) * (RECORD_13_BYTES + HANDSHAKE_HEADER_BYTES) +
    2 * HANDSHAKE_HEADER_BYTES +
    ENCRYPTED_EXTENSIONS_BYTES +
    requestBytes +
    certificateBytes +
    CERTIFICATE_VERIFY_BYTES +
    FINISHED_13_BYTES +
    EARLY_DATA_BYTES
  );
}
