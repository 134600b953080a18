import { FullNet } from './full/full-net.ts';
import type { ConnectOptions } from './net.ts';
import { browserPlatform } from './platform.ts';

export { LumameshError } from '@lumamesh/base';
export type { RelayRecord, SignedRelayRecord } from '@lumamesh/protocol';
export type { SendOptions } from '../core/peer-frame.ts';
export type { RelaySource } from '../core/relay-source.ts';
export type { FileOptions, IncomingFile } from './full/files.ts';
export type { FullNet as Net } from './full/full-net.ts';
export type { FullPeer as Peer, Handshake } from './full/full-peer.ts';
export type {
  ActionListen,
  ActionOptions,
  ActionSend,
  FullRoom as Room,
  FullRoomOptions as RoomOptions,
} from './full/full-room.ts';
export type { RequestHandler, RequestOptions } from './full/requests.ts';
export type { ConnectOptions, NetEvents, NetStatus, PageStorage, RelayStatus } from './net.ts';
export type { PeerCloseReason, PeerEvents, PeerState } from './peer.ts';
export type { RoomEvents, RoomState } from './room.ts';

/**
 * Connects to the relays and answers at once; rooms may be joined right away. Throws `BAD_RELAY` when no relay is known or a record is malformed,
 * `INSECURE_ORIGIN` where the page has no WebCrypto.
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
export function connect(options: ConnectOptions = {}): FullNet {
  return new FullNet(options, browserPlatform()).start();
}
