import { expectType } from '@lumamesh/base';
import type { ConnectOptions } from './api.ts';
import { connectWith } from './connect-with.ts';
import type { Api, ApiOf, Feature, NetWith, PeerWith, RoomWith } from './feature.ts';
import { browserPlatform } from './platform/browser/browser-platform.ts';

/*
 * `lumamesh/core`: relays, rooms, peers and sealed signaling, and nothing else but what a page
 * picks. The whole library is `lumamesh`.
 */
export { LumameshError } from '@lumamesh/base';

export interface CoreConnectOptions<Features extends readonly Feature[]> extends ConnectOptions {
  /** What the page picks of `lumamesh/features`, and features of its own. Default: none. */
  readonly features?: Features;
}

/**
 * Connects to the relays and returns at once; rooms may be joined right away. Throws `BAD_RELAY`
 * when no relay is known or a record is malformed, `INSECURE_ORIGIN` where the page has no
 * WebCrypto, `BAD_FEATURE` when two features want one name.
 *
 * ```js
 * const net = connect({ relays, features: [requests(), files()] });
 * ```
 */
export function connect<const Features extends readonly Feature[] = readonly []>({
  // Without a list the type is that of an empty one.
  features = [] as unknown as Features,
  ...options
}: CoreConnectOptions<Features> = {}): NetWith<ApiOf<Features>> {
  // `files` in the place of `files()` would add nothing, and say nothing.
  for (const one of [features].flat()) expectType('connect: features', one, 'object');
  return connectWith(browserPlatform(), options, features);
}

/** A net without features. */
export type Net = NetWith<Api>;
export type Room = RoomWith<Api>;
export type Peer = PeerWith<Api>;
export type { RelayRecord, SignedRelayRecord } from '@lumamesh/protocol';
export type {
  BaseNet,
  BasePeer,
  BaseRoom,
  CloseOptions,
  ConnectOptions,
  EventMap,
  Listenable,
  MissReason,
  NetEvents,
  NetStatus,
  PageStorage,
  PeerCloseReason,
  PeerRole,
  PeerEvents,
  PeerState,
  RelayStatus,
  RelayToken,
  RoomEvents,
  RoomOptions,
  RoomState,
} from './api.ts';
export type {
  Api,
  ApiOf,
  Feature,
  FrameHandler,
  LinkState,
  NetHandle,
  NetPart,
  NetWith,
  PeerHandle,
  PeerPart,
  PeerWith,
  RoomHandle,
  RoomPart,
  RoomWith,
} from './feature.ts';
export type { RelaySource } from './net/relay-source.ts';
export type { SendOptions } from './peer/peer-frame.ts';
