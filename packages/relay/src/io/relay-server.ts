import type { Source } from '@lumamesh/transport';
import { LIMITS, LUMAMESH_CHANNEL, type SignedRelayRecord, isOpenToAll } from '@lumamesh/protocol';
import {
  DEFAULT_SESSION_LIMITS,
  type SessionEvent,
  type SessionId,
  type SessionLimits,
} from '@lumamesh/transport';
import {
  type IoPath,
  RECEIVE_BUFFER_BYTES,
  UdpEndpoint,
  chooseIoPath,
  rivalAddresses,
  warmUp,
} from '@lumamesh/transport/io';
import { RelayCore } from '../core/relay-core.ts';
import type { RelayCounters } from '../core/relay-output.ts';
import { accessTokens } from './access-tokens.ts';
import { type RelayConfig, reloadable } from './config/config.ts';
import { type Identity, identityFiles, loadIdentity } from './identity.ts';
import { joinProofs } from './join-proofs.ts';
import { type SelfCheck, checkSelf } from './health/self-check.ts';
import type { Logger } from './log.ts';
import { MeshLife } from './mesh-life.ts';
import type { MeshEvent } from './mesh/mesh-server.ts';
import { loadMesh, setUpMesh } from './mesh-setup.ts';
import { MonthlyWatch } from './monthly-watch.ts';
import { dialBack } from './outside/dial-back.ts';
import { readHelpers } from './outside/helpers.ts';
import { publishedRecord, warnOfExpiry } from './outside/published.ts';
import { NOT_LOOKED_AT, type OutsideStats, OutsideWatch } from './outside/outside-watch.ts';
import { OwnRecord } from './own-record.ts';
import {
  coreLimits,
  endpointLimits,
  forwardingRate,
  maxHeldBytes,
  tcpLimits,
  turnLimits,
} from './relay-limits.ts';
import { extraStats, operatorOf, readTotal } from './extra-stats.ts';
import { Resting } from './resting.ts';
import { RelaySessions } from './relay-sessions.ts';
import { MachineWatch } from './service/machine-watch.ts';
import { securityOptions } from './security-options.ts';
import { type RelayStats, readMemory } from './relay-stats.ts';

/** About 0.2 s: enough for the compiler to have seen what matters. */
const WARM_UP_ROUNDS = 150;
/** Events of sessions that come while the rest of the relay is still being made. */
const MAX_EARLY_EVENTS = 1024;
/** What sessions have to go elsewhere before the relay rests. */
const REST_AFTER_MS = 3000;
/** Settings that a running relay takes over, and that its record says. */
const IN_RECORD = ['publicIp', 'publicIp6', 'publicHost', 'nickname', 'contact'] as const;
const MAX_MESH_HELPERS = 16;
const NO_COUNTERS: RelayCounters = {
  joins: 0,
  signals: 0,
  errors: 0,
  accessDenied: 0,
  dialBacks: { reached: 0, unreached: 0, unknown: 0 },
};
const SESSION_LIMITS: SessionLimits = {
  ...DEFAULT_SESSION_LIMITS,
  maxMessageBytes: LIMITS.maxFrameBytes,
  maxChannels: 4,
};

/** What tells whether a relay does its work. */
export interface RelayCondition {
  readonly isClosing: boolean;
  /** Since another relay was last seen that runs with the same key. */
  readonly conflictAgeMs: number | null;
  /** Links to other relays, where there are some to be linked to. */
  readonly meshLinks: number | null;
  /** Whether relays that were asked to dial it have found nobody. */
  readonly isUnreached: boolean;
  /** Whether the traffic of the month is used. */
  readonly isResting: boolean;
  /** What is wrong with the machine it runs on. */
  readonly machine: readonly string[];
}

/** A running relay: its sessions, its record, and the mesh where there is one. */
export class RelayServer {
  readonly identity: Identity;
  #config: RelayConfig;
  readonly #log: Logger;
  readonly #io: IoPath;
  readonly #startedAtMs = Date.now();
  #core: RelayCore<SessionId> | null = null;
  #sessions: RelaySessions | null = null;
  #udp: UdpEndpoint | null = null;
  #ownRecord: OwnRecord | null = null;
  #mesh: MeshLife | null = null;
  #monthly: MonthlyWatch | null = null;
  #resting: Resting | null = null;
  #outside: OutsideWatch | null = null;
  #machine: MachineWatch | null = null;
  /** Its line in the public list that came with this program. */
  readonly #published: SignedRelayRecord | null;
  #isClosing = false;

