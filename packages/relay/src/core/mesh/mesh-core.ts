import {
  DropCounters,
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  earlier,
  later,
} from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { LocalRoomEvent, NodePage, RemoteRooms } from '../remote-rooms.ts';
import { isSameEndpoint } from './candidate.ts';
import type { DialTarget } from './dial-choice.ts';
import type { CheckResult, DirectoryOutput } from './directory-output.ts';
import type { ForwardingOptions } from './forwarding.ts';
import type { MeshBounds } from './mesh-bounds.ts';
import { LinkProtocol } from './link-protocol.ts';
import { type LinkCounts, LinkTable } from './link-table.ts';
import type { MeshOutput } from './mesh-output.ts';
import { NodeSample } from './node-sample.ts';
import { RelayDirectory } from './relay-directory.ts';
import { RoomNetwork } from './room-network.ts';
import { WallClock } from './wall-clock.ts';

export interface MeshCoreOptions extends Omit<ForwardingOptions, 'nk'> {
  /** This relay's record; `mesh` is set in it. */
  readonly record: SignedRelayRecord;
  readonly mesh: string;
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  readonly maxRoomSize: number;
  readonly bounds: MeshBounds;
  readonly hash: SyncCrypto['hash'];
  readonly verify: (record: SignedRelayRecord) => boolean;
  /** A number in [0, 1). */
  readonly random: () => number;
}

const TICK_MS = 250;
/** A relay that could check our record would have said so by now. */
const UNPROVEN_MS = 20_000;
/** Until no relay has come or gone for this long, the mesh is converging. */
const QUIET_MS = 1500;

/**
 * The mesh without its sockets: who is in it ({@link RelayDirectory}), whom to be linked to ({@link
 * LinkPolicy}), and which rooms reach beyond this relay ({@link RoomNetwork}). It is told of links,
 * frames, gossip, checks and time; what is said over links is {@link LinkProtocol}'s.
 */
export class MeshCore implements Machine<MeshOutput>, RemoteRooms {
  readonly drops = new DropCounters();
  readonly #wallClock: WallClock;
  readonly #directory: RelayDirectory;
  readonly #links: LinkTable;
  readonly #rooms: RoomNetwork;
  readonly #protocol: LinkProtocol;
  readonly #nodes: NodeSample;
  readonly #outputs = new Fifo<MeshOutput>();
  #record: SignedRelayRecord;
  #hasChanged = true;
  #changedAt: Instant | null = null;
  #tickAt: Instant | null = null;

