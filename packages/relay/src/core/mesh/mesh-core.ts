import {
  DropCounters,
  Fifo,
  type Instant,
  type Machine,
  type SyncCrypto,
  earlier,
  later,
  scopeOf,
} from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { LocalRoomEvent, NodePage, RemoteRooms } from '../remote-rooms.ts';
import { isSameEndpoint } from './candidate.ts';
import { type DialTarget, placeOf } from './dial-choice.ts';
import type { CheckResult, DirectoryOutput } from './directory-output.ts';
import { Forwarding, type ForwardingOptions } from './forwarding.ts';
import { LinkPolicy } from './link-policy.ts';
import {
  MESH_LIMITS,
  MESH_VERSION,
  type MeshFrame,
  type SyncFrame,
  decodeMeshFrame,
  encodeMeshFrame,
} from './mesh-frame.ts';
import { type MeshLink, isUsable, makeMeshLink } from './mesh-link.ts';
import type { MeshOutput } from './mesh-output.ts';
import { MeshTraffic, purposeOf } from './mesh-traffic.ts';
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
/** A full page of records has others behind it. */
const SYNC_NEXT_PAGE_MS = 300;
const SYNC_MAX_MS = 120_000;
/**
 * The mesh without its sockets: who is in it ({@link RelayDirectory}), whom to be linked to
 * ({@link LinkPolicy}), and which rooms reach beyond this relay ({@link RoomNetwork}). It is told of
 * links, frames, gossip, checks and time.
 *
 * ```
 * link up ──► hello ──► (their record is dialled) ──► ready ──► summary … records, hints, rooms
 * ```
 */
export class MeshCore implements Machine<MeshOutput>, RemoteRooms {
  readonly drops = new DropCounters();
  readonly traffic = new MeshTraffic();
  readonly #options: MeshCoreOptions;
  readonly #wallClock: WallClock;
  readonly #directory: RelayDirectory;
  readonly #policy: LinkPolicy;
  readonly #rooms: RoomNetwork;
  readonly #forwarding: Forwarding;
  readonly #nodes: NodeSample;
  /** The one record of each link, by node key. */
  readonly #links = new Map<string, MeshLink>();
  readonly #outputs = new Fifo<MeshOutput>();
  #record: SignedRelayRecord;
  #hasChanged = true;
  #changedAt: Instant | null = null;
  #tickAt: Instant | null = null;

