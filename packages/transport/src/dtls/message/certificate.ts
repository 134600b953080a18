import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';

/**
 * The body of a Certificate message (RFC 5246 §7.4.2): DER certificates, the sender's own first;
 * the list may be empty.
 */
export function encodeCertificate(chain: readonly Uint8Array[]): Uint8Array {
  return new ByteWriter(512)
    .vector(3, (list) => {
      for (const der of chain) list.vector(3, (v) => v.bytes(der));
    })
    .finish();
}

export function decodeCertificate(body: Uint8Array): Decoded<readonly Uint8Array[]> {
  const reader = new ByteReader(body);
  const list = reader.sub(reader.uint24());
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) {
    const der = list.bytes(list.uint24());
    if (!list.ok || der.length === 0) return dropped('dtls.certificate.malformed');
    chain.push(der);
  }
  return reader.done && list.ok ? decoded(chain) : dropped('dtls.certificate.malformed');
}
