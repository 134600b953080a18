import { Fifo } from '@lumamesh/base';
import type { RemoteRoomEvent } from '../remote-rooms.ts';
import { acrossNetworks } from './crowding.ts';
import type { HintFrame, RoomFrame } from './mesh-frame.ts';
import type { RoomState } from './remote-relay.ts';

/** Relays that show the same peer and are all sent a signal for it: one of them may lie. */
const MAX_SIGNAL_COPIES = 3;

/**
 * What the rooms want of the mesh: a frame for a linked relay, or for another by way of one; or
 * news for the members here.
 */
export type RoomNetworkOutput =
  | { readonly type: 'send'; readonly to: string; readonly frame: HintFrame | RoomFrame }
  | {
      readonly type: 'forward';
      readonly by: string;
      readonly to: string;
      readonly frame: RoomFrame;
    }
  | RemoteRoomEvent;

export interface RoomRoutesOptions {
  readonly nk: string;
  /** Whether there is a link to this relay over which room frames are taken. */
  readonly isLinked: (nk: string) => boolean;
  /** @returns The network of a relay's address; empty while its record is not known. */
  readonly prefixOf: (nk: string) => string;
}

/**
 * Ways to other relays: over a link where there is one, otherwise by way of a home that both sides
 * have.
 */
export class RoomRoutes {
  readonly outputs = new Fifo<RoomNetworkOutput>();
  readonly isLinked: (nk: string) => boolean;
  readonly prefixOf: (nk: string) => string;
  readonly #nk: string;
  #forwarded = 0;

  constructor({ nk, isLinked, prefixOf }: RoomRoutesOptions) {
    this.#nk = nk;
    this.isLinked = isLinked;
    this.prefixOf = prefixOf;
  }

  /** Frames that others were asked to forward. */
  get forwarded(): number {
    return this.#forwarded;
  }

  /** Sends a frame to a linked relay; without a link it is lost. */
  send(to: string, frame: HintFrame | RoomFrame): void {
    if (this.isLinked(to)) this.outputs.push({ type: 'send', to, frame });
  }

  /** Sends a frame about a room to a relay; false when there is no way to it. */
  route(to: string, state: RoomState, frame: RoomFrame): boolean {
    if (this.isLinked(to)) {
      this.outputs.push({ type: 'send', to, frame });
      return true;
    }
    const by = this.#forwarderTo(to, state);
    if (by === undefined) return false;
    this.#forwarded += 1;
    this.outputs.push({ type: 'forward', by, to, frame });
    return true;
  }

  /** Replies to a relay over its link, or by the relay that forwarded what it said. */
  reply(to: string, forwarder: string | null, frame: RoomFrame): void {
    if (this.isLinked(to)) this.outputs.push({ type: 'send', to, frame });
    else if (forwarder !== null) this.outputs.push({ type: 'forward', by: forwarder, to, frame });
  }

  /** @returns Whether {@link signal} would find a way to a relay that shows the peer. */
  canReach(state: RoomState, peer: string): boolean {
    for (const [nk, { roster }] of state.relays)
      if (roster.has(peer) && (this.isLinked(nk) || this.#forwarderTo(nk, state) !== undefined))
        return true;
    return false;
  }

  /** Sends a sealed signal to relays that show its receiver; false when none could be sent. */
  signal(state: RoomState, frame: Extract<RoomFrame, { readonly type: 'signal' }>): boolean {
    const showing = [...state.relays]
      .filter(([, { roster }]) => roster.has(frame.to))
      .map(([nk]) => nk)
      .toSorted((a, b) => Number(this.isLinked(b)) - Number(this.isLinked(a)));
    let copies = 0;
    for (const nk of acrossNetworks(showing, showing.length, this.prefixOf))
      if (copies < MAX_SIGNAL_COPIES && this.route(nk, state, frame)) copies += 1;
    return copies > 0;
  }

  /** A linked home of the room that knows the relay, or any other linked home. */
  #forwarderTo(nk: string, state: RoomState): string | undefined {
    const homes = [...(state.relays.get(nk)?.vouchedBy ?? []), ...state.homes];
    return homes.find((home) => home !== this.#nk && this.isLinked(home));
  }
}
