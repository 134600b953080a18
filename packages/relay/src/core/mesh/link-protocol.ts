import type { DropCounters, Instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { Forwarding, type ForwardingOptions } from './forwarding.ts';
import type { LinkTable } from './link-table.ts';
import { MESH_VERSION, type MeshFrame, type RoomFrame, decodeMeshFrame } from './mesh-frame.ts';
import { type MeshLink, isUsable } from './mesh-link.ts';
import { purposeOf } from './mesh-traffic.ts';
import { RecordSync } from './record-sync.ts';
import type { RelayDirectory } from './relay-directory.ts';
import type { RoomNetwork } from './room-network.ts';

export interface LinkProtocolOptions extends ForwardingOptions {
  readonly mesh: string;
  readonly random: () => number;
  readonly drops: DropCounters;
}

/**
 * What two relays say over a link. Until a relay's record has answered a check, only who it is.
 *
 * ```
 * link up ──► hello ──► (their record is dialled) ──► ready ──► summary … records, hints, rooms
 * ```
 */
export class LinkProtocol {
  readonly #options: LinkProtocolOptions;
  readonly #links: LinkTable;
  readonly #directory: RelayDirectory;
  readonly #rooms: RoomNetwork;
  readonly #forwarding: Forwarding;
  readonly #sync: RecordSync;

  constructor(
    options: LinkProtocolOptions,
    links: LinkTable,
    directory: RelayDirectory,
    rooms: RoomNetwork,
  ) {
    this.#options = options;
    this.#links = links;
    this.#directory = directory;
    this.#rooms = rooms;
    this.#forwarding = new Forwarding(options);
    this.#sync = new RecordSync(directory, links, options.random);
  }

  sendHello(nk: string, record: SignedRelayRecord): void {
    this.#links.send(nk, { type: 'hello', version: MESH_VERSION, record });
  }

  /** Asks relays to forward a frame to another, which takes it once. */
  requestForward(by: readonly string[], to: string, frame: RoomFrame): void {
    const request = this.#forwarding.request(to, frame);
    for (const nk of by) this.#links.send(nk, request);
  }

  /** The record of the relay has answered: everything is taken from it. */
  acceptRelay(now: Instant, link: MeshLink): void {
    link.isReady = true;
    this.#links.send(link.nk, { type: 'ready' });
    this.#activateIfReady(now, link);
  }

  handleText(now: Instant, link: MeshLink, text: string): void {
    const frame = decodeMeshFrame(text);
    if (frame.ok) {
      this.#links.traffic.count(purposeOf(frame.value), 'in', text.length);
      this.#handleFrame(now, link, frame.value);
    } else if (frame.drop === 'mesh.frame.type') {
      // What a later version says is no mistake.
      this.#options.drops.count(frame.drop);
    } else this.#links.strike(now, link, frame.drop);
  }

  /** Compares records where it is due. */
  update(now: Instant): void {
    this.#sync.update(now);
  }

  #handleFrame(now: Instant, link: MeshLink, frame: MeshFrame): void {
    const { nk } = link;
    switch (frame.type) {
      case 'hello':
        return this.#handleHello(now, link, frame.record);
      case 'ready':
        if (link.remoteReady) return;
        link.remoteReady = true;
        return this.#activateIfReady(now, link);
      case 'bye':
        this.#rooms.handleRelayDead(now, nk);
        return this.#links.hangUp(nk, 'bye', false);
      default:
        break;
    }
    // Everything else is only taken from relays that have shown that they are some.
    if (!link.isReady) return this.#options.drops.count('mesh.frame.notReady');
    switch (frame.type) {
      case 'summary':
      case 'have':
      case 'want':
      case 'records':
        return this.#sync.handleFrame(now, link, frame);
      case 'suspect':
        return this.#handleSuspects(now, link, frame.relays);
      case 'hints':
      case 'withdraw':
        if (!link.budgets.hints.take(now, frame.rooms.length))
          return this.#links.hangUp(nk, 'tooManyHints', false);
        // Coming and going of one hint is told to all who report the room.
        if (!link.budgets.news.take(now, this.#rooms.handleHintFrame(now, nk, frame)))
          this.#links.hangUp(nk, 'tooMuchNews', false);
        return;
      case 'reporters':
      case 'refused':
        this.#rooms.handleHintFrame(now, nk, frame);
        return;
      case 'forwardRequest':
        return this.#forward(nk, frame);
      case 'forwarded':
        if (!link.budgets.forwarded.take(now))
          return this.#options.drops.count('mesh.forwarded.tooMany');
        return this.#handleForwarded(now, nk, frame);
      default:
        return this.#rooms.handleRoomFrame(now, nk, frame);
    }
  }

  #handleHello(now: Instant, link: MeshLink, record: SignedRelayRecord): void {
    const { nk, address } = link;
    // The link has proven the key; a record of another key would be somebody else's.
    if (record.nk !== nk || record.mesh !== this.#options.mesh)
      return this.#links.hangUp(nk, 'badHello', true);
    if (!link.budgets.hellos.take(now)) return this.#options.drops.count('mesh.hello.tooOften');
    link.recordId = this.#directory.offer(now, record, 'hello', nk, address);
  }

  #activateIfReady(now: Instant, link: MeshLink): void {
    if (!isUsable(link)) return;
    // One conversation serves both sides.
    if (link.isOutbound) this.#sync.begin(now, link);
    this.#rooms.handleLinkUp(now, link.nk);
  }

  #handleSuspects(now: Instant, link: MeshLink, relays: readonly string[]): void {
    for (const nk of relays) {
      if (!link.budgets.suspects.take(now))
        return this.#options.drops.count('mesh.suspect.tooMany');
      this.#directory.handleRumour(now, nk);
    }
  }

  #forward(
    from: string,
    { to, ...signed }: Extract<MeshFrame, { readonly type: 'forwardRequest' }>,
  ): void {
    if (!this.#rooms.mayForward(from, to, signed.frame.room) || !this.#links.isUsable(to))
      return this.#options.drops.count('mesh.forwardRequest.noRoute');
    this.#links.send(to, { ...signed, type: 'forwarded', from });
  }

  /** A frame that another relay forwarded: its author has signed it, for us, and not before. */
  #handleForwarded(
    now: Instant,
    forwarder: string,
    frame: Extract<MeshFrame, { readonly type: 'forwarded' }>,
  ): void {
    const isKnown = this.#directory.get(frame.from) !== null;
    const drop = isKnown ? this.#forwarding.accept(frame) : 'unknown';
    if (drop !== null) return this.#options.drops.count(`mesh.forwarded.${drop}`);
    this.#rooms.handleRoomFrame(now, frame.from, frame.frame, forwarder);
  }
}
