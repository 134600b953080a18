import { actions } from './actions.ts';
import { admission } from './admission.ts';
import { channels } from './channels/channels.ts';
import { diagnosis, hostNames } from './diagnosis/diagnosis.ts';
import { directSignaling } from './direct-signaling.ts';
import { discovery } from './discovery/discovery.ts';
import { files } from './files.ts';
import { forwarding } from './forwarding/forwarding.ts';
import { media } from './media/media.ts';
import { passwordProbe } from './password-probe.ts';
import { presence } from './presence.ts';
import { reach } from './reach.ts';
import { relaying } from './relaying/relaying.ts';
import { relayLists } from './relay-lists.ts';
import { requests } from './requests.ts';
import { sessionIdentity } from './session-identity.ts';
import { statistics } from './statistics/statistics.ts';
import { structuredValues } from './structured-values.ts';

/* `lumamesh/features`: what a page may pick for `connect({ features })` of `lumamesh/core`. */
export {
  actions,
  admission,
  channels,
  diagnosis,
  directSignaling,
  discovery,
  files,
  forwarding,
  hostNames,
  media,
  passwordProbe,
  presence,
  reach,
  relayLists,
  relaying,
  requests,
  sessionIdentity,
  statistics,
  structuredValues,
};

/** Everything, as `lumamesh` has it. */
export function allFeatures() {
  return [
    actions(),
    admission(),
    channels(),
    diagnosis(),
    directSignaling(),
    discovery(),
    files(),
    forwarding(),
    hostNames(),
    media(),
    passwordProbe(),
    presence(),
    reach(),
    relayLists(),
    relaying(),
    requests(),
    sessionIdentity(),
    statistics(),
    structuredValues(),
  ] as const;
}

export type {
  ActionListen,
  ActionOptions,
  ActionSend,
  ActionsApi,
  ActionsRoom,
} from './actions.ts';
export type { AdmissionApi, AdmissionOptions, Handshake } from './admission.ts';
export type {
  Channel,
  ChannelEvents,
  ChannelMember,
  ChannelMemberEvents,
  ChannelOptions,
} from './channels/channel.ts';
export type { ChannelsApi, ChannelsNet } from './channels/channels.ts';
export type { FileOptions, FilesApi, FilesEvents, FilesPeer, IncomingFile } from './files.ts';
export type { ForwardingApi, ForwardingOptions } from './forwarding/forwarding.ts';
export type { TrackOptions } from './media/hints.ts';
export type { MediaApi, MediaPeer, MediaRoom, MediaSender } from './media/media.ts';
export type { MediaEvents, ReceivedStream, TrackInfo } from './media/received-streams.ts';
export type { StreamOptions } from './media/sent-streams.ts';
export type {
  PresenceApi,
  PresenceEvents,
  PresenceOptions,
  PresencePeer,
  PresenceRoom,
  RoomMember,
} from './presence.ts';
export type { ReachApi, ReachEvents, ReachRoom, RoomReach } from './reach.ts';
export type { RelayListsApi, RelayListsNet } from './relay-lists.ts';
export type {
  RequestHandler,
  RequestOptions,
  RequestsApi,
  RequestsPeer,
  RequestsRoom,
} from './requests.ts';
export type { PeerPath } from './relaying/peer-path.ts';
export type { RelayingApi, RelayingEvents, RelayingPeer } from './relaying/relaying.ts';
export type { CandidateKind, PeerStats } from './statistics/peer-stats.ts';
export type { StatisticsApi, StatisticsNet, StatisticsPeer } from './statistics/statistics.ts';
