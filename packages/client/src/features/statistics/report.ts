import { type Instant, scopeOf } from '@lumamesh/base';
import type { RelayStatus } from '../../api.ts';
import type { NetHandle, PeerHandle, RoomHandle } from '../../feature.ts';
import { VERSION } from '../../version.ts';
import { readPair } from '../relaying/selected-pair.ts';
import { securityOf } from './connection-stats.ts';
import type { CandidateKind, Incidents, PeerStats } from './peer-stats.ts';

const MAX_PEERS = 100;
/** So much of a key or an id tells which one it is, and is of no use for anything else. */
const PREFIX = 6;

/**
 * The state of everything in a text that can be shown to strangers: no names of rooms or peers, no
 * passwords, keys, addresses of peers, words of errors (which may have any of these in them), nor
 * the address of the page.
 */
export async function writeReport(net: NetHandle, incidents: Incidents): Promise<string> {
  const { platform, status, options } = net;
  const { navigator, self } = platform.scope;
  const now = platform.now();
  const rooms = await Promise.all([...net.rooms].map(roomLines));
  const relays = await Promise.all(status.relays.map(async (relay) => relayLine(net, relay)));
  const kinds = (options.iceServers ?? []).flatMap(({ urls }) => urls).map(kindOfServer);
  return [
    `Lumamesh ${VERSION}`,
    `time: ${new Date(platform.unixSeconds() * 1000).toISOString()}`,
    `browser: ${oneLine(navigator?.userAgent ?? 'unknown')}`,
    `page: ${self?.isSecureContext === false ? 'not secure' : 'secure'}, ${
      navigator?.onLine === false ? 'offline' : 'online'
    }, WebRTC ${platform.PeerConnection === null ? 'missing' : 'there'}`,
    `net: ${status.state}${suffix(status.code)}, ${status.known} relays known, discover: ${
      options.discover ?? true
    }, identity: ${options.identity === undefined ? 'of the session' : 'kept'}`,
    `ICE servers of the page: ${kinds.length === 0 ? 'none' : kinds.join(', ')}`,
    '',
    `relays: ${status.relays.length}`,
    ...relays,
    '',
    `rooms: ${rooms.length}`,
    ...rooms.flatMap((lines, i) => [`- room ${i + 1}: ${lines[0] ?? ''}`, ...lines.slice(1)]),
    '',
    `last errors: ${incidents.size}`,
    ...[...incidents].map(([{ code }, at]) => `- ${secondsAgo(now, at)} s ago: ${code}`),
    '',
  ].join('\n');
}

async function relayLine(net: NetHandle, relay: RelayStatus): Promise<string> {
  const { nk, address, state, connectMs, transport, error } = relay;
  const connection = net.connectionTo(nk);
  const security =
    connection === null
      ? []
      : securityWords(
          // It may be closed meanwhile.
          await readPair(connection).then(
            ({ transport }) => securityOf(transport),
            () => ({}),
          ),
        );
  const colon = address.lastIndexOf(':');
  const [ip, port] = [address.slice(0, colon), address.slice(colon + 1)];
  const took = connectMs > 0 ? `, connected in ${Math.round(connectMs)} ms` : '';
  const family = ip.includes(':') ? 'IPv6' : 'IPv4';
  const how = [state, `${scopeOf(ip)} ${family}`, transport, `port ${port}`, ...security];
  return `- ${nk.slice(0, PREFIX)}: ${how.join(', ')}${took}${suffix(error?.code ?? '')}`;
}

async function roomLines(room: RoomHandle): Promise<readonly string[]> {
  const { state, options, peers } = room;
  const kind = options.password === undefined ? 'public' : 'private';
  return [
    `${state}, ${options.role ?? 'member'}, ${kind}, ${peers.length} peers`,
    ...(await Promise.all(peers.slice(0, MAX_PEERS).map(peerLine))),
    ...(peers.length > MAX_PEERS ? [`  - and ${peers.length - MAX_PEERS} more`] : []),
  ];
}

async function peerLine(peer: PeerHandle): Promise<string> {
  // This feature has put it there.
  const stats = await (peer as PeerHandle & { stats(): Promise<PeerStats> }).stats();
  const { rttMs, bufferedAmount, bytesSent, bytesReceived, sendRate, receiveRate } = stats;
  const traffic =
    bytesSent === undefined
      ? ''
      : `, sent ${bytesSent} bytes (${sendRate}/s), received ${bytesReceived} (${receiveRate}/s)`;
  return `  - ${peer.id.slice(0, PREFIX)}: ${peer.role}, ${pathOf(stats)}, rtt ${Math.round(
    rttMs,
  )} ms, waiting ${bufferedAmount} bytes${traffic}`;
}

function pathOf(stats: PeerStats): string {
  const { state, path, connectionState, localCandidate, remoteCandidate } = stats;
  const ends =
    localCandidate === undefined || remoteCandidate === undefined
      ? ''
      : ` ${endOf(localCandidate)} → ${endOf(remoteCandidate)}`;
  return [`${state}, ${path}${ends}`, connectionState, ...securityWords(stats)]
    .filter((text) => text !== undefined)
    .join(', ');
}

const securityWords = ({ dtlsVersion, keyExchange }: Partial<PeerStats>): readonly string[] =>
  [dtlsVersion && `DTLS ${dtlsVersion}`, keyExchange].filter((text) => text !== undefined);

const endOf = ({ type, protocol }: CandidateKind): string => `${type}/${protocol}`;
const suffix = (code: string): string => (code === '' ? '' : `, ${code}`);
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 300);
const secondsAgo = (now: Instant, at: Instant): string => ((now - at) / 1000).toFixed(1);
/** Without the host, which may be the page's own, and without what stands behind it. */
const kindOfServer = (url: string): string => /^(stuns?|turns?):/.exec(url)?.[1] ?? 'unknown';
