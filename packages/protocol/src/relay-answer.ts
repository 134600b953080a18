import type { RelayRecord } from './relay-record.ts';

/** What an answer needs of a record. */
export type AnswerSource = Pick<RelayRecord, 'fingerprint' | 'port' | 'ufrag' | 'pwd'>;

/** RFC 8445 §5.1.2.1: type preference 126, the highest local preference, component 1. */
const UDP_PRIORITY = 2_130_706_431;
/** RFC 6544 §4.2: below UDP (type preference 90, as in Chromium), direction preference 4: passive. */
const TCP_PRIORITY = 1_520_435_199;

/**
 * The SDP answer that a relay would give to a browser's data-channel offer, made from its record
 * alone: this is why no signaling is needed. The offer stays unmodified. `addresses` are the
 * relay's usable ones, the preferred first; `mid` is the offer's. With a `tcpPort` the answer has
 * TCP candidates only (RFC 6544): in an answer with both, a browser may go from one to the other in
 * the middle of the handshake.
 *
 * Messages have at most 64 KB, which is what browsers assume without `a=max-message-size` (RFC 8841
 * §6.1). Firefox wants `a=sctp-port`, and `a=mid` with BUNDLE; lines end in CRLF (RFC 8866 §5).
 */
export function relayAnswer(
  source: AnswerSource,
  addresses: readonly string[],
  mid: string,
  tcpPort?: number,
): string {
  const port = tcpPort ?? source.port;
  const [first = '0.0.0.0'] = addresses;
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    `a=group:BUNDLE ${mid}`,
    'a=ice-lite',
    `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`,
    `c=IN ${first.includes(':') ? 'IP6' : 'IP4'} ${first}`,
    `a=mid:${mid}`,
    `a=ice-ufrag:${source.ufrag}`,
    `a=ice-pwd:${source.pwd}`,
    `a=fingerprint:sha-256 ${source.fingerprint.toUpperCase()}`,
    'a=setup:passive',
    'a=sctp-port:5000',
    ...addresses.map((address, i) =>
      tcpPort === undefined
        ? `a=candidate:${i + 1} 1 udp ${UDP_PRIORITY - 256 * i} ${address} ${port} typ host`
        : `a=candidate:${i + 1} 1 tcp ${TCP_PRIORITY - 256 * i} ${address} ${port} typ host tcptype passive`,
    ),
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

/** The `a=mid` of the first media section of an offer; browsers write 0. */
export function midOf(offerSdp: string): string {
  return /^a=mid:([^\r\n]+)/m.exec(offerSdp)?.[1] ?? '0';
}
