import { ByteWriter, EMPTY_BYTES } from '@lumamesh/base';
import { ALPN_WEBRTC, type Negotiated } from './client-hello-offer.ts';
import { EXTENSION, writeAlpn } from './message/extensions.ts';
import { encodeUseSrtp } from './message/use-srtp.ts';

/** The ServerHello's extensions: only what the client offered (RFC 5246 §7.4.1.4). */
export function answerExtensions(negotiated: Negotiated): Map<number, Uint8Array> {
  const extensions = new Map<number, Uint8Array>([[EXTENSION.extendedMasterSecret, EMPTY_BYTES]]);
  if (negotiated.answersRenegotiationInfo)
    extensions.set(EXTENSION.renegotiationInfo, Uint8Array.of(0));
  if (negotiated.answersPointFormats) extensions.set(EXTENSION.ecPointFormats, Uint8Array.of(1, 0));
  addWebRtc(extensions, negotiated);
  return extensions;
}

/** The same of EncryptedExtensions (RFC 8446 §4.3.1): what does not concern the keys. */
export function encryptedExtensions(
  negotiated: Pick<Negotiated, 'srtpProfile' | 'alpn'>,
): Map<number, Uint8Array> {
  const extensions = new Map<number, Uint8Array>();
  addWebRtc(extensions, negotiated);
  return extensions;
}

function addWebRtc(
  extensions: Map<number, Uint8Array>,
  { srtpProfile, alpn }: Pick<Negotiated, 'srtpProfile' | 'alpn'>,
): void {
  if (srtpProfile !== null) extensions.set(EXTENSION.useSrtp, encodeUseSrtp(srtpProfile));
  if (alpn === null) return;
  const writer = new ByteWriter(16);
  writeAlpn(writer, [ALPN_WEBRTC]);
  extensions.set(EXTENSION.alpn, writer.finish());
}
