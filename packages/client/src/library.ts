import type {
  BaseNet,
  BasePeer,
  BaseRoom,
  ConnectOptions,
  PeerEvents as BasePeerEvents,
  RoomEvents as BaseRoomEvents,
  RoomOptions as BaseRoomOptions,
} from './api.ts';
import { connectWith } from './connect-with.ts';
import type {
  ActionListen as Listen,
  ActionOptions as Options,
  ActionSend as Send,
  ActionsRoom,
} from './features/actions.ts';
import type { AdmissionOptions } from './features/admission.ts';
import type { ChannelsNet } from './features/channels/channels.ts';
import type { FilesEvents, FilesPeer } from './features/files.ts';
import type { ForwardingOptions } from './features/forwarding/forwarding.ts';
import { allFeatures } from './features/index.ts';
import type { MediaPeer, MediaRoom } from './features/media/media.ts';
import type { MediaEvents } from './features/media/received-streams.ts';
import type {
  PresenceEvents,
  PresenceOptions,
  PresencePeer,
  PresenceRoom,
} from './features/presence.ts';
import type { ReachEvents, ReachRoom } from './features/reach.ts';
import type { RelayingEvents, RelayingPeer } from './features/relaying/relaying.ts';
import type { RelayListsNet } from './features/relay-lists.ts';
import type { RequestHandler as Handler, RequestsPeer, RequestsRoom } from './features/requests.ts';
import type { StatisticsNet, StatisticsPeer } from './features/statistics/statistics.ts';
import type { Platform } from './platform/platform.ts';

/* What `lumamesh` has: the kernel with all features, and the types of both together. */
export type PeerEvents = BasePeerEvents &
  FilesEvents &
  MediaEvents &
  PresenceEvents &
  RelayingEvents;
export type RoomEvents<P = Peer> = BaseRoomEvents<P> & ReachEvents;

/** Another browser in the room, with all that can be done with it. */
export interface Peer
  extends
    BasePeer<PeerEvents>,
    RequestsPeer,
    FilesPeer,
    MediaPeer,
    PresencePeer,
    RelayingPeer,
    StatisticsPeer {}

export interface RoomOptions
  extends BaseRoomOptions, AdmissionOptions<Peer>, ForwardingOptions, PresenceOptions {}

/** The browsers that know a name (and password), and all that they do together. */
export interface Room
  extends
    BaseRoom<Peer, RoomEvents>,
    ActionsRoom<Peer>,
    RequestsRoom<Peer>,
    MediaRoom,
    PresenceRoom,
    ReachRoom {}

/** The page's place in the network, with all that the library has. */
export interface Net
  extends BaseNet<Room, RoomOptions>, ChannelsNet, RelayListsNet, StatisticsNet {}

export type ActionOptions = Options<Peer>;
export type ActionSend<Value> = Send<Value, Peer>;
/** Returns an unsubscribe function. */
export type ActionListen<Value> = Listen<Value, Peer>;
export type RequestHandler<P = Peer> = Handler<P>;

/** The whole library on a platform. */
export function connectOn(platform: Platform, options: ConnectOptions): Net {
  return connectWith(platform, options, allFeatures());
}
