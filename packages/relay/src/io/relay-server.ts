import { CHANNEL_ID, CHANNEL_LABEL, LIMITS, type SignedRelayRecord } from '@lumamesh/protocol';
import { DEFAULT_SESSION_LIMITS, type SessionEvent, type SessionId, type SessionLimits } from '@lumamesh/transport';
import { RECEIVE_BUFFER_BYTES, UdpEndpoint, monotonicNow, nodeCrypto, warmUp } from '@lumamesh/transport/io';
import { RelayCore } from '../core/relay-core.ts';
import type { RelayConfig } from './config.ts';
import { type Identity, loadIdentity } from './identity.ts';
import type { Logger } from './log.ts';
import { RECORD_RENEWAL_MS, makeRecord } from './record.ts';

/** About 0.2 s: enough for the compiler to have seen what matters. */
const WARM_UP_ROUNDS = 150;
/** Sessions beyond MAX_SESSIONS that may come up far enough to be told RELAY_FULL. */
const FULL_NOTICE_SESSIONS = 32;
/** Unproven handshakes up to which nobody is asked for a cookie: a burst of a few hundred browsers is an ordinary day. */
const MAX_COOKIE_THRESHOLD = 512;
const MIN_COOKIE_THRESHOLD = 16;

const CHANNEL = { id: CHANNEL_ID, properties: { label: CHANNEL_LABEL, subprotocol: '', isUnordered: false } };

const SESSION_LIMITS: SessionLimits = { ...DEFAULT_SESSION_LIMITS, maxMessageBytes: LIMITS.maxFrameBytes, maxChannels: 4 };

/** A running relay: {@link RelayCore} on a {@link UdpEndpoint}. */
export class RelayServer {
  readonly identity: Identity;
  readonly #config: RelayConfig;
  readonly #log: Logger;
  /** The channel a session talks on, where that is not the negotiated one. */
  readonly #channels = new Map<SessionId, number>();
  readonly #startedAtMs = Date.now();
  #core: RelayCore<SessionId> | null = null;
  #udp: UdpEndpoint | null = null;
  #record: SignedRelayRecord | null = null;
  #renewal: NodeJS.Timeout | null = null;

  private constructor(config: RelayConfig, identity: Identity, log: Logger) {
    this.#config = config;
    this.identity = identity;
    this.#log = log;
  }

  /** Reads or makes the identity, warms up, binds. Throws LumameshErrors that say what is wrong with files or port. */
  static async start(config: RelayConfig, log: Logger): Promise<RelayServer> {
    const identity = await loadIdentity({
      certFile: config.certFile,
      keyFile: config.keyFile,
      nodeKeyFile: config.nodeKey,
      ...(config.icePwd === undefined ? {} : { icePassword: config.icePwd }),
    });
    const server = new RelayServer(config, identity, log);
    warmUp(nodeCrypto, identity.certificate, WARM_UP_ROUNDS);
    await server.#listen();
    return server;
  }

