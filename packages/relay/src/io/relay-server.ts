import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { addressPrefix } from '@lumamesh/base';
import {
  CHANNEL_ID,
  CHANNEL_LABEL,
  LIMITS,
  LUMAMESH_CHANNEL,
  type SignedRelayRecord,
} from '@lumamesh/protocol';
import {
  DEFAULT_SESSION_LIMITS,
  type EndpointLimits,
  type SessionEvent,
  type SessionId,
  type SessionLimits,
} from '@lumamesh/transport';
import {
  RECEIVE_BUFFER_BYTES,
  UdpEndpoint,
  monotonicNow,
  nodeCrypto,
  warmUp,
} from '@lumamesh/transport/io';
import { RelayCore } from '../core/relay-core.ts';
import type { RelayConfig } from './config/config.ts';
import { type Identity, identityFiles, loadIdentity } from './identity.ts';
import type { Logger } from './log.ts';
import type { MeshEvent, MeshServer } from './mesh/mesh-server.ts';
import type { RelayStats } from './relay-stats.ts';
import { RECORD_RENEWAL_MS, type RecordPlace, makeRecord } from './record.ts';

/** About 0.2 s: enough for the compiler to have seen what matters. */
const WARM_UP_ROUNDS = 150;
/** Sessions beyond MAX_SESSIONS that may come up far enough to be told RELAY_FULL. */
const FULL_NOTICE_SESSIONS = 32;
/** Unproven handshakes up to which nobody is asked for a cookie: a burst of a few hundred browsers is an ordinary day. */
const MAX_COOKIE_THRESHOLD = 512;
const MIN_COOKIE_THRESHOLD = 16;

/** Events of sessions that come while the rest of the relay is still being made. */
const MAX_EARLY_EVENTS = 1024;
const UNPROVEN_NOTICE_MS = 10 * 60_000;
/** A salt that would be found by trying. */
const SHORT_SALT = 8;
const MOVE_ON_POLL_MS = 50;
/** Our record is signed anew at most this often when others show a newer one of ours. */
const MIN_RENEWAL_MS = 60_000;

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
}

/** A running relay: {@link RelayCore} on a {@link UdpEndpoint}. */
export class RelayServer {
  readonly identity: Identity;
  #config: RelayConfig;
  readonly #log: Logger;
  /** The channel a session talks on, where that is not the negotiated one. */
  readonly #channels = new Map<SessionId, number>();
  readonly #startedAtMs = Date.now();
  #core: RelayCore<SessionId> | null = null;
  #udp: UdpEndpoint | null = null;
  #record: SignedRelayRecord | null = null;
  #place: RecordPlace = { port: 0 };
  #mesh: MeshServer | null = null;
  readonly #early: [SessionId, SessionEvent][] = [];
  #renewedAtMs = 0;
  #identityConflicts = 0;
  #conflictAtMs: number | null = null;
  #unprovenAtMs: number | null = null;
  #isClosing = false;
  #renewal: NodeJS.Timeout | null = null;

  private constructor(config: RelayConfig, identity: Identity, log: Logger) {
    this.#config = config;
    this.identity = identity;
    this.#log = log;
  }

  /** Reads or makes the identity (where none is given), binds, and warms up. Throws LumameshErrors that say what is wrong with files or port. */
  static async start(config: RelayConfig, log: Logger, given?: Identity): Promise<RelayServer> {
    const identity = given ?? (await loadIdentity(identityFiles(config)));
    const server = new RelayServer(config, identity, log);
    await server.#listen();
    void warmUp(nodeCrypto, identity.certificate, WARM_UP_ROUNDS);
    return server;
  }

