import type { Instant, LumameshError } from '@lumamesh/base';
import type { ClientMessage, RelayMessage } from '@lumamesh/protocol';
import type { Platform } from '../platform/platform.ts';
import type { Member } from './members.ts';
import type { PeerIdentity } from './peer-identity.ts';

/** What the net does with a channel, whosever it is. */
export interface HeldChannel {
  /** What relays know it by; `null` until it is derived. */
  readonly roomId: string | null;
  /** The first counter that this page's identity in it has not used. */
  readonly counter: number;
  /** @param challenge what the relay's welcome asks; relays of before ask nothing */
  _joinMessageFor(relay: string, challenge: string | undefined): JoinMessage | null;
  /** A relay has come up (again): what it had begun to tell before is void. */
  _handleRelayUp(relay: string): void;
  /** A relay is not held any more: what it said of members counts no longer. */
  _handleRelayGone(relay: string): void;
  /** A message about this channel, heard from a relay. */
  _handleMessage(relay: string, message: RelayMessage): void;
  /** A relay does not take us in (yet). */
  _handleRefusal(code: string, message: string): void;
  /** To be called about every second. */
  _handleTick(now: Instant): void;
  _leave(): void;
}

export type JoinMessage = Extract<ClientMessage, { readonly action: 'join' }>;

/** What a channel needs of the net around it. */
export interface ChannelHost {
  readonly platform: Platform;
  readonly onListenerError: (error: unknown) => void;
  readonly _identityFor: (roomId: string) => Promise<PeerIdentity>;
  /** Sends by one relay, or by all of them when `relay` is null; returns whether any took it. */
  readonly send: (relay: string | null, message: ClientMessage) => boolean;
  readonly _handleStart: (channel: HeldChannel) => void;
  readonly _handleReady: () => void;
  readonly _handleLeft: (channel: HeldChannel) => void;
}

/** What a channel tells whoever takes part in it. */
export interface ChannelOwner {
  /** What the others learn of us; asked when the room's keys are there, and whenever it changes. */
  _presence(): object;
  /**
   * A member was seen (again), or says something else of itself.
   * @param isListed it was there before us; @param hasMissed a signal to it found no relay
   */
  _handleMember(id: string, member: Member, isListed: boolean, hasMissed: boolean): void;
  /** No relay lists a member any more. */
  _handleMemberGone?(id: string): void;
  /** Nobody was connected to it, and it has made place for another in a crowd. */
  _handlePushedOut?(id: string): void;
  /**
   * @param counter rises with each signal of the sender
   * @returns whether its sender is of interest: the relay it came by is the way back
   */
  _handleSignal?(from: string, payload: unknown, counter: number): boolean;
  /** Whether somebody is connected to the member, who so keeps its place in a crowd. */
  _isReached?(id: string): boolean;
  /** The keys are there. */
  _handleReady?(selfId: string): void;
  /** A relay has taken us in and named all members. */
  _handleJoined?(): void;
  _handleError?(error: LumameshError): void;
}
