import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { VERSION_DTLS_1_0 } from '../record/record.ts';

/**
 * The body of a HelloVerifyRequest. RFC 6347 §4.2.1: server_version should be DTLS 1.0 whatever
 * will be negotiated.
 */
export function encodeHelloVerifyRequest(cookie: Uint8Array): Uint8Array {
  return new ByteWriter(3 + cookie.length)
    .uint16(VERSION_DTLS_1_0)
    .vector(1, (v) => v.bytes(cookie))
    .finish();
}

/** The cookie of a HelloVerifyRequest. */
export function decodeHelloVerifyRequest(body: Uint8Array): Decoded<Uint8Array> {
  const reader = new ByteReader(body);
  reader.uint16();
  const cookie = reader.bytes(reader.uint8());
  return reader.done ? decoded(cookie) : dropped('dtls.helloVerifyRequest.malformed');
}
