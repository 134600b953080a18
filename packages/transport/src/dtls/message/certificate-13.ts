import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import {
  EXTENSION,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
  readExtensions,
  readUint16Vector,
  writeExtensions,
} from './extensions.ts';

/**
 * The body of a Certificate message of DTLS 1.3 (RFC 8446 §4.4.2), without extensions and with an
 * empty context: nothing is asked for after the handshake.
 */
export function encodeCertificate13(chain: readonly Uint8Array[]): Uint8Array {
  return new ByteWriter(512)
    .uint8(0)
    .vector(3, (list) => {
      for (const der of chain) list.vector(3, (v) => v.bytes(der)).uint16(0);
    })
    .finish();
}

export function decodeCertificate13(body: Uint8Array): Decoded<readonly Uint8Array[]> {
  const reader = new ByteReader(body);
  const contextBytes = reader.uint8();
  const list = reader.sub(reader.uint24());
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) {
    const der = list.bytes(list.uint24());
    list.skip(list.uint16());
    if (!list.ok || der.length === 0) return dropped('dtls.certificate.malformed');
    chain.push(der);
  }
  return reader.done && list.ok && contextBytes === 0
    ? decoded(chain)
    : dropped('dtls.certificate.malformed');
}

/** The body of a CertificateRequest (RFC 8446 §4.3.2): ECDSA P-256 with SHA-256, from anybody. */
export function encodeCertificateRequest13(): Uint8Array {
  const algorithms = new ByteWriter(4)
    .vector(2, (v) => v.uint16(SIGNATURE_ECDSA_SECP256R1_SHA256))
    .finish();
  const writer = new ByteWriter(16).uint8(0);
  writeExtensions(writer, new Map([[EXTENSION.signatureAlgorithms, algorithms]]));
  return writer.finish();
}

export function decodeCertificateRequest13(
  body: Uint8Array,
): Decoded<{ readonly signatureAlgorithms: readonly number[] }> {
  const reader = new ByteReader(body);
  const contextBytes = reader.uint8();
  const extensions = readExtensions(reader);
  const algorithms = extensions?.get(EXTENSION.signatureAlgorithms);
  const signatureAlgorithms =
    algorithms === undefined ? null : readUint16Vector(new ByteReader(algorithms), 2);
  return reader.done && contextBytes === 0 && signatureAlgorithms !== null
    ? decoded({ signatureAlgorithms })
    : dropped('dtls.certificateRequest.malformed');
}
