import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { type Extensions, readExtensions, writeExtensions } from './extensions.ts';

/** The body of an EncryptedExtensions message (RFC 8446 §4.3.1). */
export function encodeEncryptedExtensions(extensions: Extensions): Uint8Array {
  const writer = new ByteWriter(32);
  writeExtensions(writer, extensions);
  return writer.finish();
}

export function decodeEncryptedExtensions(body: Uint8Array): Decoded<Extensions> {
  const reader = new ByteReader(body);
  const extensions = readExtensions(reader);
  // Unlike those of a hello of DTLS 1.2, the block is never left out.
  return extensions !== null && reader.done && body.length >= 2
    ? decoded(extensions)
    : dropped('dtls.encryptedExtensions.malformed');
}