  get record(): SignedRelayRecord {
    if (this.#record === null) throw new Error('the relay has not started');
    return this.#record;
  }

  get isDualStack(): boolean {
    return this.#udp?.socket.isDualStack ?? false;
  }

  /** What /statsz tells: no addresses of users, no room ids. */
  stats(): Record<string, unknown> {
    const counts = this.#udp?.endpoint.counts ?? { sessions: 0, halfOpen: 0 };
    const rooms = this.#core?.counts ?? { sessions: 0, rooms: 0, members: 0 };
    const memory = process.memoryUsage();
    return {
      nodeId: this.identity.nk,
      uptimeSeconds: Math.floor((Date.now() - this.#startedAtMs) / 1000),
      sessions: { established: counts.sessions - counts.halfOpen, halfOpen: counts.halfOpen, max: this.#config.maxSessions },
      rooms: { rooms: rooms.rooms, members: rooms.members },
      ...this.#core?.counters,
      traffic: this.#udp?.traffic,
      drops: { ...this.#udp?.endpoint.drops.snapshot(), ...this.#core?.drops.snapshot() },
      memory: { rssBytes: memory.rss, heapUsedBytes: memory.heapUsed },
    };
  }

  /** Says goodbye to everyone and closes the socket. */
  async close(): Promise<void> {
    if (this.#renewal !== null) clearInterval(this.#renewal);
    await this.#udp?.close();
  }

  async #listen(): Promise<void> {
    const { maxSessions, maxRoomSize, udpPort } = this.#config;
    const udp = await UdpEndpoint.start({
      crypto: nodeCrypto,
      port: udpPort,
      ice: { ufrag: this.#config.iceUfrag, password: this.identity.icePassword },
      certificate: this.identity.certificate,
      requestClientCertificate: false,
      negotiatedChannels: [CHANNEL],
      limits: {
        maxSessions: maxSessions + FULL_NOTICE_SESSIONS,
        cookieThreshold: Math.min(MAX_COOKIE_THRESHOLD, Math.max(MIN_COOKIE_THRESHOLD, Math.floor(maxSessions / 2))),
        maxHalfOpen: maxSessions + FULL_NOTICE_SESSIONS,
      },
      sessionLimits: SESSION_LIMITS,
      onEvent: (sessionId, event) => this.#handleEvent(sessionId, event),
    });
    this.#udp = udp;
    this.#record = await makeRecord(this.#config, this.identity, udp.socket.port, Date.now());
    this.#core = new RelayCore<SessionId>(
      { maxSessions, maxRoomSize, messagesPerSecond: this.#config.maxMessagesPerSecond, queuedBytes: (session) => udp.endpoint.bufferedBytes(session) },
      this.#record,
    );
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

  async #renewRecord(): Promise<void> {
    if (this.#udp === null) return;
    this.#record = await makeRecord(this.#config, this.identity, this.#udp.socket.port, Date.now());
    this.#core?.setRecord(this.#record);
  }

  #handleEvent(sessionId: SessionId, event: SessionEvent): void {
    const core = this.#core;
    if (core === null) return;
    const now = monotonicNow();
    switch (event.type) {
      case 'secure':
        // Before SCTP is up: the welcome rides on our COOKIE ECHO.
        core.handleSessionOpen(sessionId);
        break;
      case 'channelOpen':
        this.#handleChannelOpen(core, sessionId, event.channelId, event.properties.label);
        break;
      case 'message':
        if (event.channelId === this.#channelOf(sessionId)) core.handleFrame(now, sessionId, event.data);
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
        this.#log.debug({ sessionId, reason: event.reason, detail: event.detail }, 'session closed');
        break;
      case 'reachable':
      case 'connected':
      case 'bufferedAmountLow':
        break;
    }
    this.#drain(core);
  }

  /** Pages that let the browser choose the channel's id are served on that one. */
  #handleChannelOpen(core: RelayCore<SessionId>, sessionId: SessionId, channelId: number, label: string): void {
    if (channelId === CHANNEL_ID || label !== CHANNEL_LABEL || this.#channels.has(sessionId)) return;
    this.#channels.set(sessionId, channelId);
    core.handleChannelMoved(sessionId);
  }

  #channelOf(sessionId: SessionId): number {
    return this.#channels.get(sessionId) ?? CHANNEL_ID;
  }

  #drain(core: RelayCore<SessionId>): void {
    for (let output = core.poll(); output.type !== 'timeout'; output = core.poll()) {
      if (output.type === 'close') {
        this.#log.debug({ sessionId: output.session, reason: output.reason }, 'closing session');
        this.#udp?.closeGracefully(output.session);
      } else if (this.#udp?.send(output.session, this.#channelOf(output.session), output.frame) === false) {
        // A session whose queue of a megabyte is full does not read any more.
        core.drops.count('relay.slowConsumer');
        this.#udp.closeSession(output.session);
      }
    }
  }
}
