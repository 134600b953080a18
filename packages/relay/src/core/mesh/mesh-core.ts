import {
  DropCounters,
  Fifo,
  type Instant,
  type SyncCrypto,
  TokenBucket,
  addressPrefix,
  dropOldest,
  fromBase64Url,
  isCanonicalIp,
  later,
  scopeOf,
  toBase64Url,
} from '@lumamesh/base';
import { LIMITS, Rendezvous, type SignedRelayRecord } from '@lumamesh/protocol';
import type { RoomsElsewhere } from '../rooms-elsewhere.ts';
import { type DialTarget, LinkPolicy } from './link-policy.ts';
import {
  MESH_LIMITS,
  MESH_VERSION,
  type MeshFrame,
  type RoomFrame,
  type SyncFrame,
  carriedBytes,
  decodeMeshFrame,
  encodeMeshFrame,
} from './mesh-frame.ts';
import {
  type CheckResult,
  type DirectoryOutput,
  RelayDirectory,
  isSameEndpoint,
} from './relay-directory.ts';
import { MeshTraffic, purposeOf } from './mesh-traffic.ts';
import { RoomNetwork, type RoomNetworkOutput } from './room-network.ts';

export interface MeshCoreOptions {
  /** This relay's record; `mesh` is set in it. */
  readonly record: SignedRelayRecord;
  readonly mesh: string;
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  readonly maxRoomSize: number;
  readonly hash: SyncCrypto['hash'];
  readonly verify: (record: SignedRelayRecord) => boolean;
  /** Ed25519 with this relay's node key, and with another's. */
  readonly sign: (data: Uint8Array) => Uint8Array;
  readonly verifyBy: (nk: string, data: Uint8Array, signature: Uint8Array) => boolean;
  /** Where the counters of carried frames begin: higher than those of any earlier run, such as the time in microseconds. */
  readonly firstCounter: number;
  /** A number in [0, 1). */
  readonly random: () => number;
}

export type MeshOutput =
  | { readonly type: 'frame'; readonly to: string; readonly text: string }
  | { readonly type: 'dial'; readonly target: DialTarget }
  | {
      readonly type: 'hangUp';
      readonly nk: string;
      readonly reason: string;
      readonly isBan: boolean;
    }
  /** To all, by gossip. */
  | { readonly type: 'publish'; readonly record: SignedRelayRecord }
  /** What a gossiped record under this id is worth. */
  | {
      readonly type: 'verdict';
      readonly id: string;
      readonly verdict: 'accept' | 'ignore' | 'reject';
    }
  | { readonly type: 'check'; readonly id: string; readonly record: SignedRelayRecord }
  | Extract<RoomNetworkOutput, { readonly type: 'present' | 'absent' | 'signal' }>
  /** A relay kept a link for a while and never said that our record answers: it cannot reach us over UDP, or has no place for us. */
  | { readonly type: 'unproven'; readonly nk: string }
  /** Worth writing to disk. */
  | { readonly type: 'save' }
  /** Our own record, newer than ours: of this very place (our clock went back), or of another relay with our key. */
  | {
      readonly type: 'ownRecord';
      readonly record: SignedRelayRecord;
      readonly isElsewhere: boolean;
    }
  | { readonly type: 'timeout'; readonly at: Instant | null };

interface Link {
  readonly isOutbound: boolean;
  readonly strikes: TokenBucket;
  readonly syncs: TokenBucket;
  readonly doubts: TokenBucket;
  readonly hellos: TokenBucket;
  /** Rooms in hints. */
  readonly hints: TokenBucket;
  readonly address: string;
  readonly openedAt: Instant;
  /** The record in their hello. */
  recordId: string | null;
  /** Their record answered, and we said so. */
  isReady: boolean;
  /** They said so of ours. */
  isReadyThere: boolean;
  syncAt: Instant;
  syncMs: number;
}

