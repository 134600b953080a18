import { ByteReader, type NamedGroup } from '@lumamesh/base';
import { type CipherSuite13, chooseCipherSuite13 } from './cipher-suite-13.ts';
import { ALPN_WEBRTC, type NegotiationFailure } from './client-hello-offer.ts';
import { ALERT } from './message/alert.ts';
import type { ClientHello } from './message/client-hello.ts';
import {
  EXTENSION,
  NAMED_GROUP_ID,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
  readAlpn,
  readUint16Vector,
} from './message/extensions.ts';
import { readClientShares } from './message/key-share.ts';
import { SRTP_PROFILES, readUseSrtp } from './message/use-srtp.ts';
import { readCookie } from './retry-request.ts';
import { VERSION_DTLS_1_3 } from './record/record.ts';

/** What a server takes from a ClientHello that offers DTLS 1.3. */
export interface Negotiated13 {
  readonly suite: CipherSuite13;
  readonly group: NamedGroup;
  /** The client's key share, or `null`: a HelloRetryRequest has to ask for one. */
  readonly share: Uint8Array | null;
  readonly cookie: Uint8Array | null;
  readonly alpn: typeof ALPN_WEBRTC | null;
  readonly srtpProfile: number | null;
}

type Result =
  | { readonly ok: true; readonly value: Negotiated13 }
  | { readonly ok: false; readonly failure: NegotiationFailure };

/** RFC 8446 §4.2.1: supported_versions alone says whether DTLS 1.3 is offered. */
export function offersDtls13(hello: ClientHello): boolean {
  const versions = hello.extensions.get(EXTENSION.supportedVersions);
  return (
    versions !== undefined &&
    readUint16Vector(new ByteReader(versions), 1)?.includes(VERSION_DTLS_1_3) === true
  );
}

/**
 * Chooses suite, group and extensions, or says which alert ends the handshake.
 * @param groups in our order of preference
 */
export function negotiate13(hello: ClientHello, groups: readonly NamedGroup[]): Result {
  const { extensions } = hello;
  // RFC 9147 §5.3: "any other value in this field … MUST abort the handshake with an
  // illegal_parameter alert", and RFC 8446 §4.1.2 says the same of compression.
  if (hello.cookie.length > 0) return refuse(ALERT.illegalParameter, 'legacyCookie');
  if (hello.compressionMethods.length !== 1 || hello.compressionMethods[0] !== 0)
    return refuse(ALERT.illegalParameter, 'compression');
  const suite = chooseCipherSuite13(hello.cipherSuites);
  if (suite === null) return refuse(ALERT.handshakeFailure, 'noCommonCipherSuite');
  const signatureAlgorithms = extensions.get(EXTENSION.signatureAlgorithms);
  const supportedGroups = extensions.get(EXTENSION.supportedGroups);
  const keyShare = extensions.get(EXTENSION.keyShare);
  // RFC 8446 §9.2.
  if (signatureAlgorithms === undefined || supportedGroups === undefined || keyShare === undefined)
    return refuse(ALERT.missingExtension, 'missingExtension');
  const signatures = readUint16Vector(new ByteReader(signatureAlgorithms), 2);
  const offeredGroups = readUint16Vector(new ByteReader(supportedGroups), 2);
  if (signatures === null || offeredGroups === null)
    return refuse(ALERT.decodeError, 'malformedExtension');
  if (!signatures.includes(SIGNATURE_ECDSA_SECP256R1_SHA256))
    return refuse(ALERT.handshakeFailure, 'noCommonSignatureAlgorithm');
  const shares = readClientShares(keyShare);
  if (shares === null) return refuse(ALERT.illegalParameter, 'keyShares');
  // RFC 8446 §4.2.8: "Clients MUST NOT offer any KeyShareEntry values for groups not listed".
  if (shares.some(({ groupId }) => !offeredGroups.includes(groupId)))
    return refuse(ALERT.illegalParameter, 'keyShares');
  const common = groups.filter((group) => offeredGroups.includes(NAMED_GROUP_ID[group]));
  const shareOf = (group: NamedGroup): Uint8Array | null =>
    shares.find(({ groupId }) => groupId === NAMED_GROUP_ID[group])?.publicKey ?? null;
  // One whose share is there already: another one would cost a round trip.
  const group = common.find((each) => shareOf(each) !== null) ?? common[0];
  if (group === undefined) return refuse(ALERT.handshakeFailure, 'noCommonGroup');

  const cookieExtension = extensions.get(EXTENSION.cookie);
  const cookie = cookieExtension === undefined ? null : readCookie(cookieExtension);
  if (cookieExtension !== undefined && cookie === null) return refuse(ALERT.decodeError, 'cookie');
  const alpn = extensions.get(EXTENSION.alpn);
  const protocols = alpn === undefined ? [] : readAlpn(new ByteReader(alpn));
  if (protocols === null) return refuse(ALERT.decodeError, 'alpn');
  const useSrtp = extensions.get(EXTENSION.useSrtp);
  const profiles = useSrtp === undefined ? [] : readUseSrtp(useSrtp);
  if (profiles === null) return refuse(ALERT.decodeError, 'useSrtp');
  return {
    ok: true,
    value: {
      suite,
      group,
      share: shareOf(group),
      cookie,
      alpn: protocols.includes(ALPN_WEBRTC) ? ALPN_WEBRTC : null,
      srtpProfile: SRTP_PROFILES.find((profile) => profiles.includes(profile)) ?? null,
    },
  };
}

function refuse(alert: number, reason: string): Result {
  return { ok: false, failure: { alert, reason } };
}
