import { FrameQueue, FrameReader, type ValueInbox, type ValueOutbox } from '../core/peer-frame.ts';
import { type ConnectOptions, Net } from './net.ts';
import { Peer, type PeerHost } from './peer.ts';
import { browserPlatform } from './platform.ts';
import { Room, type RoomEvents, type RoomHost, type RoomOptions, type RoomState } from './room.ts';

/* `lumamesh/core`: relays, rooms, peers, sealing and discovery, and nothing else. The whole library is `lumamesh`. */
export { LumameshError } from '@lumamesh/base';

class CorePeer extends Peer {
  protected override makeOutbox(): ValueOutbox {
    return new FrameQueue();
  }

  protected override makeInbox(): ValueInbox {
    return new FrameReader((value) => this.emit('data', value));
  }
}

class CoreRoom extends Room<CorePeer> {
  protected override makePeer(id: string, nick: string, ownId: string, host: PeerHost): CorePeer {
    return new CorePeer(id, nick, ownId, host);
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
export type { PeerCloseReason, PeerEvents, PeerState } from './peer.ts';
export type {
  CoreNet as Net,
  CorePeer as Peer,
  CoreRoom as Room,
  RoomEvents,
  RoomOptions,
  RoomState,
};