const TICK_MS = 250;
/** A relay that could check our record would have said so by now. */
const UNPROVEN_MS = 20_000;
/** No relay has come or gone for this long. */
const QUIET_MS = 1500;
const STRIKES_BURST = 10;
const STRIKES_PER_SECOND = 0.1;
const SYNCS_PER_SECOND = 5;
const SYNCS_BURST = 40;
/** Each one may cost a check. */
const DOUBTS_PER_SECOND = 1;
const DOUBTS_BURST = 64;
/** Each one may cost a check. */
const HELLOS_PER_SECOND = 1 / 60;
const HELLOS_BURST = 3;
/** Rooms that one relay may hint or take back; ten thousand at once is a relay that has just started. */
const HINTS_PER_SECOND = 200;
const HINTS_BURST = 25_000;
/** Relays whose carried frames are told from replays. */
const MAX_COUNTERS = 4096;
/** Sets are compared when a link comes up, once more when gossip has had time to begin on it, and rarely afterwards. */
const SYNC_FIRST_MS = 3000;
/** A full page of records has others behind it. */
const SYNC_NEXT_PAGE_MS = 300;
const SYNC_MAX_MS = 120_000;
/** The room network looks after itself every second tick. */
const ROOM_TICK_MS = 500;
/** Of the records in one `nodes` answer. */
const MAX_NODES_BYTES = LIMITS.maxFrameBytes - 256;
const CURSOR = /^([A-Za-z0-9_-]{8})\.(\d{1,5})$/;

/**
 * The mesh without its sockets: who is in it ({@link RelayDirectory}), whom to be linked to ({@link LinkPolicy}), and which rooms reach beyond this
 * relay ({@link RoomNetwork}). Machine contract: told of links, frames, gossip and time, drained with {@link MeshCore.poll}.
 *
 * ```
 * link up ──► hello ──► (their record is dialled) ──► ready ──► summary … records, hints, rooms
 * ```
 */
export class MeshCore implements RoomsElsewhere {
  readonly drops = new DropCounters();
  readonly traffic = new MeshTraffic();
  readonly #options: MeshCoreOptions;
  readonly #directory: RelayDirectory;
  readonly #policy: LinkPolicy;
  readonly #rooms: RoomNetwork;
  readonly #links = new Map<string, Link>();
  readonly #outputs = new Fifo<MeshOutput>();
  /** The last counter of each relay whose frames others carried here. */
  readonly #counters = new Map<string, number>();
  #counter: number;
  #record: SignedRelayRecord;
  /** All relays that may be told of; made when it is first asked for after a change. */
  #nodes: Rendezvous<SignedRelayRecord> | null = null;
  #hasChanged = true;
  #changedAt: Instant | null = null;
  #tickAt: Instant | null = null;
  #roomTickAt: Instant | null = null;

