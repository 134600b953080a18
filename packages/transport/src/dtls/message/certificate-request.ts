import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { SIGNATURE_ECDSA_SECP256R1_SHA256, readUint16Vector } from './extensions.ts';

/** RFC 8422 §5.5: ecdsa_sign. */
const CLIENT_CERTIFICATE_TYPE_ECDSA_SIGN = 64;

export interface CertificateRequest {
  readonly signatureAlgorithms: readonly number[];
}

/**
 * The body of a CertificateRequest (RFC 5246 §7.4.4) for ECDSA P-256 with SHA-256, from any
 * authority.
 */
export function encodeCertificateRequest(): Uint8Array {
  return new ByteWriter(16)
    .vector(1, (v) => v.uint8(CLIENT_CERTIFICATE_TYPE_ECDSA_SIGN))
    .vector(2, (v) => v.uint16(SIGNATURE_ECDSA_SECP256R1_SHA256))
    .uint16(0)
    .finish();
}

export function decodeCertificateRequest(body: Uint8Array): Decoded<CertificateRequest> {
  const reader = new ByteReader(body);
  reader.skip(reader.uint8());
  const signatureAlgorithms = readUint16Vector(reader, 2);
  reader.skip(reader.uint16());
  return signatureAlgorithms !== null && reader.done
    ? decoded({ signatureAlgorithms })
    : dropped('dtls.certificateRequest.malformed');
}
