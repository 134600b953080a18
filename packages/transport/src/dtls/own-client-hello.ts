import { ByteWriter, EMPTY_BYTES } from '@lumamesh/base';
import { CIPHER_SUITES } from './cipher-suite.ts';
import { ALPN_WEBRTC } from './client-hello-offer.ts';
import { encodeClientHello } from './message/client-hello.ts';
import {
  EXTENSION,
  NAMED_GROUP_ID,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
  writeAlpn,
} from './message/extensions.ts';
import { VERSION_DTLS_1_2 } from './record/record.ts';

/**
 * RFC 7685. A server sends an unproven address no more than three times what came from it, and its
 * flight should fit into that.
 */
const PADDING_BYTES = 300;

/**
 * The body of the ClientHello that our client sends (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1):
 * everything that is spoken here.
 * @param random 32 bytes, the same in the second ClientHello.
 * @param cookie empty in the first one.
 */
export function encodeOwnClientHello(random: Uint8Array, cookie: Uint8Array): Uint8Array {
  const alpn = new ByteWriter(16);
  writeAlpn(alpn, [ALPN_WEBRTC]);
  return encodeClientHello({
    version: VERSION_DTLS_1_2,
    random,
    sessionId: EMPTY_BYTES,
    cookie,
    cipherSuites: CIPHER_SUITES.map((suite) => suite.id),
    compressionMethods: Uint8Array.of(0),
    extensions: new Map<number, Uint8Array>([
      [EXTENSION.extendedMasterSecret, EMPTY_BYTES],
      [EXTENSION.renegotiationInfo, Uint8Array.of(0)],
      [EXTENSION.supportedGroups, uint16s(2, [NAMED_GROUP_ID.x25519, NAMED_GROUP_ID.secp256r1])],
      [EXTENSION.ecPointFormats, Uint8Array.of(1, 0)],
      [EXTENSION.signatureAlgorithms, uint16s(2, [SIGNATURE_ECDSA_SECP256R1_SHA256])],
      [EXTENSION.alpn, alpn.finish()],
      [EXTENSION.padding, new Uint8Array(PADDING_BYTES)],
    ]),
  });
}

function uint16s(lengthBytes: 1 | 2, values: readonly number[]): Uint8Array {
  return new ByteWriter(16)
    .vector(lengthBytes, (list) => values.forEach((value) => list.uint16(value)))
    .finish();
}
