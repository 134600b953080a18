import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';

/** The body of a ClientKeyExchange for ECDHE (RFC 8422 §5.7): the client's public key. */
export function encodeClientKeyExchange(publicKey: Uint8Array): Uint8Array {
  return new ByteWriter(1 + publicKey.length).vector(1, (v) => v.bytes(publicKey)).finish();
}

export function decodeClientKeyExchange(body: Uint8Array): Decoded<Uint8Array> {
  const reader = new ByteReader(body);
  const publicKey = reader.bytes(reader.uint8());
  return reader.done && publicKey.length > 0
    ? decoded(publicKey)
    : dropped('dtls.clientKeyExchange.malformed');
}
