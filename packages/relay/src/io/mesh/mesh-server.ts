import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { Connection, MultiaddrConnection, PeerId, Stream } from '@libp2p/interface';
import { TopicValidatorResult } from '@libp2p/gossipsub';
import { multiaddr } from '@multiformats/multiaddr';
import {
  LumameshError,
  addressPrefix,
  dropOldest,
  isCanonicalIp,
  parseIp,
  scopeOf,
  unmapIpv4,
  utf8Decode,
  utf8Encode,
} from '@lumamesh/base';
import { type SignedRelayRecord, decodeRecordLine, encodeRecordLine } from '@lumamesh/protocol';
import { Alarm, monotonicNow } from '@lumamesh/transport/io';
import type { DialTarget } from '../../core/mesh/link-policy.ts';
import { MeshCore, type MeshOutput } from '../../core/mesh/mesh-core.ts';
import type { Identity } from '../identity.ts';
import type { Logger } from '../log.ts';
import type { MeshStats } from '../relay-stats.ts';
import { isSignedBy, isSignedRecord } from '../record.ts';
import { checkRelay } from '../check/relay-probe.ts';
import { Bans } from './bans.ts';
import {
  GRAYLIST_SCORE,
  type MeshNode,
  makeLibp2pNode,
  multiaddrText,
  nodeKeyOf,
  peerIdOf,
} from './libp2p-node.ts';
import { loadMeshFile, saveMeshFile } from './mesh-file.ts';
import type { MeshSecret } from './mesh-salt.ts';
import { FrameWriter, type ReadBudget, makeReadBudget, readFrames } from './mesh-stream.ts';

export interface MeshServerOptions {
  readonly identity: Identity;
  readonly secret: MeshSecret;
  readonly listen: { readonly host: string; readonly port: number } | null;
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  readonly file: string;
  readonly maxRoomSize: number;
  readonly log: Logger;
  readonly onEvent: (event: MeshEvent) => void;
}

/** News for the rooms of this relay, and for whoever signs its record. */
export type MeshEvent = Extract<
  MeshOutput,
  { readonly type: 'present' | 'absent' | 'signal' | 'ownRecord' | 'unproven' }
>;

const PROTOCOL = '/lumamesh/relay/1';
const BAN_MS = 10 * 60_000;
const SAVE_DELAY_MS = 5000;
const STREAM_TIMEOUT_MS = 5000;
/** TCP connections from one /24 or /48 of the internet. */
const MAX_SOCKETS_PER_PREFIX = 24;
/** Gossiped records that wait for a check, in all and for the same one. */
const MAX_WAITERS = 512;
const MAX_WAITERS_PER_RECORD = 8;
const MAX_WAIT_MS = 45_000;
const MAX_CONNECTIONS_PER_PEER = 2;
/** So many keys of one address must have been banned before the address is: neighbours may share it. */
const KEYS_BEFORE_ADDRESS_BAN = 3;
const MAX_SUSPECT_ADDRESSES = 1024;

interface PeerStreams {
  readonly connection: Connection;
  readonly writer: FrameWriter;
  readonly budget: ReadBudget;
  inbound: Stream | null;
}

