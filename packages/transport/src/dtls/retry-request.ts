import {
  ByteReader,
  ByteWriter,
  type HashName,
  type NamedGroup,
  type SyncCrypto,
  bytesEqual,
  concatBytes,
  fromHex,
} from '@lumamesh/base';
import { type ClientHello, encodeClientHello } from './message/client-hello.ts';
import { EXTENSION, NAMED_GROUP_ID, namedGroupById } from './message/extensions.ts';
import { type ServerHello, encodeServerHello } from './message/server-hello.ts';
import { Transcript13 } from './transcript-13.ts';
import { HANDSHAKE_TYPE } from './message/handshake-header.ts';
import { VERSION_DTLS_1_2, VERSION_DTLS_1_3 } from './record/record.ts';

/** RFC 8446 §4.1.3: SHA-256 of "HelloRetryRequest", the random of a ServerHello that is one. */
const RETRY_RANDOM: Uint8Array =
  fromHex('cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c') ?? new Uint8Array(32);

/** Whether a ServerHello is a HelloRetryRequest. */
export function isRetryRequest(hello: ServerHello): boolean {
  return bytesEqual(hello.random, RETRY_RANDOM);
}

/** What a server asks a client to send its ClientHello again with. */
export interface RetryRequest {
  readonly suiteId: number;
  /** Whose key share is wanted; `null`: only the cookie is. */
  readonly group: NamedGroup | null;
  readonly cookie: Uint8Array | null;
}

/** The body of a HelloRetryRequest (RFC 8446 §4.1.4); the same one for the same request. */
export function encodeRetryRequest({ suiteId, group, cookie }: RetryRequest): Uint8Array {
  const extensions = new Map<number, Uint8Array>([
    [EXTENSION.supportedVersions, uint16(VERSION_DTLS_1_3)],
  ]);
  if (group !== null) extensions.set(EXTENSION.keyShare, uint16(NAMED_GROUP_ID[group]));
  if (cookie !== null)
    extensions.set(
      EXTENSION.cookie,
      new ByteWriter(2 + cookie.length).vector(2, (v) => v.bytes(cookie)).finish(),
    );
  return encodeServerHello({
    version: VERSION_DTLS_1_2,
    random: RETRY_RANDOM,
    cipherSuite: suiteId,
    extensions,
  });
}

/** The cookie in a cookie extension (RFC 8446 §4.2.2), or `null` when it is malformed. */
export function readCookie(data: Uint8Array): Uint8Array | null {
  const reader = new ByteReader(data);
  const cookie = reader.bytes(reader.uint16());
  return reader.done && cookie.length > 0 ? cookie : null;
}

/*
 * What our cookie holds behind its proof: the hash of the first ClientHello, and the group that was
 * asked for, or 0. Or nothing: who has seen only the first fragment of the ClientHello knows
 * neither, and asks for the cookie alone. The second ClientHello is then the first one but for the
 * cookie extension (RFC 8446 §4.1.2), and so gives the hash itself.
 */
export function encodeRetryState(group: NamedGroup | null, hash: Uint8Array): Uint8Array {
  return concatBytes([uint16(group === null ? 0 : NAMED_GROUP_ID[group]), hash]);
}

/** How many bytes of our cookies prove the address; the state stands behind them. */
export const COOKIE_PROOF_BYTES = 20;

/** The state in a cookie of ours, which need not be one: `null` when it is too short. */
export function retryState(cookie: Uint8Array): Uint8Array | null {
  return cookie.length < COOKIE_PROOF_BYTES ? null : cookie.subarray(COOKIE_PROOF_BYTES);
}

/**
 * Begins the transcript of a handshake after a HelloRetryRequest of which nothing was kept, from
 * the ClientHello that came back.
 * @param state what {@link encodeRetryState} gave
 * @returns False when the state is none.
 */
export function resumeTranscript(
  crypto: SyncCrypto,
  hash: HashName,
  transcript: Transcript13,
  second: ClientHello,
  cookie: Uint8Array,
  state: Uint8Array,
  suiteId: number,
): boolean {
  let group: NamedGroup | null = null;
  if (state.length === 0) transcript.startWithHashOf(hashOfFirst(crypto, hash, second));
  else {
    const reader = new ByteReader(state);
    const groupId = reader.uint16();
    group = namedGroupById(groupId);
    const first = reader.rest();
    if ((group === null && groupId !== 0) || first.length === 0) return false;
    transcript.startWithHashOf(first);
  }
  transcript.addBody(HANDSHAKE_TYPE.serverHello, encodeRetryRequest({ suiteId, group, cookie }));
  return true;
}

/** The hash of the ClientHello that this one repeats with a cookie. */
function hashOfFirst(crypto: SyncCrypto, hash: HashName, second: ClientHello): Uint8Array {
  const extensions = new Map(second.extensions);
  extensions.delete(EXTENSION.cookie);
  return helloHash(crypto, hash, encodeClientHello({ ...second, extensions }));
}

/** The hash of a ClientHello as it stands for it in the transcript (RFC 8446 §4.4.1). */
export function helloHash(crypto: SyncCrypto, hash: HashName, body: Uint8Array): Uint8Array {
  const transcript = new Transcript13();
  transcript.addBody(HANDSHAKE_TYPE.clientHello, body);
  return transcript.hash(crypto, hash);
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}