  get record(): SignedRelayRecord {
    if (this.#record === null) throw new Error('the relay has not started');
    return this.#record;
  }

  get isDualStack(): boolean {
    return this.#udp?.socket.isDualStack ?? false;
  }

  /** Where this machine itself reaches the relay. */
  get localAddress(): { readonly address: string; readonly port: number } {
    const { listenIp, udpPort } = this.#config;
    return { address: listenIp ?? '127.0.0.1', port: this.#udp?.socket.port ?? udpPort };
  }

  /** What tells whether it does its work: see `judgeHealth`. */
  get condition(): RelayCondition {
    const conflictAgeMs = this.#conflictAtMs === null ? null : Date.now() - this.#conflictAtMs;
    const hasPeers = (this.#config.meshPeers ?? []).length > 0;
    return {
      isClosing: this.#isClosing,
      conflictAgeMs,
      meshLinks: hasPeers ? (this.#mesh?.acceptedLinks ?? null) : null,
    };
  }

  /** What /statsz tells: no addresses of users, no room ids. */
  stats(): RelayStats {
    const counts = this.#udp?.endpoint.counts ?? { sessions: 0, halfOpen: 0 };
    const rooms = this.#core?.counts ?? { sessions: 0, rooms: 0, members: 0 };
    const { joins, signals, errors } = this.#core?.counters ?? { joins: 0, signals: 0, errors: 0 };
    return {
      nodeId: this.identity.nk,
      uptimeSeconds: Math.floor((Date.now() - this.#startedAtMs) / 1000),
      sessions: {
        established: counts.sessions - counts.halfOpen,
        halfOpen: counts.halfOpen,
        max: this.#config.maxSessions,
      },
      rooms: { rooms: rooms.rooms, members: rooms.members },
      joins,
      signals,
      errors,
      traffic: this.#udp?.traffic ?? {
        datagramsIn: 0,
        datagramsOut: 0,
        bytesIn: 0,
        bytesOut: 0,
        sendErrors: 0,
      },
      drops: { ...this.#udp?.endpoint.drops.snapshot(), ...this.#core?.drops.snapshot() },
      memory: readMemory(),
      ...(this.#mesh === null
        ? {}
        : { mesh: { ...this.#mesh.stats(), identityConflicts: this.#identityConflicts } }),
    };
  }

  /** Takes over those settings that a running relay can: limits, peers, addresses (docs/operations.md). The file of relays is read again. */
  async reload(config: RelayConfig): Promise<void> {
    const {
      publicIp,
      publicIp6,
      publicHost,
      meshPeers,
      maxSessions,
      maxRoomSize,
      maxMessagesPerSecond,
      logAddresses,
    } = config;
    const before = this.#config;
    const next = {
      ...before,
      publicIp,
      publicIp6,
      publicHost,
      meshPeers,
      maxSessions,
      maxRoomSize,
      maxMessagesPerSecond,
      logAddresses,
    };
    const isElsewhere =
      publicIp !== before.publicIp ||
      publicIp6 !== before.publicIp6 ||
      publicHost !== before.publicHost;
    // What may fail comes first.
    const record = isElsewhere ? await this.#makeRecord(next) : null;
    this.#config = next;
    this.#core?.setLimits({ maxSessions, maxRoomSize, messagesPerSecond: maxMessagesPerSecond });
    this.#udp?.endpoint.setLimits(endpointLimits(maxSessions));
    if (record !== null) this.#setRecord(record);
    await this.#mesh?.reload({ peers: meshPeers ?? [], maxRoomSize });
  }

  /** Tells all sessions to go on elsewhere, and waits until they have gone; answers how many are left after `timeoutMs`. */
  async moveSessionsOn(timeoutMs: number): Promise<number> {
    this.#isClosing = true;
    const core = this.#core;
    if (core === null) return 0;
    core.handleClosing();
    this.#drain(core);
    const endsAt = Date.now() + timeoutMs;
    while (core.counts.sessions > 0 && Date.now() < endsAt) await sleep(MOVE_ON_POLL_MS);
    return core.counts.sessions;
  }

  /** Says goodbye to everyone and closes the socket. */
  async close(): Promise<void> {
    if (this.#renewal !== null) clearInterval(this.#renewal);
    await this.#mesh?.close();
    await this.#udp?.close();
  }

  async #listen(): Promise<void> {
    const { maxSessions, maxRoomSize, udpPort, listenIp } = this.#config;
    const udp = await UdpEndpoint.start({
      crypto: nodeCrypto,
      port: udpPort,
      ...(listenIp === undefined ? {} : { address: listenIp }),
      ice: { ufrag: this.#config.iceUfrag, password: this.identity.icePassword },
      certificate: this.identity.certificate,
      requestClientCertificate: false,
      negotiatedChannels: [LUMAMESH_CHANNEL],
      limits: endpointLimits(maxSessions),
      sessionLimits: SESSION_LIMITS,
      onEvent: (sessionId, event) => this.#handleEvent(sessionId, event),
    });
    this.#udp = udp;
    this.#place = { port: udp.socket.port };
    try {
      await this.#startMesh();
      this.#record ??= await this.#makeRecord(this.#config);
    } catch (error) {
      await this.close();
      throw error;
    }
    const messagesPerSecond = this.#config.maxMessagesPerSecond;
    const queuedBytes = (session: SessionId): number => udp.endpoint.bufferedBytes(session);
    this.#core = new RelayCore<SessionId>(
      { maxSessions, maxRoomSize, messagesPerSecond, queuedBytes },
      this.#record,
      this.#mesh?.core,
    );
    for (const [session, event] of this.#early.splice(0)) this.#handleEvent(session, event);
    this.#renewal = setInterval(() => void this.#renewRecord(), RECORD_RENEWAL_MS);
    this.#renewal.unref();
    const { receiveBufferBytes } = udp.socket;
    if (receiveBufferBytes < RECEIVE_BUFFER_BYTES) {
      this.#log.warn(
        { receiveBufferBytes, wanted: RECEIVE_BUFFER_BYTES },
        'the kernel gave a small UDP receive buffer: bursts will lose datagrams; raise net.core.rmem_max',
      );
    }
  }

  /** Without MESH_SALT nothing of the mesh is even loaded. */
  async #startMesh(): Promise<void> {
    const { meshSalt, meshListen = null, meshPeers = [], meshFile, maxRoomSize } = this.#config;
    if (meshSalt === undefined) return;
    const [{ MeshServer: Server }, { deriveMeshSecret }, { freePort }] = await Promise.all([
      import('./mesh/mesh-server.ts'),
      import('./mesh/mesh-salt.ts'),
      import('./mesh/free-port.ts'),
    ]);
    if (meshSalt.length < SHORT_SALT)
      this.#log.warn({}, 'MESH_SALT is short: whoever tries a few can run a relay in this mesh');
    const secret = await deriveMeshSecret(meshSalt);
    const listen =
      meshListen === null
        ? null
        : {
            host: meshListen.host,
            port: meshListen.port === 0 ? await freePort(meshListen.host) : meshListen.port,
          };
    this.#place = {
      ...this.#place,
      mesh: secret.mesh,
      ...(listen === null ? {} : { meshPort: listen.port }),
    };
    this.#record = await this.#makeRecord(this.#config);
    if (listen === null && meshPeers.length === 0)
      this.#log.warn(
        {},
        'MESH_SALT is set, but neither MESH_LISTEN nor MESH_PEERS: only relays of MESH_FILE can be met',
      );
    this.#mesh = await Server.start(
      {
        identity: this.identity,
        secret,
        listen,
        peers: meshPeers,
        file: meshFile,
        maxRoomSize,
        log: this.#log,
        onEvent: (event) => this.#handleMeshEvent(event),
      },
      this.#record,
    );
  }

  async #makeRecord(config: RelayConfig, lastSequence = 0): Promise<SignedRelayRecord> {
    return makeRecord(
      config,
      this.identity,
      this.#place,
      Date.now(),
      Math.max(lastSequence, this.#record?.sequence ?? 0),
    );
  }

  #setRecord(record: SignedRelayRecord): void {
    this.#record = record;
    this.#core?.setRecord(record);
    this.#mesh?.setRecord(record);
  }

  async #renewRecord(lastSequence = 0): Promise<void> {
    this.#renewedAtMs = Date.now();
    try {
      this.#setRecord(await this.#makeRecord(this.#config, lastSequence));
    } catch (error) {
      this.#log.error(
        { error: (error as Error).message },
        'the record could not be signed anew; the old one holds',
      );
    }
  }

  #handleMeshEvent(event: MeshEvent): void {
    const core = this.#core;
    if (event.type === 'ownRecord') return this.#handleOwnRecord(event);
    if (event.type === 'unproven') return this.#handleUnproven(event.nk);
    if (core === null) return;
    if (event.type === 'present') core.handleRemotePresent(event.room, event.member);
    else if (event.type === 'absent') core.handleRemoteAbsent(event.room, event.peer);
    else core.handleRemoteSignal(event.room, event.from, event.to, event.data);
    this.#drain(core);
  }

  /** The mistake that new operators make: an address or a firewall that lets nobody in. */
  #handleUnproven(relay: string): void {
    if (this.#unprovenAtMs !== null && Date.now() - this.#unprovenAtMs < UNPROVEN_NOTICE_MS) return;
    this.#unprovenAtMs = Date.now();
    const { ip, port } = this.record;
    this.#log.warn(
      { relay, address: `${ip}:${port}` },
      'another relay could not reach this one over UDP and does not take it in: check PUBLIC_IP, and that the firewall lets UDP_PORT through',
    );
  }

