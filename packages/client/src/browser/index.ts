import { type ConnectOptions, Net } from './net.ts';

export { LumameshError } from '@lumamesh/base';
export type { RelayRecord, SignedRelayRecord } from '@lumamesh/protocol';
export type { RelaySource } from '../core/relay-source.ts';
export type { ConnectOptions, Net, NetEvents, NetStatus, RelayStatus } from './net.ts';
export type { Peer, PeerCloseReason, PeerEvents, SendOptions } from './peer.ts';
export type { Room, RoomEvents, RoomOptions } from './room.ts';

/**
 * Connects to the relays and answers at once; rooms may be joined right away. Throws `BAD_RELAY` when no relay is named or a record is malformed.
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
export function connect(options: ConnectOptions): Net {
  return new Net(options);
}