  private constructor(config: RelayConfig, identity: Identity, log: Logger) {
    this.#config = config;
    this.identity = identity;
    this.#log = log;
    this.#published = publishedRecord(identity.nk);
    this.#io = chooseIoPath(config.nativeIo);
  }

  /**
   * Reads or makes the identity (where none is given), binds, and warms up unless that is done. Rejects with
   * LumameshErrors that say what is wrong with files or port.
   */
  static async start(
    config: RelayConfig,
    log: Logger,
    given?: Identity,
    isPrepared = false,
  ): Promise<RelayServer> {
    const identity = given ?? (await loadIdentity(identityFiles(config)));
    const server = new RelayServer(config, identity, log);
    await server.#listen();
    if (!isPrepared) void server.#warmUp();
    return server;
  }

  /** Does beforehand what takes time at a start: `start` is then a matter of milliseconds. */
  static async prepare(config: RelayConfig, identity: Identity): Promise<void> {
    const { crypto } = chooseIoPath(config.nativeIo);
    await warmUp(crypto, identity.certificate, WARM_UP_ROUNDS);
    if (config.meshSalt !== undefined) await loadMesh();
  }

  async #warmUp(): Promise<void> {
    await warmUp(this.#io.crypto, this.identity.certificate, WARM_UP_ROUNDS);
  }