  /** Somebody has a newer record of ours than we have. */
  #handleOwnRecord({
    record,
    isElsewhere,
  }: Extract<MeshEvent, { readonly type: 'ownRecord' }>): void {
    if (Date.now() - this.#renewedAtMs < MIN_RENEWAL_MS) return;
    if (!isElsewhere) {
      // Our clock was set back: go on behind what is known.
      void this.#renewRecord(record.sequence);
      return;
    }
    this.#renewedAtMs = Date.now();
    this.#identityConflicts += 1;
    this.#conflictAtMs = Date.now();
    this.#log.error(
      { nodeId: record.nk, elsewhere: `${record.ip}:${record.port}` },
      'another relay runs with our NODE_KEY, and the network believes the newer record: give one of the two a key of its own',
    );
  }

  #handleEvent(sessionId: SessionId, event: SessionEvent): void {
    const core = this.#core;
    if (core === null) {
      if (this.#early.length < MAX_EARLY_EVENTS) this.#early.push([sessionId, event]);
      return;
    }
    const now = monotonicNow();
    switch (event.type) {
      case 'secure':
        // Before SCTP is up: the welcome rides on our COOKIE ECHO.
        this.#log.debug({ sessionId, from: this.#shownAddress(sessionId) }, 'session opened');
        core.handleSessionOpen(sessionId);
        break;
      case 'channelOpen':
        this.#handleChannelOpen(core, sessionId, event.channelId, event.properties.label);
        break;
      case 'message':
        if (event.channelId === this.#channelOf(sessionId))
          core.handleFrame(now, sessionId, event.data);
        break;
      case 'messageTooLarge':
        core.handleOversizedFrame(now, sessionId);
        break;
      case 'channelClosed':
        // A session without its channel is of no use, and would keep its place.
        if (event.channelId === this.#channelOf(sessionId)) this.#udp?.closeGracefully(sessionId);
        break;
      case 'closed':
        this.#channels.delete(sessionId);
        core.handleSessionClosed(sessionId);
        this.#log.debug(
          { sessionId, reason: event.reason, detail: event.detail },
          'session closed',
        );
        break;
      case 'reachable':
      case 'connected':
      case 'bufferedAmountLow':
        break;
    }
    this.#drain(core);
  }

  /** Pages that let the browser choose the channel's id are served on that one. */
  #handleChannelOpen(
    core: RelayCore<SessionId>,
    sessionId: SessionId,
    channelId: number,
    label: string,
  ): void {
    if (channelId === CHANNEL_ID || label !== CHANNEL_LABEL || this.#channels.has(sessionId))
      return;
    this.#channels.set(sessionId, channelId);
    core.handleChannelMoved(sessionId);
  }

  /** Where a user is, as far as the operator wants to have it written down. */
  #shownAddress(sessionId: SessionId): string {
    const address = this.#udp?.endpoint.remoteOf(sessionId)?.address ?? '';
    return this.#config.logAddresses === 'full' ? address : addressPrefix(address);
  }

  #channelOf(sessionId: SessionId): number {
    return this.#channels.get(sessionId) ?? CHANNEL_ID;
  }

  #drain(core: RelayCore<SessionId>): void {
    for (let output = core.poll(); output.type !== 'timeout'; output = core.poll()) {
      if (output.type === 'close') {
        this.#log.debug({ sessionId: output.session, reason: output.reason }, 'closing session');
        this.#udp?.closeGracefully(output.session);
      } else if (
        this.#udp?.send(output.session, this.#channelOf(output.session), output.frame) === false
      ) {
        // A session whose queue of a megabyte is full does not read any more.
        core.drops.count('relay.slowConsumer');
        this.#udp.closeSession(output.session);
      }
    }
    // What sessions did may concern other relays.
    this.#mesh?.drain();
  }
}

function endpointLimits(maxSessions: number): EndpointLimits {
  return {
    maxSessions: maxSessions + FULL_NOTICE_SESSIONS,
    cookieThreshold: Math.min(
      MAX_COOKIE_THRESHOLD,
      Math.max(MIN_COOKIE_THRESHOLD, Math.floor(maxSessions / 2)),
    ),
    maxHalfOpen: maxSessions + FULL_NOTICE_SESSIONS,
  };
}

/** Where there is no /proc, as in a bare chroot, the kernel does not tell what is resident: 0. */
function readMemory(): RelayStats['memory'] {
  try {
    const { rss, heapUsed } = process.memoryUsage();
    return { rssBytes: rss, heapUsedBytes: heapUsed };
  } catch {
    return { rssBytes: 0, heapUsedBytes: getHeapStatistics().used_heap_size };
  }
}
