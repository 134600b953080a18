import { ByteReader, type EcdheGroup } from '@lumamesh/base';
import { CIPHER_SUITES, type CipherSuite } from './cipher-suite.ts';
import { ALERT } from './message/alert.ts';
import type { ClientHello } from './message/client-hello.ts';
import {
  EXTENSION,
  NAMED_GROUP_ID,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
  readAlpn,
  readUint16Vector,
} from './message/extensions.ts';
import { SRTP_PROFILES, readUseSrtp } from './message/use-srtp.ts';
import { VERSION_DTLS_1_2 } from './record/record.ts';

/** RFC 5746 §3.3: TLS_EMPTY_RENEGOTIATION_INFO_SCSV. */
const RENEGOTIATION_SCSV = 0x00ff;
const POINT_FORMAT_UNCOMPRESSED = 0;
export const ALPN_WEBRTC = 'webrtc';

/** What a server takes from a ClientHello. */
export interface Negotiated {
  readonly suite: CipherSuite;
  readonly group: EcdheGroup;
  readonly answersRenegotiationInfo: boolean;
  readonly answersPointFormats: boolean;
  readonly alpn: typeof ALPN_WEBRTC | null;
  /** The SRTP protection profile to answer with; `null`: use_srtp is not answered. */
  readonly srtpProfile: number | null;
}

export interface NegotiationFailure {
  readonly alert: number;
  readonly reason: string;
}

/** Chooses version, suite, group and extensions, or says which alert ends the handshake. */
export function negotiate(
  hello: ClientHello,
):
  | { readonly ok: true; readonly value: Negotiated }
  | { readonly ok: false; readonly failure: NegotiationFailure } {
  const { extensions } = hello;
  const has = (type: number): boolean => extensions.has(type);
  if (!offersDtls12(hello)) return refuse(ALERT.protocolVersion, 'noCommonVersion');
  if (!hello.compressionMethods.includes(0))
    return refuse(ALERT.illegalParameter, 'noNullCompression');
  // RFC 7627 §5.3 leaves it to the server; without it a man in the middle can make two sessions
  // share a master secret.
  if (extensions.get(EXTENSION.extendedMasterSecret)?.length !== 0)
    return refuse(ALERT.handshakeFailure, 'noExtendedMasterSecret');
  // RFC 5746 §3.6: in an initial handshake renegotiated_connection must be empty.
  const renegotiationInfo = extensions.get(EXTENSION.renegotiationInfo);
  if (
    renegotiationInfo !== undefined &&
    !(renegotiationInfo.length === 1 && renegotiationInfo[0] === 0)
  )
    return refuse(ALERT.handshakeFailure, 'renegotiationInfo');
  const suite = CIPHER_SUITES.find((candidate) => hello.cipherSuites.includes(candidate.id));
  if (suite === undefined) return refuse(ALERT.handshakeFailure, 'noCommonCipherSuite');

  const signatures = uint16List(extensions.get(EXTENSION.signatureAlgorithms));
  if (signatures?.includes(SIGNATURE_ECDSA_SECP256R1_SHA256) !== true)
    return refuse(ALERT.handshakeFailure, 'noCommonSignatureAlgorithm');
  const groups = has(EXTENSION.supportedGroups)
    ? uint16List(extensions.get(EXTENSION.supportedGroups))
    : [NAMED_GROUP_ID.secp256r1];
  const group = groups === null ? null : chooseGroup(groups);
  if (group === null) return refuse(ALERT.handshakeFailure, 'noCommonGroup');
  const pointFormats = extensions.get(EXTENSION.ecPointFormats);
  // RFC 8422 §5.1.2: a client that sends the list must include uncompressed points.
  if (pointFormats !== undefined && !pointFormats.subarray(1).includes(POINT_FORMAT_UNCOMPRESSED))
    return refuse(ALERT.illegalParameter, 'pointFormats');
  const alpn = extensions.get(EXTENSION.alpn);
  const protocols = alpn === undefined ? [] : readAlpn(new ByteReader(alpn));
  if (protocols === null) return refuse(ALERT.decodeError, 'alpn');
  const useSrtp = extensions.get(EXTENSION.useSrtp);
  const profiles = useSrtp === undefined ? [] : readUseSrtp(useSrtp);
  if (profiles === null) return refuse(ALERT.decodeError, 'useSrtp');
  const value: Negotiated = {
    suite,
    group,
    answersRenegotiationInfo:
      renegotiationInfo !== undefined || hello.cipherSuites.includes(RENEGOTIATION_SCSV),
    answersPointFormats: pointFormats !== undefined,
    // RFC 8833 §2. `c-webrtc` asks for media confidentiality, which a data channel has nothing of.
    alpn: protocols.includes(ALPN_WEBRTC) ? ALPN_WEBRTC : null,
    // RFC 5764 §4.1.1: without a common profile the server leaves the extension out.
    srtpProfile: SRTP_PROFILES.find((profile) => profiles.includes(profile)) ?? null,
  };
  return { ok: true, value };
}

/** RFC 8446 §4.2.1: where supported_versions is there, it decides, and legacy_version does not. */
function offersDtls12(hello: ClientHello): boolean {
  const versions = hello.extensions.get(EXTENSION.supportedVersions);
  if (versions !== undefined)
    return readUint16Vector(new ByteReader(versions), 1)?.includes(VERSION_DTLS_1_2) === true;
  // Versions of DTLS count downwards: 0xfefd is 1.2, 0xfeff is 1.0.
  return hello.version >> 8 === 0xfe && hello.version <= VERSION_DTLS_1_2;
}

function uint16List(data: Uint8Array | undefined): readonly number[] | null {
  return data === undefined ? null : readUint16Vector(new ByteReader(data), 2);
}

function chooseGroup(ids: readonly number[]): EcdheGroup | null {
  if (ids.includes(NAMED_GROUP_ID.x25519)) return 'x25519';
  return ids.includes(NAMED_GROUP_ID.secp256r1) ? 'secp256r1' : null;
}

function refuse(
  alert: number,
  reason: string,
): { readonly ok: false; readonly failure: NegotiationFailure } {
  return { ok: false, failure: { alert, reason } };
}
