import { Rendezvous } from '@lumamesh/protocol';
import type { Api, Feature, NetHandle } from '../../feature.ts';
import type { PeerPath } from './peer-path.ts';
import { RelayedPeer } from './relayed-peer.ts';
import { TurnServers } from './turn-servers.ts';

/** Relays that are looked at where the two hold none together. */
const MAX_KNOWN = 4;
/** Of `net.iceServers`: each costs an allocation of each connection. */
const MAX_SERVERS = 4;

export interface RelayingPeer {
  /** How values go to the peer now; the event `path` tells when that changes. */
  readonly path: PeerPath;
}

export type RelayingEvents = {
  /** Values go another way from now on. */
  path: [path: PeerPath];
};

export interface RelayingApi extends Api {
  readonly peer: RelayingPeer;
  readonly peerEvents: RelayingEvents;
}

/**
 * Peers that find no path to each other are relayed, end-to-end encrypted, by relays that offer it
 * (RFC 8656): last, after direct paths and members that forward. One `relaying()` for each
 * `connect`.
 */
export function relaying(): Feature<RelayingApi> {
  const peers = new Map<RelayedPeer, string>();
  let servers: TurnServers | null = null;
  let net: NetHandle | null = null;
  const handleNeeds = (): void => {
    if (net === null) return;
    const { needed } = net.choice;
    needed.clear();
    for (const [{ _needs }] of peers) for (const nk of _needs) needed.add(nk);
    net.replan();
  };
  return {
    name: 'relaying',
    net: (ownNet) => {
      net = ownNet;
      const made = new TurnServers(ownNet.book);
      servers = made;
      return {
        onRelayMessage: (nk, message) => {
          if (message.action !== 'joined' || message.turn === undefined) return;
          // Made-up rooms would take the places of those that this page is in.
          if (!ownNet.roomIds.has(message.room)) return;
          made._take(message.room, nk, message.turn);
          for (const [peer, roomId] of peers) if (roomId === message.room) peer._handleOffered(nk);
        },
        onRelayGone: (nk) => made._lose(nk),
        iceServers: (roomIds) => roomIds.flatMap((id) => made._serversOf(id)).slice(0, MAX_SERVERS),
        onWake: () => {
          for (const [peer] of peers) peer._handleWake();
        },
      };
    },
    room: (room) => ({
      peer: (peer) => {
        const roomId = room.roomId ?? '';
        const part: RelayedPeer = new RelayedPeer(peer, {
          _relays: () => servers?._of(roomId) ?? [],
          _serverOf: (nk) => servers?._serverOf(roomId, nk) ?? null,
          _lacksUdp: () =>
            servers?._of(roomId).every((nk) => net?.book.get(nk)?.isTcp === true) === true,
          _known: () => {
            const able = (net?.book.entries ?? []).filter(
              ({ record, failures }) => record.turn !== undefined && failures === 0,
            );
            const ranked = new Rendezvous(able.map(({ record }) => record));
            return ranked.rank(roomId, MAX_KNOWN).map(({ nk }) => nk);
          },
          _mayBeForwarded: () =>
            [...peers].some(
              ([other, otherRoomId]) =>
                other !== part && otherRoomId === roomId && other.api.path === 'direct',
            ),
          _handleNeeds: handleNeeds,
          _handleClosed: () => peers.delete(part),
        });
        peers.set(part, roomId);
        return part;
      },
    }),
  };
}