  /** @param unixSeconds the time of day at `now`, as for {@link handleWallClock} */
  constructor(now: Instant, unixSeconds: number, options: MeshCoreOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#wallClock = new WallClock(now, unixSeconds);
    const { nk } = options.record;
    const { mesh, peers, maxRoomSize, hash, verify, random } = options;
    this.#directory = new RelayDirectory({
      nk,
      mesh,
      ownScope: scopeOf(options.record.ip),
      hash,
      verify,
      wallTime: this.#wallClock,
      random,
    });
    this.#directory.setOwn(options.record);
    this.#policy = new LinkPolicy({ nk, peers, random });
    this.#rooms = new RoomNetwork({
      nk,
      maxRemoteMembers: maxRoomSize,
      hash,
      random,
      isLinked: (other) => isUsable(this.#links.get(other)),
    });
    this.#forwarding = new Forwarding({ ...options, nk });
    this.#nodes = new NodeSample(() => [this.#record, ...this.#directory.alive()], random);
  }

  get deadline(): Instant | null {
    return earlier(earlier(this.#tickAt, this.#directory.deadline), this.#rooms.deadline);
  }

  /** `proven` relays have shown a record that answers; `accepted` are those to which this one has. */
  get links(): {
    readonly outbound: number;
    readonly inbound: number;
    readonly proven: number;
    readonly dialing: number;
    readonly accepted: number;
  } {
    const links = [...this.#links.values()].filter(({ isEnding }) => !isEnding);
    const outbound = links.filter(({ isOutbound }) => isOutbound).length;
    return {
      outbound,
      inbound: links.length - outbound,
      proven: links.filter(({ isReady }) => isReady).length,
      dialing: this.#policy.dials.dialing,
      accepted: links.filter(({ remoteReady }) => remoteReady).length,
    };
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
    this.#policy.dials.setPeers(peers);
    this.#rooms.setMaxRemoteMembers(maxRoomSize);
  }

  /**
   * The time of day, in Unix seconds, for what is signed with one. To be told whenever the machine is
   * driven: clocks are set.
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
    this.#links.set(nk, makeMeshLink(now, nk, isOutbound, address));
    this.#send(nk, { type: 'hello', version: MESH_VERSION, record: this.#record });
  }

  handleLinkClosed(now: Instant, nk: string): void {
    const link = this.#links.get(nk);
    if (link === undefined) return;
    this.#links.delete(nk);
    if (!link.remoteReady && now - link.openedAt > UNPROVEN_MS)
      this.#outputs.push({ type: 'unproven', nk });
    this.#rooms.handleLinkDown(now, nk);
    // A relay that went away without a word is asked whether it is still there.
    this.#directory.suspect(now, nk);
    this.#tickAt = now;
  }

  /** A dial has ended. @param nk who is there; `null` when nobody answered */
  handleDialed(now: Instant, target: DialTarget, nk: string | null): void {
    const link = nk === null ? undefined : this.#links.get(nk);
    if (link !== undefined) link.place = placeOf(target);
    this.#policy.dials.noteDialed(now, target, nk);
  }

  handleFrame(now: Instant, nk: string, text: string): void {
    const link = this.#links.get(nk);
    if (link === undefined) return;
    const frame = decodeMeshFrame(text);
    // What a later version says is no mistake.
    if (!frame.ok)
      return frame.drop === 'mesh.frame.type'
        ? this.drops.count(frame.drop)
        : this.#strike(now, link, frame.drop);
    this.traffic.count(purposeOf(frame.value), 'in', text.length);
    this.#handleMeshFrame(now, link, frame.value);
    this.#drainDirectory(now);
  }

  /**
   * A record heard by gossip, in a message of so many bytes.
   * @returns The id under which its `verdict` comes.
   */
  handleGossip(now: Instant, from: string, record: SignedRelayRecord, bytes: number): string {
    this.traffic.count('records', 'in', bytes);
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
    this.traffic.updateRates(now);
    this.#directory.handleTimeout(now);
    this.#drainDirectory(now);
    this.#applyChanges(now);
    this.#rooms.handleTimeout(now);
    this.#keepLinks(now);
    for (const link of this.#links.values())
      if (isUsable(link) && link.syncAt <= now) this.#sync(now, link);
  }

  poll(): MeshOutput | null {
    for (let output = this.#rooms.poll(); output !== null; output = this.#rooms.poll()) {
      if (output.type === 'send') this.#send(output.to, output.frame);
      else if (output.type === 'forward')
        this.#send(output.by, this.#forwarding.request(output.to, output.frame));
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
    const { asHome, reported, remoteRelays, hints, forwarded } = this.#rooms.counts;
    return {
      links: this.links,
      records: this.#directory.stats(now),
      homes: {
        roomsHeld: asHome.rooms,
        hintsHeld: asHome.hints,
        reporters: asHome.reporters,
        hintsRefused: asHome.refused,
      },
      rooms: { reported, remoteRelays },
      hints: { ...hints },
      signals: { ...this.#rooms.signals },
      framesForwarded: forwarded,
      traffic: this.traffic.snapshot(),
      drops: {
        ...this.drops.snapshot(),
        ...this.#directory.drops.snapshot(),
        ...this.#rooms.drops.snapshot(),
      },
    };
  }

  #handleMeshFrame(now: Instant, link: MeshLink, frame: MeshFrame): void {
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
        return this.#hangUp(nk, 'bye', false);
      default:
        break;
    }
    // Everything else is only taken from relays that have shown that they are some.
    if (!link.isReady) return this.drops.count('mesh.frame.notReady');
    switch (frame.type) {
      case 'summary':
      case 'have':
      case 'want':
      case 'records':
        return this.#handleSync(now, link, frame);
      case 'suspect':
        for (const suspect of frame.relays) {
          if (!link.budgets.suspects.take(now)) return this.drops.count('mesh.suspect.tooMany');
          this.#directory.suspect(now, suspect);
        }
        return;
      case 'hints':
      case 'withdraw':
        if (!link.budgets.hints.take(now, frame.rooms.length))
          return this.#hangUp(nk, 'tooManyHints', false);
        return this.#rooms.handleHintFrame(now, nk, frame);
      case 'reporters':
        return this.#rooms.handleHintFrame(now, nk, frame);
      case 'forwardRequest':
        return this.#forward(nk, frame);
      case 'forwarded':
        return this.#handleForwarded(now, nk, frame);
      default:
        return this.#rooms.handleRoomFrame(now, nk, frame);
    }
  }

  #handleHello(now: Instant, link: MeshLink, record: SignedRelayRecord): void {
    const { nk, address } = link;
    // The link has proven the key; a record of another key would be somebody else's.
    if (record.nk !== nk || record.mesh !== this.#options.mesh)
      return this.#hangUp(nk, 'badHello', true);
    if (!link.budgets.hellos.take(now)) return this.drops.count('mesh.hello.tooOften');
    link.recordId = this.#directory.offer(now, record, 'hello', nk, address);
  }

  #forward(
    from: string,
    { to, ...signed }: Extract<MeshFrame, { readonly type: 'forwardRequest' }>,
  ): void {
    if (!this.#rooms.mayForward(from, to, signed.frame.room) || !isUsable(this.#links.get(to)))
      return this.drops.count('mesh.forwardRequest.noRoute');
    this.#send(to, { ...signed, type: 'forwarded', from });
  }

  /** A frame that another relay forwarded: its author has signed it, for us, and not before. */
  #handleForwarded(
    now: Instant,
    forwarder: string,
    frame: Extract<MeshFrame, { readonly type: 'forwarded' }>,
  ): void {
    const isKnown = this.#directory.get(frame.from) !== null;
    const drop = isKnown ? this.#forwarding.accept(frame) : 'unknown';
    if (drop !== null) return this.drops.count(`mesh.forwarded.${drop}`);
    this.#rooms.handleRoomFrame(now, frame.from, frame.frame, forwarder);
  }

  #handleSync(now: Instant, link: MeshLink, frame: SyncFrame): void {
    if (!link.budgets.syncs.take(now)) return this.#strike(now, link, 'mesh.sync.tooOften');
    if (frame.type === 'records') {
      for (const record of frame.records) this.#directory.offer(now, record, 'sync', link.nk);
      if (frame.records.length >= MESH_LIMITS.maxRecords)
        link.syncAt = later(now, SYNC_NEXT_PAGE_MS);
      return;
    }
    for (const answer of this.#directory.set.answer(frame)) this.#send(link.nk, answer);
  }

  #sync(now: Instant, link: MeshLink): void {
    link.syncAt = later(now, link.syncMs * (0.75 + this.#options.random() / 2));
    link.syncMs = Math.min(SYNC_MAX_MS, link.syncMs * 2);
    this.#send(link.nk, this.#directory.set.summary());
  }

  #activateIfReady(now: Instant, link: MeshLink): void {
    if (!isUsable(link)) return;
    // One conversation serves both sides.
    if (link.isOutbound) this.#sync(now, link);
    this.#rooms.handleLinkUp(now, link.nk);
  }

  #keepLinks(now: Instant): void {
    const { hangUps, dials } = this.#policy.decide(
      now,
      this.#links.values(),
      this.#directory.alive(),
      this.#rooms.wantedLinks(),
      this.#changedAt !== null && now - this.#changedAt < QUIET_MS,
    );
    for (const { nk, reason } of hangUps) this.#hangUp(nk, reason, false);
    for (const target of dials) this.#outputs.push({ type: 'dial', target });
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
        // No link and no answer: its members are gone. With a link it may only be its UDP that is too busy.
        if (!this.#links.has(output.nk)) this.#rooms.handleRelaySuspect(now, output.nk);
        for (const [nk, link] of this.#links)
          if (link.isReady) this.#send(nk, { type: 'suspect', relays: [output.nk] });
        return;
      case 'dead':
        this.#rooms.handleRelayDead(now, output.nk);
        if (this.#links.has(output.nk)) this.#hangUp(output.nk, 'dead', false);
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
      return origin === 'hello' ? this.#hangUp(record.nk, `badRecord.${reason}`, true) : undefined;
    // An older record of a relay that is known is as good a proof.
    if (verdict !== 'taken' && !this.#directory.isAlive(record.nk)) return;
    if (link.isReady) return;
    link.isReady = true;
    this.#applyChanges(now);
    this.#send(record.nk, { type: 'ready' });
    this.#activateIfReady(now, link);
  }

  /** The relays that are known are others now. */
  #applyChanges(now: Instant): void {
    if (!this.#hasChanged) return;
    this.#hasChanged = false;
    this.#changedAt = now;
    this.#rooms.setRelays(now, [this.#record, ...this.#directory.alive()]);
    this.#outputs.push({ type: 'save' });
  }

  #send(nk: string, frame: MeshFrame): void {
    if (!this.#links.has(nk)) return;
    const text = encodeMeshFrame(frame);
    this.traffic.count(purposeOf(frame), 'out', text.length);
    this.#outputs.push({ type: 'frame', to: nk, text });
  }

  #hangUp(nk: string, reason: string, isBan: boolean): void {
    this.drops.count(`mesh.link.${reason}`);
    const link = this.#links.get(nk);
    if (link !== undefined) link.isEnding = true;
    this.#outputs.push({ type: 'hangUp', nk, reason, isBan });
  }

  #strike(now: Instant, link: MeshLink, reason: string): void {
    this.drops.count(reason);
    if (!link.budgets.strikes.take(now)) this.#hangUp(link.nk, 'tooManyErrors', true);
  }
}
