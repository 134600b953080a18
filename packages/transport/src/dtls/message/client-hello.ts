import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import {
  type Extensions,
  readExtensions,
  readExtensionsSoFar,
  readUint16Vector,
  writeExtensions,
} from './extensions.ts';

export const RANDOM_BYTES = 32;
const MAX_SESSION_ID_BYTES = 32;

export interface ClientHello {
  readonly version: number;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly cookie: Uint8Array;
  readonly cipherSuites: readonly number[];
  readonly compressionMethods: Uint8Array;
  readonly extensions: Extensions;
}

/** Decodes the body of a ClientHello (RFC 6347 §4.2.1). */
export function decodeClientHello(body: Uint8Array): Decoded<ClientHello> {
  const reader = new ByteReader(body);
  const head = readHead(reader);
  const cipherSuites = readUint16Vector(reader, 2);
  const compressionMethods = reader.bytes(reader.uint8());
  const extensions = readExtensions(reader);
  if (head === null || cipherSuites === null || extensions === null || !reader.done)
    return dropped('dtls.clientHello.malformed');
  return decoded({ ...head, cipherSuites, compressionMethods, extensions });
}

/** What the first fragment of a ClientHello shows already. */
export interface ClientHelloHead extends Pick<
  ClientHello,
  'version' | 'random' | 'sessionId' | 'cookie'
> {
  /** Empty when the fragment ends before they do. */
  readonly cipherSuites: readonly number[];
  /** Those that are whole. */
  readonly extensions: Extensions;
  /** Whether there are no others. */
  readonly hasAllExtensions: boolean;
}

/**
 * Reads as much as there is, from the first fragment of a ClientHello already: enough to reply with
 * a cookie (RFC 6347 §4.2.1).
 */
export function decodeClientHelloHead(firstFragment: Uint8Array): Decoded<ClientHelloHead> {
  const reader = new ByteReader(firstFragment);
  const head = readHead(reader);
  if (head === null) return dropped('dtls.clientHello.malformed');
  const cipherSuites = readUint16Vector(reader, 2) ?? [];
  reader.skip(reader.uint8());
  const { extensions, isWhole } = readExtensionsSoFar(reader);
  return decoded({ ...head, cipherSuites, extensions, hasAllExtensions: isWhole });
}

function readHead(
  reader: ByteReader,
): Pick<ClientHello, 'version' | 'random' | 'sessionId' | 'cookie'> | null {
  const version = reader.uint16();
  const random = reader.bytes(RANDOM_BYTES);
  const sessionId = reader.bytes(reader.uint8());
  const cookie = reader.bytes(reader.uint8());
  return reader.ok && sessionId.length <= MAX_SESSION_ID_BYTES
    ? { version, random, sessionId, cookie }
    : null;
}

export function encodeClientHello(hello: ClientHello): Uint8Array {
  const writer = new ByteWriter(256)
    .uint16(hello.version)
    .bytes(hello.random)
    .vector(1, (v) => v.bytes(hello.sessionId))
    .vector(1, (v) => v.bytes(hello.cookie))
    .vector(2, (v) => {
      for (const suite of hello.cipherSuites) v.uint16(suite);
    })
    .vector(1, (v) => v.bytes(hello.compressionMethods));
  writeExtensions(writer, hello.extensions);
  return writer.finish();
}
