import type { Instant } from '@lumamesh/base';
import { DtlsConnection } from './dtls/dtls-connection.ts';
import { Association } from './sctp/association.ts';
import type {
  ClientSessionOptions,
  CommonSessionOptions,
  ServerSessionOptions,
} from './session-types.ts';

/**
 * The largest UDP payload we send: below every path MTU that matters (RFC 8831 §5 starts at 1200).
 */
const MAX_DATAGRAM_BYTES = 1200;
/** DTLS 1.2's header, explicit nonce and tag; 1.3 has 22. */
const DTLS_OVERHEAD_BYTES = 37;
/** Chunks are padded to four bytes, so packets are as well. */
const MAX_SCTP_PACKET_BYTES = (MAX_DATAGRAM_BYTES - DTLS_OVERHEAD_BYTES) & ~3;

/** The DTLS layer of a server's session. */
export function serverDtls(options: ServerSessionOptions): DtlsConnection {
  const { crypto, certificate, requestClientCertificate, security } = options;
  return DtlsConnection.server({
    ...security,
    crypto,
    certificate,
    requestClientCertificate,
    maxDatagramBytes: MAX_DATAGRAM_BYTES,
  });
}

/** The DTLS layer of a client's session, which sends its ClientHello at once. */
export function clientDtls(now: Instant, options: ClientSessionOptions): DtlsConnection {
  const { crypto, remoteFingerprint, certificate, security } = options;
  return DtlsConnection.client(now, {
    ...security,
    crypto,
    remoteFingerprint,
    certificate,
    maxDatagramBytes: MAX_DATAGRAM_BYTES,
  });
}

/** The SCTP layer of a session, not yet connecting. */
export function association(
  now: Instant,
  { crypto, limits }: CommonSessionOptions,
  isServer: boolean,
): Association {
  return new Association(now, {
    randomBytes: crypto.randomBytes,
    limits,
    maxPacketBytes: MAX_SCTP_PACKET_BYTES,
    holdsCrossingInit: isServer,
  });
}