  get record(): SignedRelayRecord {
    if (this.#ownRecord === null) throw new Error('the relay has not started');
    return this.#ownRecord.current;
  }

  get isDualStack(): boolean {
    return this.#udp?.socket.isDualStack ?? false;
  }

  /** Whether its UDP port answers this machine itself. */
  async checkSelf(timeoutMs: number): Promise<SelfCheck> {
    const udp = this.#udp;
    if (udp === null) return 'unanswered';
    const address = this.#config.listenIp ?? '127.0.0.1';
    return checkSelf(udp, { address, port: udp.socket.port }, timeoutMs);
  }

  /** What tells whether it does its work: see `judgeHealth`. */
  get condition(): RelayCondition {
    const hasPeers = (this.#config.meshPeers ?? []).length > 0;
    const isResting = this.#monthly?.isResting ?? false;
    return {
      isClosing: this.#isClosing,
      isResting,
      conflictAgeMs: this.#ownRecord?.conflictAgeMs ?? null,
      meshLinks: hasPeers ? (this.#mesh?.server?.acceptedLinks ?? null) : null,
      isUnreached: !isResting && this.outside.verdict === 'unreached',
      machine: this.#machine?.reasons ?? [],
    };
  }

  /** Whether anybody gets in from outside. */
  get outside(): OutsideStats {
    return this.#outside?.stats ?? NOT_LOOKED_AT;
  }

  /** What /statsz tells: no addresses of users, no room ids. */
  stats(): RelayStats {
    const counts = this.#udp?.endpoint.counts ?? { sessions: 0, halfOpen: 0 };
    const rooms = this.#core?.counts ?? { sessions: 0, rooms: 0, members: 0 };
    const mesh = this.#mesh?.server ?? undefined;
    const monthly = this.#monthly?.stats;
    const { joins, signals, errors, accessDenied, dialBacks } = this.#core?.counters ?? NO_COUNTERS;
    const { tokens, waiting } = this.#core?.access ?? { tokens: null, waiting: 0 };
    return {
      nodeId: this.identity.nk,
      uptimeSeconds: Math.floor((Date.now() - this.#startedAtMs) / 1000),
      io: { name: this.#io.name, reason: this.#io.reason },
      sessions: {
        established: counts.sessions - counts.halfOpen,
        halfOpen: counts.halfOpen,
        max: this.#config.maxSessions,
      },
      handshakes: this.#sessions?.handshakes ?? {},
      rooms: { rooms: rooms.rooms, members: rooms.members },
      joins,
      signals,
      errors,
      outside: this.outside,
      record: {
        expires: this.#ownRecord?.current.expires ?? 0,
        ...operatorOf(this.#config),
        published: this.#published?.expires ?? null,
      },
      dialBacks: { ...dialBacks },
      traffic: this.#udp?.traffic ?? {
        datagramsIn: 0,
        datagramsOut: 0,
        bytesIn: 0,
        bytesOut: 0,
        sendErrors: 0,
      },
      drops: { ...this.#udp?.endpoint.drops.snapshot(), ...this.#core?.drops.snapshot() },
      memory: {
        ...readMemory(),
        heldBytes: this.#udp?.endpoint.heldBytes ?? 0,
        maxHeldBytes: maxHeldBytes(this.#config),
      },
      ...extraStats(this.#udp, forwardingRate(this.#config)),
      ...(tokens === null ? {} : { access: { tokens, waiting, denied: accessDenied } }),
      ...(monthly === undefined ? {} : { monthly }),
      ...(mesh === undefined
        ? {}
        : { mesh: { ...mesh.stats(), identityConflicts: this.#ownRecord?.conflicts ?? 0 } }),
    };
  }

  /**
   * Takes over those settings that a running relay can: limits, peers, addresses
   * (docs/operations.md). The file of relays is read again.
   */
  async reload(config: RelayConfig): Promise<void> {
    const before = this.#config;
    const next = { ...before, ...reloadable(config) };
    const isPrivate = next.accessTokens !== undefined;
    const isOther =
      IN_RECORD.some((name) => config[name] !== before[name]) ||
      isPrivate !== (before.accessTokens !== undefined);
    // What may fail comes first.
    const record = isOther ? ((await this.#ownRecord?.draft(next)) ?? null) : null;
    this.#config = next;
    this.#core?.setLimits(coreLimits(next));
    this.#udp?.endpoint.setLimits(endpointLimits(next));
    this.#ownRecord?.adopt(next, record);
    // The record comes first: who is turned away for it, or let in, hears the new one.
    const access = accessTokens(next.accessTokens, this.identity);
    this.#sessions?.drive((core) => core.setAccess(access));
    this.#outside?.recheck();
    this.#monthly?.look();
    await this.#reloadMesh();
  }

  /**
   * Tells all sessions to go on elsewhere, and waits until they have gone.
   * @returns How many are left after `timeoutMs`.
   */
  async moveSessionsOn(timeoutMs: number): Promise<number> {
    this.#isClosing = true;
    return (await this.#sessions?.moveOn(timeoutMs)) ?? 0;
  }

  /**
   * Tells all sessions to come back at once to the process that takes over, which they meet as soon
   * as this one is closed: strangers are left to ask again until then.
   * @returns How many are left after `timeoutMs`.
   */
  async handSessionsOver(timeoutMs: number): Promise<number> {
    this.#isClosing = true;
    this.#udp?.endpoint.setResting(true);
    return (await this.#sessions?.moveOn(timeoutMs, true)) ?? 0;
  }

  /** Says goodbye to everyone and closes the socket. */
  async close(): Promise<void> {
    this.#resting?.stop();
    this.#outside?.stop();
    this.#machine?.stop();
    this.#ownRecord?.stop();
    this.#sessions?.stop();
    // The goodbyes are not in it: what the mesh has counted goes with it.
    await this.#monthly?.stop();
    await this.#mesh?.stop();
    await this.#udp?.close();
  }

  async #listen(): Promise<void> {
    const { udpPort, listenIp, reachabilityRelays, maxBandwidth } = this.#config;
    const helpers = readHelpers(reachabilityRelays, Date.now());
    const { name, reason } = this.#io;
    if (name === 'node') this.#log.info({ reason }, 'the relay runs without native I/O');
    const early: [SessionId, SessionEvent][] = [];
    const turn = turnLimits(this.#config);
    const tcp = tcpLimits(this.#config);
    const udp = await UdpEndpoint.start({
      crypto: this.#io.crypto,
      native: this.#io.udp,
      port: udpPort,
      ...(listenIp === undefined ? { ownAddresses: rivalAddresses() } : { address: listenIp }),
      ice: { ufrag: this.#config.iceUfrag, password: this.identity.icePassword },
      certificate: this.identity.certificate,
      requestClientCertificate: false,
      security: securityOptions(this.#config),
      negotiatedChannels: [LUMAMESH_CHANNEL],
      limits: endpointLimits(this.#config),
      sessionLimits: SESSION_LIMITS,
      ...(turn === null ? {} : { turn }),
      ...(tcp === null ? {} : { tcp }),
      ...(maxBandwidth === undefined ? {} : { maxBandwidth }),
      onEvent: (sessionId, event) => {
        if (this.#sessions !== null) this.#sessions.handleEvent(sessionId, event);
        else if (early.length < MAX_EARLY_EVENTS) early.push([sessionId, event]);
      },
    });
    this.#udp = udp;
    this.#monthly = await MonthlyWatch.start({
      file: `${this.#config.nodeKey}.traffic`,
      maxBytes: () => this.#config.monthlyTraffic,
      readTotal: () => readTotal(udp, this.#mesh),
      log: this.#log,
      onChange: (isResting) => void this.#resting?.set(isResting),
    });
    const ownRecord = await this.#openMesh(udp).catch(async (error: unknown) => {
      await this.close();
      throw error;
    });
    const queuedBytes = (session: SessionId): number => udp.endpoint.sendingBytes(session);
    const sourceOf = (session: SessionId): Source => udp.endpoint.sourceOf(session);
    const core = new RelayCore<SessionId>(
      {
        ...coreLimits(this.#config),
        queuedBytes,
        sourceOf,
        joinProofs,
        access: accessTokens(this.#config.accessTokens, this.identity),
        ...(udp.turn === null ? {} : { turn: udp.turn }),
      },
      ownRecord.current,
      this.#mesh ?? undefined,
    );
    this.#core = core;
    const sessions = new RelaySessions({
      udp,
      core,
      log: this.#log,
      logsFullAddresses: () => this.#config.logAddresses === 'full',
      logsAbuse: () => this.#config.abuseLog === 'on',
      onLocalRooms: (event) => this.#mesh?.server?.handleLocalRooms(event),
      dialBack,
      onOpened: (address) => this.#outside?.handleSession(address),
    });
    this.#sessions = sessions;
    for (const [session, event] of early) sessions.handleEvent(session, event);
    ownRecord.startRenewing();
    const outside = this.#watchOutside(ownRecord, helpers);
    this.#resting = new Resting({
      udp,
      core,
      sessions,
      outside,
      log: this.#log,
      moveOnMs: REST_AFTER_MS,
      leaveMesh: async () => this.#mesh?.stop(),
      enterMesh: async () => {
        await this.#mesh?.start(ownRecord.current);
        await this.#reloadMesh();
      },
    });
    void this.#resting.set(this.#monthly.isResting);
    warnOfExpiry(this.#published, this.#log);
    this.#machine = new MachineWatch(() => this.#config, this.#log);
    const { receiveBufferBytes } = udp.socket;
    if (receiveBufferBytes < RECEIVE_BUFFER_BYTES) {
      this.#log.warn(
        { receiveBufferBytes, wanted: RECEIVE_BUFFER_BYTES },
        'the kernel gave a small UDP receive buffer: bursts will lose datagrams; raise net.core.rmem_max',
      );
    }
  }

  /**
   * Signs the record, which says what of the mesh can be reached, and starts the mesh where there
   * is one.
   */
  async #openMesh({ socket: { port }, tcp }: UdpEndpoint): Promise<OwnRecord> {
    const setup = await setUpMesh(this.#config, this.identity, this.#log);
    const ownRecord = await OwnRecord.make(
      this.#config,
      this.identity,
      { port, ...(tcp === null ? {} : { tcpPort: tcp.port }), ...setup?.place },
      this.#log,
      (record) => {
        this.#core?.setRecord(record);
        this.#mesh?.server?.setRecord(record);
        this.#outside?.handleRecord(record);
        // Every day: what was published does not renew itself.
        warnOfExpiry(this.#published, this.#log);
      },
    );
    this.#ownRecord = ownRecord;
    if (setup !== null) {
      this.#mesh = new MeshLife(setup, (event) => this.#handleMeshEvent(ownRecord, event));
      if (this.#monthly?.isResting !== true) await this.#mesh.start(ownRecord.current);
    }
    return ownRecord;
  }

  /** What the operator has changed. */
  async #reloadMesh(): Promise<void> {
    const { meshPeers, maxRoomSize } = this.#config;
    await this.#mesh?.server?.reload({ peers: meshPeers ?? [], maxRoomSize });
  }

  /** Relays of the list are asked first; those of the mesh, whom anybody may run, where it has none. */
  #watchOutside(ownRecord: OwnRecord, listed: readonly SignedRelayRecord[]): OutsideWatch {
    const isOff = this.#config.reachabilityRelays === 'off';
    const ofMesh = (): readonly SignedRelayRecord[] =>
      isOff ? [] : (this.#mesh?.nodes(MAX_MESH_HELPERS, '').nodes ?? []);
    const outside = new OutsideWatch({
      log: this.#log,
      record: () => ownRecord.current,
      // A private one dials nobody back that it does not know.
      helpers: () => (listed.length > 0 ? listed : ofMesh()).filter(isOpenToAll),
      listenIp: this.#config.listenIp,
    });
    this.#outside = outside;
    outside.start();
    return outside;
  }

  #handleMeshEvent(ownRecord: OwnRecord, event: MeshEvent): void {
    switch (event.type) {
      case 'ownRecord':
        return ownRecord.handleNewer(event.record, event.isElsewhere);
      case 'unproven':
        return ownRecord.handleUnproven(event.nk);
      default:
        this.#sessions?.drive((core) => core.handleRemoteRooms(event));
    }
  }
}