  constructor(options: MeshCoreOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#counter = options.firstCounter;
    const { nk } = options.record;
    const { mesh, hash, verify, random } = options;
    this.#directory = new RelayDirectory({
      nk,
      mesh,
      ownScope: scopeOf(options.record.ip),
      hash,
      verify,
      random,
    });
    this.#directory.setOwn(options.record);
    this.#policy = new LinkPolicy({ nk, peers: options.peers, random });
    this.#rooms = new RoomNetwork({
      nk,
      maxRemoteMembers: options.maxRoomSize,
      hash,
      random,
      isLinked: (other) => this.#isUsable(other),
    });
  }

  /** `proven` relays have shown a record that answers; `accepted` are those to which this one has. */
  get links(): LinkPolicy['counts'] & { readonly accepted: number } {
    return {
      ...this.#policy.counts,
      accepted: [...this.#links.values()].filter(({ isReadyThere }) => isReadyThere).length,
    };
  }

  /** A new record of this relay: told to all. */
  setRecord(record: SignedRelayRecord): void {
    this.#record = record;
    this.#directory.setOwn(record);
    this.#hasChanged = true;
    this.#nodes = null;
    this.#outputs.push({ type: 'publish', record });
  }

  /** What the operator has changed: places to dial, and the size of rooms. */
  setLimits({ peers, maxRoomSize }: Pick<MeshCoreOptions, 'peers' | 'maxRoomSize'>): void {
    this.#policy.setPeers(peers);
    this.#rooms.setMaxRemoteMembers(maxRoomSize);
  }

  /** Records of earlier days: they are dialled like any others. */
  handleSaved(now: Instant, unixSeconds: number, records: readonly SignedRelayRecord[]): void {
    for (const record of records) this.#directory.offer(now, unixSeconds, record, 'file', '');
    this.#drainDirectory(now);
  }

  /** Relays that answered when they were last asked. */
  known(): readonly SignedRelayRecord[] {
    return this.#directory.alive();
  }

  /** Relays worth remembering over a restart: those that answer, then those that did. */
  saved(): readonly SignedRelayRecord[] {
    return [...this.#directory.alive(), ...this.#directory.buried()];
  }

  handleLinkOpen(now: Instant, nk: string, isOutbound: boolean, address: string): void {
    const isAddress = isCanonicalIp(address);
    const isLocal = isAddress && scopeOf(address) !== 'public';
    this.#policy.handleOpen(now, nk, {
      isOutbound,
      prefix: isAddress ? addressPrefix(address) : '',
      isLocal,
    });
    this.#links.set(nk, {
      isOutbound,
      strikes: new TokenBucket(STRIKES_PER_SECOND, STRIKES_BURST),
      syncs: new TokenBucket(SYNCS_PER_SECOND, SYNCS_BURST),
      doubts: new TokenBucket(DOUBTS_PER_SECOND, DOUBTS_BURST),
      hellos: new TokenBucket(HELLOS_PER_SECOND, HELLOS_BURST),
      hints: new TokenBucket(HINTS_PER_SECOND, HINTS_BURST),
      address,
      openedAt: now,
      recordId: null,
      isReady: false,
      isReadyThere: false,
      syncAt: later(now, SYNC_FIRST_MS),
      syncMs: SYNC_FIRST_MS,
    });
    this.#send(nk, { type: 'hello', version: MESH_VERSION, record: this.#record });
  }

  handleLinkClosed(now: Instant, nk: string): void {
    const link = this.#links.get(nk);
    if (link === undefined) return;
    this.#links.delete(nk);
    if (!link.isReadyThere && now - link.openedAt > UNPROVEN_MS)
      this.#outputs.push({ type: 'unproven', nk });
    this.#policy.handleClosed(nk);
    this.#rooms.handleLinkDown(now, nk);
    // A relay that went away without a word is asked whether it is still there.
    this.#directory.doubt(now, nk);
    this.#tickAt = now;
  }

  handleDialed(now: Instant, target: DialTarget, nk: string | null): void {
    this.#policy.handleDialed(now, target, nk);
  }

  /** @param unixSeconds the time of day */
  handleFrame(now: Instant, unixSeconds: number, nk: string, text: string): void {
    const link = this.#links.get(nk);
    if (link === undefined) return;
    const frame = decodeMeshFrame(text);
    // What a later version says is no mistake.
    if (!frame.ok)
      return frame.drop === 'mesh.frame.type'
        ? this.drops.count(frame.drop)
        : this.#strike(now, nk, link, frame.drop);
    this.traffic.count(purposeOf(frame.value), 'in', text.length);
    this.#handleMeshFrame(now, unixSeconds, nk, link, frame.value);
    this.#drainDirectory(now);
  }

  /** A record heard by gossip; its `verdict` comes under the id answered. */
  handleGossip(
    now: Instant,
    unixSeconds: number,
    from: string,
    record: SignedRelayRecord,
    bytes: number,
  ): string {
    this.traffic.count('records', 'in', bytes);
    const id = this.#directory.offer(now, unixSeconds, record, 'gossip', from);
    this.#drainDirectory(now);
    return id;
  }

  handleChecked(now: Instant, id: string, result: CheckResult): void {
    this.#directory.handleChecked(now, id, result);
    this.#drainDirectory(now);
  }

  handleTimeout(now: Instant, unixSeconds: number): void {
    if (this.#tickAt !== null && now < this.#tickAt) return;
    this.#tickAt = later(now, TICK_MS);
    this.traffic.handleTimeout(now);
    this.#directory.handleTimeout(now, unixSeconds);
    this.#drainDirectory(now);
    this.#applyChanges(now);
    if (this.#roomTickAt === null || now >= this.#roomTickAt) {
      this.#roomTickAt = later(now, ROOM_TICK_MS);
      this.#rooms.handleTimeout(now);
    }
    const isRestless = this.#changedAt !== null && now - this.#changedAt < QUIET_MS;
    for (const output of this.#policy.decide(
      now,
      this.#directory.alive(),
      this.#rooms.wantedLinks(),
      isRestless,
    )) {
      if (output.type === 'hangUp') this.#hangUp(output.nk, output.reason, false);
      else this.#outputs.push(output);
    }
    for (const [nk, link] of this.#links)
      if (link.isReady && link.isReadyThere && link.syncAt <= now) this.#sync(now, nk, link);
  }

  poll(): MeshOutput {
    for (let output = this.#rooms.poll(); output !== null; output = this.#rooms.poll()) {
      if (output.type === 'send') this.#send(output.to, output.frame);
      else if (output.type === 'carry') this.#carry(output.by, output.to, output.frame);
      else this.#outputs.push(output);
    }
    return this.#outputs.shift() ?? { type: 'timeout', at: this.#tickAt };
  }

  handleLocalPresent(now: Instant, room: string, peer: string, presence: string): void {
    this.#rooms.handleLocalPresent(now, room, peer, presence);
  }

  handleLocalAbsent(room: string, peer: string): void {
    this.#rooms.handleLocalAbsent(room, peer);
  }

  membersOf(room: string): ReturnType<RoomNetwork['membersOf']> {
    return this.#rooms.membersOf(room);
  }

  has(room: string, peer: string): boolean {
    return this.#rooms.has(room, peer);
  }

  sendSignal(room: string, from: string, to: string, data: string): boolean {
    return this.#rooms.sendSignal(room, from, to, data);
  }

  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#rooms.homesOf(room).filter(({ nk }) => nk !== this.#record.nk);
  }

  /**
   * A random sample: one relay of each address prefix before a second of any. The cursor names the sample and how far it has been told, so pages of one
   * sample hold each relay once, and nothing is kept of them here.
   */
  nodes(
    limit: number,
    after: string,
  ): { readonly nodes: readonly SignedRelayRecord[]; readonly next?: string } {
    const [, seed = randomText(this.#options.random), offsetText = '0'] = CURSOR.exec(after) ?? [];
    const offset = Number(offsetText);
    if (offset > this.#directory.size) return { nodes: [] };
    this.#nodes ??= new Rendezvous([this.#record, ...this.#directory.alive()]);
    const nodes: SignedRelayRecord[] = [];
    let bytes = 0;
    for (const record of this.#nodes.rank(seed, offset + limit).slice(offset)) {
      bytes += JSON.stringify(record).length + 1;
      if (bytes > MAX_NODES_BYTES) break;
      nodes.push(record);
    }
    const end = offset + nodes.length;
    return end < this.#nodes.size && nodes.length > 0
      ? { nodes, next: `${seed}.${end}` }
      : { nodes };
  }

  // Its type is what it holds: readers take from it what they know.
  stats(now: Instant) {
    const { asHome, reported, remoteRelays } = this.#rooms.counts;
    const { hintsIn, hintsOut, signalsIn, signalsOut, carried } = this.#rooms.counters;
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
      hints: { in: hintsIn, out: hintsOut },
      signals: { in: signalsIn, out: signalsOut },
      framesCarried: carried,
      traffic: this.traffic.snapshot(),
      drops: {
        ...this.drops.snapshot(),
        ...this.#directory.drops.snapshot(),
        ...this.#rooms.drops.snapshot(),
      },
    };
  }

  #handleMeshFrame(
    now: Instant,
    unixSeconds: number,
    nk: string,
    link: Link,
    frame: MeshFrame,
  ): void {
    switch (frame.type) {
      case 'hello':
        return this.#handleHello(now, unixSeconds, nk, link, frame.record);
      case 'ready':
        if (link.isReadyThere) return;
        link.isReadyThere = true;
        return this.#handleMaybeUp(now, nk, link);
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
        return this.#handleSync(now, unixSeconds, nk, link, frame);
      case 'doubt':
        for (const doubted of frame.nodes) {
          if (!link.doubts.take(now)) return this.drops.count('mesh.doubt.tooMany');
          this.#directory.doubt(now, doubted);
        }
        return;
      case 'hints':
      case 'unhint':
        if (!link.hints.take(now, frame.rooms.length))
          return this.#hangUp(nk, 'tooManyHints', false);
        return this.#rooms.handleHintFrame(now, nk, frame);
      case 'holders':
        return this.#rooms.handleHintFrame(now, nk, frame);
      case 'via': {
        if (!this.#rooms.mayCarry(nk, frame.to, frame.frame.room) || !this.#isUsable(frame.to))
          return this.drops.count('mesh.via.noWay');
        const { to, ...carried } = frame;
        return this.#send(to, { ...carried, type: 'from', from: nk });
      }
      case 'from':
        return this.#handleCarried(now, nk, frame);
      default:
        return this.#rooms.handleRoomFrame(now, nk, frame);
    }
  }

  /** A frame that another relay carried here: its author has signed it, for us, and not before. */
  #handleCarried(
    now: Instant,
    carrier: string,
    { from, counter, text, signature, frame }: Extract<MeshFrame, { type: 'from' }>,
  ): void {
    const isKnown = this.#directory.get(from) !== null;
    if (!isKnown || counter <= (this.#counters.get(from) ?? -1))
      return this.drops.count(isKnown ? 'mesh.from.replayed' : 'mesh.from.unknown');
    const data = carriedBytes(from, this.#record.nk, counter, text);
    if (!this.#options.verifyBy(from, data, fromBase64Url(signature) ?? new Uint8Array(0)))
      return this.drops.count('mesh.from.forged');
    dropOldest(this.#counters, MAX_COUNTERS);
    this.#counters.delete(from);
    this.#counters.set(from, counter);
    this.#rooms.handleRoomFrame(now, from, frame, carrier);
  }

  #carry(by: string, to: string, frame: RoomFrame): void {
    this.#counter += 1;
    const text = JSON.stringify(frame);
    const signature = toBase64Url(
      this.#options.sign(carriedBytes(this.#record.nk, to, this.#counter, text)),
    );
    this.#send(by, { type: 'via', to, counter: this.#counter, text, signature, frame });
  }

  #handleHello(
    now: Instant,
    unixSeconds: number,
    nk: string,
    link: Link,
    record: SignedRelayRecord,
  ): void {
    // The link has proven the key; a record of another key would be somebody else's.
    if (record.nk !== nk || record.mesh !== this.#options.mesh)
      return this.#hangUp(nk, 'badHello', true);
    if (!link.hellos.take(now)) return this.drops.count('mesh.hello.tooOften');
    link.recordId = this.#directory.offer(now, unixSeconds, record, 'hello', nk, link.address);
  }

  #handleSync(now: Instant, unixSeconds: number, nk: string, link: Link, frame: SyncFrame): void {
    if (!link.syncs.take(now)) return this.#strike(now, nk, link, 'mesh.sync.tooOften');
    if (frame.type === 'records') {
      for (const record of frame.records)
        this.#directory.offer(now, unixSeconds, record, 'sync', nk);
      if (frame.records.length >= MESH_LIMITS.maxRecords)
        link.syncAt = later(now, SYNC_NEXT_PAGE_MS);
      return;
    }
    for (const answer of this.#directory.set.answer(frame)) this.#send(nk, answer);
  }

  #sync(now: Instant, nk: string, link: Link): void {
    link.syncAt = later(now, link.syncMs * (0.75 + this.#options.random() / 2));
    link.syncMs = Math.min(SYNC_MAX_MS, link.syncMs * 2);
    this.#send(nk, this.#directory.set.summary());
  }

  #handleMaybeUp(now: Instant, nk: string, link: Link): void {
    if (!link.isReady || !link.isReadyThere) return;
    // One conversation serves both sides.
    if (link.isOutbound) this.#sync(now, nk, link);
    this.#rooms.handleLinkUp(now, nk);
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
        this.#nodes = null;
        return;
      case 'doubted':
        // No link and no answer: its members are gone. With a link it may only be its UDP that is too busy.
        if (!this.#links.has(output.nk)) this.#rooms.handleRelayDoubted(now, output.nk);
        for (const [nk, link] of this.#links)
          if (link.isReady) this.#send(nk, { type: 'doubt', nodes: [output.nk] });
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
    this.#policy.handleProven(record.nk);
    this.#send(record.nk, { type: 'ready' });
    this.#handleMaybeUp(now, record.nk, link);
  }

  /** The relays that are known are others now. */
  #applyChanges(now: Instant): void {
    if (!this.#hasChanged) return;
    this.#hasChanged = false;
    this.#changedAt = now;
    this.#rooms.setRelays(now, [this.#record, ...this.#directory.alive()]);
    this.#outputs.push({ type: 'save' });
  }

  #isUsable(nk: string): boolean {
    const link = this.#links.get(nk);
    return link !== undefined && link.isReady && link.isReadyThere;
  }

  #send(nk: string, frame: MeshFrame): void {
    if (!this.#links.has(nk)) return;
    const text = encodeMeshFrame(frame);
    this.traffic.count(purposeOf(frame), 'out', text.length);
    this.#outputs.push({ type: 'frame', to: nk, text });
  }

  #hangUp(nk: string, reason: string, isBan: boolean): void {
    this.drops.count(`mesh.link.${reason}`);
    this.#outputs.push({ type: 'hangUp', nk, reason, isBan });
  }

  #strike(now: Instant, nk: string, link: Link, reason: string): void {
    this.drops.count(reason);
    if (!link.strikes.take(now)) this.#hangUp(nk, 'tooManyErrors', true);
  }
}

function randomText(random: () => number): string {
  return toBase64Url(Uint8Array.from({ length: 6 }, () => Math.floor(random() * 256)));
}
