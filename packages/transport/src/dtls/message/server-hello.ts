import {
  ByteReader,
  ByteWriter,
  type Decoded,
  EMPTY_BYTES,
  decoded,
  dropped,
} from '@lumamesh/base';
import { RANDOM_BYTES } from './client-hello.ts';
import { type Extensions, readExtensions, writeExtensions } from './extensions.ts';

export interface ServerHello {
  readonly version: number;
  readonly random: Uint8Array;
  readonly cipherSuite: number;
  readonly extensions: Extensions;
}

/**
 * The body of a ServerHello (RFC 5246 §7.4.1.3) with an empty session id, for nothing is resumed,
 * and null compression.
 */
export function encodeServerHello(hello: ServerHello): Uint8Array {
  const writer = new ByteWriter(96)
    .uint16(hello.version)
    .bytes(hello.random)
    .vector(1, (v) => v.bytes(EMPTY_BYTES))
    .uint16(hello.cipherSuite)
    .uint8(0);
  writeExtensions(writer, hello.extensions);
  return writer.finish();
}

export function decodeServerHello(body: Uint8Array): Decoded<ServerHello> {
  const reader = new ByteReader(body);
  const version = reader.uint16();
  const random = reader.bytes(RANDOM_BYTES);
  reader.skip(reader.uint8());
  const cipherSuite = reader.uint16();
  const compression = reader.uint8();
  const extensions = readExtensions(reader);
  if (extensions === null || compression !== 0 || !reader.done)
    return dropped('dtls.serverHello.malformed');
  return decoded({ version, random, cipherSuite, extensions });
}
