import { type ConnectOptions, Net } from './net.ts';
import { Peer, type PeerHost } from './peer.ts';
import { browserPlatform } from './platform.ts';
import { Room, type RoomEvents, type RoomHost, type RoomOptions, type RoomState } from './room.ts';

/* `lumamesh/core`: relays, rooms, peers, sealing and discovery, and nothing else. The whole library is `lumamesh`. */
export { LumameshError } from '@lumamesh/base';

class CoreRoom extends Room<Peer> {
  protected override makePeer(id: string, nick: string, ownId: string, host: PeerHost): Peer {
    return new Peer(id, nick, ownId, host);
  }
}

class CoreNet extends Net<CoreRoom> {
  protected override makeRoom(name: string, options: RoomOptions, host: RoomHost): CoreRoom {
    return new CoreRoom(name, options, host);
  }
}

/** Connects to the relays and answers at once; rooms may be joined right away. Throws `BAD_RELAY` when no relay is known or a record is malformed. */
export function connect(options: ConnectOptions = {}): CoreNet {
  return new CoreNet(options, browserPlatform()).start();
}

export type { RelayRecord, SignedRelayRecord } from '@lumamesh/protocol';
export type { SendOptions } from '../core/peer-frame.ts';
export type { RelaySource } from '../core/relay-source.ts';
export type { ConnectOptions, NetEvents, NetStatus, PageStorage, RelayStatus } from './net.ts';
export type { Peer, PeerCloseReason, PeerEvents, PeerState } from './peer.ts';
export type { CoreNet as Net, CoreRoom as Room, RoomEvents, RoomOptions, RoomState };
