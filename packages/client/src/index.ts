import type { ConnectOptions } from './api.ts';
import { type Net, connectOn } from './library.ts';
import { browserPlatform } from './platform/browser/browser-platform.ts';

export { LumameshError } from '@lumamesh/base';

/**
 * Connects to the relays and returns at once; rooms may be joined right away. Throws `BAD_RELAY`
 * when no relay is known or a record is malformed, `BAD_ARGUMENT`, `INSECURE_ORIGIN` where the page has no
 * WebCrypto.
 *
 * ```js
 * const net = connect({ relays: ['luma1.…'] });
 * const room = net.joinRoom('tea', { nick: 'Ada' });
 * room.on('peer', (peer) => {
 *   peer.on('data', (value) => console.log(peer.nick, value));
 *   peer.send('hello');
 * });
 * ```
 */
export function connect(options: ConnectOptions = {}): Net {
  return connectOn(browserPlatform(), options);
}

export type { RelayRecord, SignedRelayRecord } from '@lumamesh/protocol';
export type {
  CloseOptions,
  ConnectOptions,
  MissReason,
  NetEvents,
  NetStatus,
  PageStorage,
  PeerCloseReason,
  PeerRole,
  PeerState,
  RelayStatus,
  RelayToken,
  RoomState,
} from './api.ts';
export type { Handshake } from './features/admission.ts';
export type {
  Channel,
  ChannelEvents,
  ChannelMember,
  ChannelMemberEvents,
  ChannelOptions,
} from './features/channels/channel.ts';
export type { FileOptions, IncomingFile } from './features/files.ts';
export type { TrackOptions } from './features/media/hints.ts';
export type { MediaEvents, ReceivedStream, TrackInfo } from './features/media/received-streams.ts';
export type { StreamOptions } from './features/media/sent-streams.ts';
export type { RoomMember } from './features/presence.ts';
export type { RoomReach } from './features/reach.ts';
export type { RequestOptions } from './features/requests.ts';
export type { PeerPath } from './features/relaying/peer-path.ts';
export type { CandidateKind, PeerStats } from './features/statistics/peer-stats.ts';
export type { RelaySource } from './net/relay-source.ts';
export type { SendOptions } from './peer/peer-frame.ts';
export type {
  ActionListen,
  ActionOptions,
  ActionSend,
  Net,
  Peer,
  PeerEvents,
  RequestHandler,
  Room,
  RoomEvents,
  RoomOptions,
} from './library.ts';