/** {@link MeshCore} on libp2p: sockets, streams, gossip, checks, bans, and the file of known relays. */
export class MeshServer {
  readonly core: MeshCore;
  readonly #options: MeshServerOptions;
  readonly #node: MeshNode;
  readonly #topic: string;
  readonly #bans = new Bans();
  readonly #peers = new Map<string, PeerStreams>();
  readonly #socketsPerPrefix = new Map<string, number>();
  /** Validators of gossiped records that wait for a check, by record id. */
  readonly #waiters = new Map<string, ((result: TopicValidatorResult) => void)[]>();
  #waiting = 0;
  /** Keys that were banned, by the address they came from. */
  readonly #bannedKeys = new Map<string, Set<string>>();
  readonly #alarm = new Alarm(() => {
    this.core.handleTimeout(monotonicNow(), unixSeconds());
    this.drain();
  });
  #saveTimer: NodeJS.Timeout | null = null;
  #isDraining = false;
  #isClosed = false;

  private constructor(
    options: MeshServerOptions,
    record: SignedRelayRecord,
    node: MeshNode,
    topic: string,
  ) {
    this.#options = options;
    this.#node = node;
    this.#topic = topic;
    const { identity, secret, peers, maxRoomSize } = options;
    this.core = new MeshCore({
      record,
      mesh: secret.mesh,
      peers,
      maxRoomSize,
      hash: (algorithm, data) => createHash(algorithm).update(data).digest(),
      verify: isSignedRecord,
      sign: (data) => identity.sign(data),
      verifyBy: isSignedBy,
      firstCounter: Date.now() * 1000,
      random: Math.random,
    });
  }

  /** Listens and begins to dial. Throws `MESH_LISTEN_FAILED`. */
  static async start(options: MeshServerOptions, record: SignedRelayRecord): Promise<MeshServer> {
    const { identity, secret } = options;
    const topic = `/lumamesh/records/1/${secret.mesh}`;
    let server: MeshServer | null = null;
    const isLocal = scopeOf(record.ip) !== 'public';
    const listen = options.listen === null ? null : await resolveListen(options.listen);
    const node = await makeLibp2pNode({
      privateKey: identity.rawNodeKey,
      psk: secret.psk,
      listen,
      topic,
      isLocal,
      gater: {
        denyInboundConnection: (connection) => server?.mayNotConnect(connection) ?? true,
        denyInboundEncryptedConnection: (peer) => server?.mayNotEnter(peer) ?? true,
        denyDialPeer: (peer) => server?.isBanned(peer) ?? true,
      },
    });
    server = new MeshServer(options, record, node, topic);
    await server.#start();
    return server;
  }

  /** For `/statsz`. */
  stats(): Omit<MeshStats, 'identityConflicts'> {
    return {
      ...this.core.stats(monotonicNow()),
      sockets: this.#node.getConnections().length,
      bans: this.#bans.size,
    };
  }

  /** Links to relays that have reached this one over UDP. */
  get acceptedLinks(): number {
    return this.core.links.accepted;
  }

  isBanned(peer: PeerId): boolean {
    const nk = nodeKeyOf(peer);
    return nk === null || this.#bans.has(Date.now(), nk);
  }

  mayNotEnter(peer: PeerId): boolean {
    return (
      this.isBanned(peer) || this.#node.getConnections(peer).length >= MAX_CONNECTIONS_PER_PEER
    );
  }

  /** Counts the sockets of a network until they close, and turns away those beyond its share. */
  mayNotConnect(connection: MultiaddrConnection): boolean {
    const address = hostOf(connection);
    if (!isCanonicalIp(address) || this.#bans.has(Date.now(), address)) return true;
    if (scopeOf(address) !== 'public') return false;
    const prefix = addressPrefix(address);
    const count = this.#socketsPerPrefix.get(prefix) ?? 0;
    if (count >= MAX_SOCKETS_PER_PREFIX) return true;
    this.#socketsPerPrefix.set(prefix, count + 1);
    connection.addEventListener('close', () => {
      const left = (this.#socketsPerPrefix.get(prefix) ?? 1) - 1;
      if (left > 0) this.#socketsPerPrefix.set(prefix, left);
      else this.#socketsPerPrefix.delete(prefix);
    });
    return false;
  }

  /** To be called after every command to the core. */
  drain(): void {
    if (this.#isDraining || this.#isClosed) return;
    this.#isDraining = true;
    try {
      for (let output = this.core.poll(); ; output = this.core.poll()) {
        if (output.type === 'timeout') return this.#alarm.set(output.at);
        this.#perform(output);
      }
    } finally {
      this.#isDraining = false;
    }
  }

  setRecord(record: SignedRelayRecord): void {
    this.core.setRecord(record);
    this.drain();
  }

  /** Takes over what the operator has changed, and reads the file of relays again. */
  async reload(limits: Pick<MeshServerOptions, 'peers' | 'maxRoomSize'>): Promise<void> {
    this.core.setLimits(limits);
    this.core.handleSaved(monotonicNow(), unixSeconds(), await loadMeshFile(this.#options.file));
    this.drain();
  }

  /** Says goodbye on all links and stops. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    for (const { writer } of this.#peers.values()) writer.send('{"type":"bye"}');
    this.#isClosed = true;
    this.#alarm.clear();
    if (this.#saveTimer !== null) clearTimeout(this.#saveTimer);
    await this.#save();
    // Streams are flushed in the next turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#node.stop();
  }

  async #start(): Promise<void> {
    const node = this.#node;
    const { pubsub } = node.services;
    node.addEventListener('peer:connect', ({ detail }) => this.#handlePeer(detail));
    node.addEventListener('peer:disconnect', ({ detail }) => this.#handlePeerGone(detail));
    pubsub.topicValidators.set(this.#topic, (from, message) => this.#validate(from, message.data));
    pubsub.addEventListener('gossipsub:heartbeat', () => this.#banBadPeers());
    try {
      await node.handle(PROTOCOL, (stream, connection) => this.#handleStream(stream, connection), {
        maxInboundStreams: 2,
        maxOutboundStreams: 2,
      });
      await node.start();
    } catch (error) {
      await node.stop();
      throw listenFailed(this.#options.listen, error);
    }
    pubsub.subscribe(this.#topic);
    this.core.handleSaved(monotonicNow(), unixSeconds(), await loadMeshFile(this.#options.file));
    this.core.handleTimeout(monotonicNow(), unixSeconds());
    this.drain();
  }

  #perform(output: Exclude<MeshOutput, { readonly type: 'timeout' }>): void {
    switch (output.type) {
      case 'frame':
        this.#peers.get(output.to)?.writer.send(output.text);
        return;
      case 'dial':
        void this.#dial(output.target);
        return;
      case 'hangUp':
        return this.#hangUp(output.nk, output.reason, output.isBan);
      case 'publish':
        void this.#publish(output.record);
        return;
      case 'verdict':
        return this.#settle(output.id, output.verdict);
      case 'check':
        void this.#check(output.id, output.record);
        return;
      case 'save':
        this.#saveTimer ??= setTimeout(() => void this.#save(), SAVE_DELAY_MS).unref();
        return;
      default:
        this.#options.onEvent(output);
    }
  }

  async #dial(target: DialTarget): Promise<void> {
    let nk: string | null = null;
    try {
      const address = `${multiaddrText(await resolveHost(target.host), target.port)}${target.nk === null ? '' : `/p2p/${peerIdOf(target.nk).toString()}`}`;
      const connection = await this.#node.dial(multiaddr(address));
      nk = nodeKeyOf(connection.remotePeer);
    } catch (error) {
      // Dialling oneself: found out once and not tried again.
      if (
        (error as Error).name === 'DialError' &&
        target.nk === null &&
        /self/i.test((error as Error).message)
      )
        nk = this.#options.identity.nk;
      this.#options.log.debug(
        { host: target.host, port: target.port, error: (error as Error).message },
        'mesh peer did not answer',
      );
    }
    this.core.handleDialed(monotonicNow(), target, nk);
    this.drain();
  }

  async #check(id: string, record: SignedRelayRecord): Promise<void> {
    const result = await checkRelay(record);
    this.core.handleChecked(monotonicNow(), id, result);
    this.drain();
  }

  async #publish(record: SignedRelayRecord): Promise<void> {
    try {
      await this.#node.services.pubsub.publish(this.#topic, utf8Encode(encodeRecordLine(record)));
    } catch (error) {
      // Nobody is lost by it: sets are compared on every link.
      this.#options.log.debug(
        { error: (error as Error).message },
        'a record could not be published',
      );
    }
  }

  /** Gossip is passed on when this settles: after the record was verified and dialled. */
  #validate(from: PeerId, data: Uint8Array): TopicValidatorResult | Promise<TopicValidatorResult> {
    const record = decodeRecordLine(utf8Decode(data) ?? '');
    if (!record.ok) return TopicValidatorResult.Reject;
    if (this.#waiting >= MAX_WAITERS) return TopicValidatorResult.Ignore;
    return new Promise((resolve) => {
      const id = this.core.handleGossip(
        monotonicNow(),
        unixSeconds(),
        nodeKeyOf(from) ?? '',
        record.value,
        data.length,
      );
      const waiting = this.#waiters.get(id) ?? [];
      if (waiting.length >= MAX_WAITERS_PER_RECORD) return resolve(TopicValidatorResult.Ignore);
      waiting.push(resolve);
      this.#waiting += 1;
      if (waiting.length === 1) {
        this.#waiters.set(id, waiting);
        // A check that gets lost must not hold gossip up for good.
        setTimeout(
          () => this.#waiters.get(id) === waiting && this.#settle(id, 'ignore'),
          MAX_WAIT_MS,
        ).unref();
      }
      this.drain();
    });
  }

  #settle(id: string, verdict: 'accept' | 'ignore' | 'reject'): void {
    const results = {
      accept: TopicValidatorResult.Accept,
      ignore: TopicValidatorResult.Ignore,
      reject: TopicValidatorResult.Reject,
    };
    const waiting = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    this.#waiting -= waiting.length;
    for (const resolve of waiting) resolve(results[verdict]);
  }

  #handlePeer(peer: PeerId): void {
    const nk = nodeKeyOf(peer);
    const connection = this.#node.getConnections(peer)[0];
    if (nk !== null && connection !== undefined) this.#streamsOf(nk, connection);
  }

  /** Opens the way out to a relay when it is first heard of, by connection or by stream. */
  #streamsOf(nk: string, connection: Connection): PeerStreams {
    const known = this.#peers.get(nk);
    if (known !== undefined) return known;
    const isCurrent = (): boolean => this.#peers.get(nk) === streams;
    const writer = new FrameWriter((reason) => {
      if (isCurrent()) this.#handleStreamEnd(nk, streams, reason);
    });
    const streams: PeerStreams = { connection, writer, budget: makeReadBudget(), inbound: null };
    this.#peers.set(nk, streams);
    this.core.handleLinkOpen(
      monotonicNow(),
      nk,
      connection.direction === 'outbound',
      hostOf(connection),
    );
    connection.newStream(PROTOCOL, { signal: AbortSignal.timeout(STREAM_TIMEOUT_MS) }).then(
      (stream) => {
        if (isCurrent()) writer.open(stream);
        else stream.abort(new Error('the link has ended'));
      },
      () => {
        if (isCurrent()) this.#hangUp(nk, 'noStream', false);
      },
    );
    this.drain();
    return streams;
  }

  #handleStream(stream: Stream, connection: Connection): void {
    const nk = nodeKeyOf(connection.remotePeer);
    if (nk === null || this.#isClosed) return stream.abort(new Error('not now'));
    const current = this.#peers.get(nk);
    if (current !== undefined && current.connection !== connection) {
      if (!this.#isPreferred(nk, connection, current.connection))
        return stream.abort(new Error('there is another link'));
      this.#endLink(nk, current);
    }
    const streams = this.#streamsOf(nk, connection);
    // One at a time: the limits are those of a relay, not of a stream.
    streams.inbound?.abort(new Error('replaced'));
    streams.inbound = stream;
    const isCurrent = (): boolean => this.#peers.get(nk) === streams && streams.inbound === stream;
    readFrames(stream, streams.budget, {
      frame: (text) => {
        if (!isCurrent()) return;
        this.core.handleFrame(monotonicNow(), unixSeconds(), nk, text);
        this.drain();
      },
      fault: (drop) => {
        if (isCurrent()) this.#hangUp(nk, drop, true);
      },
    });
  }

  /** Which of two connections to one relay is to be the link: both sides answer alike. */
  #isPreferred(nk: string, connection: Connection, current: Connection): boolean {
    // The later one of the same side: the earlier is dead, or of a twin with the same key. When both dialled, the one of the smaller key.
    if (connection.direction === current.direction) return true;
    return (connection.direction === 'outbound') === this.#options.identity.nk < nk;
  }

  #endLink(nk: string, streams: PeerStreams): void {
    this.#forget(nk);
    void streams.connection.close().catch(() => undefined);
  }

  /** Our way out to a relay has ended. Another connection to it begins a new link. */
  #handleStreamEnd(nk: string, streams: PeerStreams, reason: string): void {
    const other = this.#node
      .getConnections(peerIdOf(nk))
      .find((open) => open !== streams.connection && open.status === 'open');
    if (other === undefined) return this.#hangUp(nk, reason, false);
    this.#endLink(nk, streams);
    this.#streamsOf(nk, other);
  }

  #handlePeerGone(peer: PeerId): void {
    const nk = nodeKeyOf(peer);
    if (nk !== null && this.#forget(nk)) this.drain();
  }

  /** The link to a relay is no more; false when there was none. */
  #forget(nk: string): boolean {
    if (!this.#peers.delete(nk)) return false;
    this.core.handleLinkClosed(monotonicNow(), nk);
    return true;
  }

  #hangUp(nk: string, reason: string, isBan: boolean): void {
    const peer = peerIdOf(nk);
    const connections = this.#node.getConnections(peer);
    if (isBan) {
      const addresses = connections
        .map((connection) => hostOf(connection))
        .filter((address) => this.#isBadAddress(address, nk));
      this.#bans.add(Date.now(), [nk, ...addresses], BAN_MS);
      this.#options.log.warn(
        { relay: nk, reason, minutes: BAN_MS / 60_000 },
        'a mesh peer was banned',
      );
    } else this.#options.log.debug({ relay: nk, reason }, 'mesh link ended');
    if (this.#forget(nk)) queueMicrotask(() => this.drain());
    for (const connection of connections)
      void connection
        .close()
        .catch((error: unknown) =>
          connection.abort(error instanceof Error ? error : new Error(reason)),
        );
  }

  /** Whether one key after another was banned at this address. */
  #isBadAddress(address: string, nk: string): boolean {
    // Addresses of one's own network are everybody's.
    if (scopeOf(address) !== 'public') return false;
    const keys = this.#bannedKeys.get(address) ?? new Set<string>();
    keys.add(nk);
    dropOldest(this.#bannedKeys, MAX_SUSPECT_ADDRESSES);
    this.#bannedKeys.set(address, keys);
    return keys.size >= KEYS_BEFORE_ADDRESS_BAN;
  }

  /** Gossipsub stops listening to a peer of bad score but keeps the connection; here it goes. */
  #banBadPeers(): void {
    for (const nk of [...this.#peers.keys()]) {
      if (this.#node.services.pubsub.getScore(peerIdOf(nk).toString()) < GRAYLIST_SCORE)
        this.#hangUp(nk, 'badGossip', true);
    }
  }

  async #save(): Promise<void> {
    this.#saveTimer = null;
    const records = this.core.saved();
    // An empty list would make a relay forget its way back at the moment it needs it.
    if (records.length === 0) return;
    try {
      await saveMeshFile(this.#options.file, records);
    } catch (error) {
      this.#options.log.warn(
        { file: this.#options.file, error: (error as Error).message },
        'the known relays could not be saved',
      );
    }
  }
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** The remote IP address of a connection. */
function hostOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  const component = remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6');
  return unmapIpv4(component?.value ?? '');
}

async function resolveListen(listen: {
  readonly host: string;
  readonly port: number;
}): Promise<{ readonly host: string; readonly port: number }> {
  try {
    return { host: await resolveHost(listen.host), port: listen.port };
  } catch (error) {
    throw listenFailed(listen, error);
  }
}

function listenFailed(
  listen: { readonly host: string; readonly port: number } | null,
  error: unknown,
): LumameshError {
  const where = listen === null ? 'nowhere' : `${listen.host}:${listen.port}`;
  return new LumameshError(
    'MESH_LISTEN_FAILED',
    `MESH_LISTEN: cannot listen on ${where}: ${(error as Error).message}`,
    { cause: error },
  );
}

async function resolveHost(host: string): Promise<string> {
  return parseIp(host) === null ? (await lookup(host)).address : host;
}
