import { ByteWriter, EMPTY_BYTES, type KeyShare, type NamedGroup } from '@lumamesh/base';
import { CIPHER_SUITES } from './cipher-suite.ts';
import { CIPHER_SUITES_13 } from './cipher-suite-13.ts';
import { ALPN_WEBRTC } from './client-hello-offer.ts';
import { encodeClientHello } from './message/client-hello.ts';
import {
  EXTENSION,
  NAMED_GROUP_ID,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
  writeAlpn,
} from './message/extensions.ts';
import { encodeClientShares } from './message/key-share.ts';
import { VERSION_DTLS_1_2, VERSION_DTLS_1_3 } from './record/record.ts';

/**
 * RFC 7685. A server sends an unproven address no more than three times what came from it, and its
 * flight should fit into that. A hello with a hybrid key share is large enough as it is.
 */
const MIN_HELLO_BYTES = 480;

/** What our client says in its ClientHello. */
export interface OwnHello {
  /** 32 bytes, the same in the second ClientHello. */
  readonly random: Uint8Array;
  /** Of a HelloVerifyRequest (RFC 6347 §4.2.1); empty in the first ClientHello. */
  readonly legacyCookie: Uint8Array;
  /** What is offered of DTLS 1.3, or `null`: nothing. */
  readonly offer13: {
    readonly groups: readonly NamedGroup[];
    readonly shares: readonly KeyShare[];
    /** Of a HelloRetryRequest. */
    readonly cookie: Uint8Array | null;
  } | null;
}

/** The body of a ClientHello with everything that is spoken here. */
export function encodeOwnClientHello({ random, legacyCookie, offer13 }: OwnHello): Uint8Array {
  const alpn = new ByteWriter(16);
  writeAlpn(alpn, [ALPN_WEBRTC]);
  const groups: readonly NamedGroup[] = offer13?.groups ?? [];
  const groupIds = new Set([...groups, 'x25519' as const, 'secp256r1' as const]);
  const extensions = new Map<number, Uint8Array>([
    [EXTENSION.extendedMasterSecret, EMPTY_BYTES],
    [EXTENSION.renegotiationInfo, Uint8Array.of(0)],
    [
      EXTENSION.supportedGroups,
      uint16s(
        2,
        [...groupIds].map((group) => NAMED_GROUP_ID[group]),
      ),
    ],
    [EXTENSION.ecPointFormats, Uint8Array.of(1, 0)],
    [EXTENSION.signatureAlgorithms, uint16s(2, [SIGNATURE_ECDSA_SECP256R1_SHA256])],
    [EXTENSION.alpn, alpn.finish()],
  ]);
  if (offer13 !== null) {
    const { shares } = offer13;
    extensions.set(EXTENSION.supportedVersions, uint16s(1, [VERSION_DTLS_1_3, VERSION_DTLS_1_2]));
    const entries = shares.map(({ group, publicKey }) => ({
      groupId: NAMED_GROUP_ID[group],
      publicKey,
    }));
    extensions.set(EXTENSION.keyShare, encodeClientShares(entries));
  }
  const suites = [...(offer13 === null ? [] : CIPHER_SUITES_13), ...CIPHER_SUITES];
  const encode = (all: ReadonlyMap<number, Uint8Array>): Uint8Array =>
    encodeClientHello({
      version: VERSION_DTLS_1_2,
      random,
      sessionId: EMPTY_BYTES,
      cookie: legacyCookie,
      cipherSuites: suites.map((suite) => suite.id),
      compressionMethods: Uint8Array.of(0),
      extensions: all,
    });
  const missingBytes = MIN_HELLO_BYTES - encode(extensions).length;
  if (missingBytes > 0) extensions.set(EXTENSION.padding, new Uint8Array(missingBytes));
  const cookie = offer13?.cookie ?? null;
  if (cookie === null) return encode(extensions);
  const cookieData = new ByteWriter(2 + cookie.length).vector(2, (v) => v.bytes(cookie)).finish();
  // RFC 8446 §4.1.2: all else as it was. In front, where a server finds it in the first fragment.
  return encode(new Map([[EXTENSION.cookie, cookieData], ...extensions]));
}

function uint16s(lengthBytes: 1 | 2, values: readonly number[]): Uint8Array {
  return new ByteWriter(16)
    .vector(lengthBytes, (list) => values.forEach((value) => list.uint16(value)))
    .finish();
}