  /** @param unixSeconds the time of day at `now`, as for {@link handleWallClock} */
  constructor(now: Instant, unixSeconds: number, options: MeshCoreOptions) {
    this.#record = options.record;
    this.#wallClock = new WallClock(now, unixSeconds);
    const { nk } = options.record;
    const { mesh, peers, maxRoomSize, bounds, hash, verify, random } = options;
    this.#directory = new RelayDirectory({
      nk,
      mesh,
      ownIp: options.record.ip,
      checksPerSecond: bounds.checksPerSecond,
      hash,
      verify,
      wallTime: this.#wallClock,
      random,
    });
    this.#directory.setOwn(options.record);
    const { drops } = this;
    this.#links = new LinkTable({ nk, peers, random, drops }, this.#outputs);
    this.#rooms = new RoomNetwork({
      nk,
      maxRemoteMembers: maxRoomSize,
      maxRemoteBytes: bounds.maxBytes,
      hash,
      random,
      isLinked: (other) => this.#links.isUsable(other),
      prefixOf: (other) => this.#directory.prefixOf(other),
    });
    this.#protocol = new LinkProtocol(
      { ...options, nk, drops },
      this.#links,
      this.#directory,
      this.#rooms,
    );
    this.#nodes = new NodeSample(() => [this.#record, ...this.#directory.alive()], random);
  }

  get deadline(): Instant | null {
    return earlier(earlier(this.#tickAt, this.#directory.deadline), this.#rooms.deadline);
  }

  get links(): LinkCounts {
    return this.#links.counts;
  }

  /** A new record of this relay: told to all. */
  setRecord(record: SignedRelayRecord): void {
    this.#record = record;
    this.#directory.setOwn(record);
    this.#hasChanged = true;
    this.#nodes.invalidate();
    this.#outputs.push({ type: 'publish', record });
  }

  /** What the operator has changed: places to dial, and the size of rooms. */
  setLimits({ peers, maxRoomSize }: Pick<MeshCoreOptions, 'peers' | 'maxRoomSize'>): void {
    this.#links.setPeers(peers);
    this.#rooms.setMaxRemoteMembers(maxRoomSize);
  }

  /**
   * The time of day, in Unix seconds, for what is signed with one. To be told whenever the machine
   * is driven: clocks are set.
   */
  handleWallClock(now: Instant, unixSeconds: number): void {
    this.#wallClock.set(now, unixSeconds);
  }

  /** Records of earlier days: they are dialled like any others. */
  handleSaved(now: Instant, records: readonly SignedRelayRecord[]): void {
    for (const record of records) this.#directory.offer(now, record, 'file', '');
    this.#drainDirectory(now);
  }

  /** @returns Relays that answered when they were last asked. */
  known(): readonly SignedRelayRecord[] {
    return this.#directory.alive();
  }

  /** @returns Relays worth remembering over a restart: those that answer, then those that did. */
  saved(): readonly SignedRelayRecord[] {
    return [...this.#directory.alive(), ...this.#directory.tombstones()];
  }

  handleLinkOpen(now: Instant, nk: string, isOutbound: boolean, address: string): void {
    this.#links.open(now, nk, isOutbound, address);
    this.#protocol.sendHello(nk, this.#record);
  }

  handleLinkClosed(now: Instant, nk: string): void {
    const link = this.#links.close(nk);
    if (link === undefined) return;
    if (!link.remoteReady && now - link.openedAt > UNPROVEN_MS)
      this.#outputs.push({ type: 'unproven', nk });
    // Rooms have nothing of who was not let in; who went without a word is asked if it is there.
    if (link.isReady) this.#rooms.handleLinkDown(now, nk);
    this.#directory.suspect(now, nk);
    this.#tickAt = now;
  }

  /** A dial has ended. @param nk who is there; `null` when nobody answered */
  handleDialed(now: Instant, target: DialTarget, nk: string | null): void {
    this.#links.noteDialed(now, target, nk);
  }

  handleFrame(now: Instant, nk: string, text: string): void {
    const link = this.#links.get(nk);
    if (link === undefined || link.isEnding) return;
    this.#protocol.handleText(now, link, text);
    this.#drainDirectory(now);
  }

  /**
   * A record heard by gossip, in a message of so many bytes.
   * @returns The id under which its `verdict` comes; `null` when nothing is taken from that relay.
   */
  handleGossip(
    now: Instant,
    from: string,
    record: SignedRelayRecord,
    bytes: number,
  ): string | null {
    if (this.#links.get(from)?.isReady !== true) {
      this.drops.count('mesh.gossip.notReady');
      return null;
    }
    this.#links.traffic.count('records', 'in', bytes);
    const id = this.#directory.offer(now, record, 'gossip', from);
    this.#drainDirectory(now);
    return id;
  }

  handleChecked(now: Instant, id: string, result: CheckResult): void {
    this.#directory.handleChecked(now, id, result);
    this.#drainDirectory(now);
  }

  /** Rooms of this relay have changed: outputs of RelayCore. */
  handleLocalRooms(now: Instant, event: LocalRoomEvent): void {
    this.#rooms.handleLocalRooms(now, event);
  }

  handleTimeout(now: Instant): void {
    this.#tickAt = later(now, TICK_MS);
    this.#links.traffic.updateRates(now);
    this.#directory.handleTimeout(now);
    this.#drainDirectory(now);
    this.#applyChanges(now);
    this.#rooms.handleTimeout(now);
    const isConverging = this.#changedAt !== null && now - this.#changedAt < QUIET_MS;
    const alive = this.#directory.alive();
    this.#links.keep(now, alive, this.#rooms.wantedLinks(), isConverging);
    this.#protocol.update(now);
  }

  poll(): MeshOutput | null {
    for (let output = this.#rooms.poll(); output !== null; output = this.#rooms.poll()) {
      if (output.type === 'send') this.#links.send(output.to, output.frame);
      else if (output.type === 'forward')
        this.#protocol.requestForward(output.by, output.to, output.frame);
      else this.#outputs.push(output);
    }
    return this.#outputs.shift() ?? null;
  }

  membersOf(room: string): ReturnType<RoomNetwork['membersOf']> {
    return this.#rooms.membersOf(room);
  }

  has(room: string, peer: string): boolean {
    return this.#rooms.has(room, peer);
  }

  presencesOf(room: string, peer: string): readonly string[] {
    return this.#rooms.presencesOf(room, peer);
  }

  canReach(room: string, peer: string): boolean {
    return this.#rooms.canReach(room, peer);
  }

  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#rooms.homesOf(room).filter(({ nk }) => nk !== this.#record.nk);
  }

  nodes(limit: number, after: string): NodePage {
    return this.#nodes.page(limit, after);
  }

  /** For `/statsz`. */
  // Its type is what it holds: readers take from it what they know.
  stats(now: Instant) {
    const { asHome, hints, forwarded, ...rooms } = this.#rooms.counts;
    return {
      links: this.links,
      records: this.#directory.stats(now),
      homes: {
        roomsHeld: asHome.rooms,
        hintsHeld: asHome.hints,
        reporters: asHome.reporters,
        hintsRefused: asHome.refused,
      },
      rooms,
      hints: { ...hints },
      signals: { ...this.#rooms.signals },
      framesForwarded: forwarded,
      traffic: this.#links.traffic.snapshot(),
      drops: {
        ...this.drops.snapshot(),
        ...this.#directory.drops.snapshot(),
        ...this.#rooms.drops.snapshot(),
      },
    };
  }

  #drainDirectory(now: Instant): void {
    for (let output = this.#directory.poll(); output !== null; output = this.#directory.poll())
      this.#handleDirectory(now, output);
  }

  #handleDirectory(now: Instant, output: DirectoryOutput): void {
    switch (output.type) {
      case 'check':
        this.#outputs.push(output);
        return;
      case 'verdict':
        return this.#handleVerdict(now, output);
      case 'changed':
        this.#hasChanged = true;
        this.#nodes.invalidate();
        return;
      case 'suspect':
        // No link and no answer: its members are gone. With a link it may only be its UDP that is
        // too busy.
        if (this.#links.get(output.nk) === undefined)
          this.#rooms.handleRelaySuspect(now, output.nk);
        for (const { nk, isReady } of this.#links.values())
          if (isReady) this.#links.send(nk, { type: 'suspect', relays: [output.nk] });
        return;
      case 'dead':
        this.#rooms.handleRelayDead(now, output.nk);
        if (this.#links.get(output.nk) !== undefined) this.#links.hangUp(output.nk, 'dead', false);
        return;
      case 'ownRecord':
        this.#outputs.push({
          type: 'ownRecord',
          record: output.record,
          isElsewhere: !isSameEndpoint(output.record, this.#record),
        });
    }
  }

  #handleVerdict(
    now: Instant,
    { id, record, origin, verdict, reason }: Extract<DirectoryOutput, { type: 'verdict' }>,
  ): void {
    const isNews = verdict === 'taken' && reason !== 'known';
    this.#outputs.push({
      type: 'verdict',
      id,
      verdict: verdict === 'bad' ? 'reject' : isNews ? 'accept' : 'ignore',
    });
    // What came by gossip goes on by gossip; everything else begins its way there.
    if (isNews && origin !== 'gossip') this.#outputs.push({ type: 'publish', record });
    const link = this.#links.get(record.nk);
    if (link?.recordId !== id) return;
    if (verdict === 'bad')
      return origin === 'hello'
        ? this.#links.hangUp(record.nk, `badRecord.${reason}`, true)
        : undefined;
    // An older record of a relay that is known is as good a proof.
    if (verdict !== 'taken' && !this.#directory.isAlive(record.nk)) return;
    if (link.isReady) return;
    // Rooms choose their homes with this relay among the others.
    this.#applyChanges(now);
    this.#protocol.acceptRelay(now, link);
    this.#outputs.push({ type: 'proven', nk: record.nk });
  }

  /** The relays that are known are others now. */
  #applyChanges(now: Instant): void {
    if (!this.#hasChanged) return;
    this.#hasChanged = false;
    this.#changedAt = now;
    this.#rooms.setRelays(now, [this.#record, ...this.#directory.alive()]);
    this.#outputs.push({ type: 'save' });
  }
}
