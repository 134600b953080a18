import { Fifo } from '@lumamesh/base';
import type { RemoteRoomEvent } from '../remote-rooms.ts';
import { acrossNetworks } from './crowding.ts';
import type { HintFrame, RoomFrame } from './mesh-frame.ts';
import type { RoomState } from './remote-relay.ts';

/** Relays that are asked to forward the same frame, but for whole lists, which are asked for again. */
const FORWARD_COPIES = 2;
/**
 * Relays that show the same peer and are all sent a signal for it, for some may lie; where more show
 * it they take turns.
 */
const MAX_SIGNAL_COPIES = 3;

/**
 * What the rooms want of the mesh: a frame for a linked relay, or for another by way of one; or
 * news for the members here.
 */
export type RoomNetworkOutput =
  | { readonly type: 'send'; readonly to: string; readonly frame: HintFrame | RoomFrame }
  | {
      readonly type: 'forward';
      /** Relays that are all asked: one of them may lose it. */
      readonly by: readonly string[];
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
  /** Forwarders take turns. */
  #turn = 0;
  /** So do relays that show the same peer. */
  #signalTurn = 0;

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

  /**
   * Sends a frame about a room to a relay.
   * @returns The relays that are to forward it, none over a link; `null` when there is no way to it.
   */
  route(to: string, state: RoomState, frame: RoomFrame): readonly string[] | null {
    if (this.isLinked(to)) {
      this.outputs.push({ type: 'send', to, frame });
      return [];
    }
    const copies = frame.type === 'present' && frame.all === true ? 1 : FORWARD_COPIES;
    const by = this.#forwardersTo(to, state).slice(0, copies);
    if (by.length === 0) return null;
    this.#forwarded += by.length;
    this.outputs.push({ type: 'forward', by, to, frame });
    return by;
  }

  /** Replies to a relay over its link, or by the relay that forwarded what it said. */
  reply(to: string, forwarder: string | null, frame: RoomFrame): void {
    if (this.isLinked(to)) this.outputs.push({ type: 'send', to, frame });
    else if (forwarder !== null) this.outputs.push({ type: 'forward', by: [forwarder], to, frame });
  }

  /** @returns Whether {@link signal} would find a way to a relay that shows the peer. */
  canReach(state: RoomState, peer: string): boolean {
    for (const [nk, { roster }] of state.relays)
      if (roster.has(peer) && (this.isLinked(nk) || this.#forwardersTo(nk, state).length > 0))
        return true;
    return false;
  }

  /** Sends a sealed signal to relays that show its receiver; false when none could be sent. */
  signal(state: RoomState, frame: Extract<RoomFrame, { readonly type: 'signal' }>): boolean {
    const showing = [...state.relays].flatMap(([nk, { roster }]) =>
      roster.has(frame.to) ? [nk] : [],
    );
    const inOrder = acrossNetworks(showing, showing.length, this.prefixOf);
    this.#signalTurn += 1;
    const start = inOrder.length <= MAX_SIGNAL_COPIES ? 0 : this.#signalTurn % inOrder.length;
    let copies = 0;
    for (const nk of [...inOrder.slice(start), ...inOrder.slice(0, start)])
      if (copies < MAX_SIGNAL_COPIES && this.route(nk, state, frame) !== null) copies += 1;
    return copies > 0;
  }

  /**
   * Linked homes of the room that know the relay, then other linked homes; those by which it did not
   * answer last. Otherwise they take turns.
   */
  #forwardersTo(nk: string, state: RoomState): readonly string[] {
    const relay = state.relays.get(nk);
    const homes = [...new Set([...(relay?.vouchedBy ?? []), ...state.homes])].filter(
      (home) => home !== this.#nk && home !== nk && this.isLinked(home),
    );
    this.#turn += 1;
    const start = homes.length === 0 ? 0 : this.#turn % homes.length;
    const inTurn = [...homes.slice(start), ...homes.slice(0, start)];
    const rank = (home: string): number =>
      (relay?.silentBy.has(home) === true ? 2 : 0) + (relay?.vouchedBy.has(home) === true ? 0 : 1);
    return inTurn.toSorted((a, b) => rank(a) - rank(b));
  }
}
