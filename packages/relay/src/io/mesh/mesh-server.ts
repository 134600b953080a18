import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { Connection, MultiaddrConnection, PeerId, Stream } from '@libp2p/interface';
import { TopicValidatorResult } from '@libp2p/gossipsub';
import { multiaddr } from '@multiformats/multiaddr';
import { LumameshError, addressPrefix, addressScope, parseIp, unmapIpv4, utf8Decode, utf8Encode } from '@lumamesh/base';
import { type SignedRelayRecord, decodeRecordLine, encodeRecordLine } from '@lumamesh/protocol';
import { Alarm, monotonicNow } from '@lumamesh/transport/io';
import type { DialTarget } from '../../core/mesh/link-policy.ts';
import { MeshCore, type MeshOutput } from '../../core/mesh/mesh-core.ts';
import type { Identity } from '../identity.ts';
import type { Logger } from '../log.ts';
import { isSignedRecord } from '../record.ts';
import { checkRelay } from '../relay-check.ts';
import { Bans } from './bans.ts';
import { GRAYLIST_SCORE, type MeshNode, makeLibp2pNode, multiaddrText, nodeKeyOf, peerIdOf } from './libp2p-node.ts';
import { loadMeshFile, saveMeshFile } from './mesh-file.ts';
import type { MeshSecret } from './mesh-salt.ts';
import { FrameWriter, readFrames } from './mesh-stream.ts';

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
export type MeshEvent = Extract<MeshOutput, { readonly type: 'present' | 'absent' | 'signal' | 'ownRecord' }>;

const PROTOCOL = '/lumamesh/relay/1';
const BAN_MS = 10 * 60_000;
const SAVE_DELAY_MS = 5000;
const STREAM_TIMEOUT_MS = 5000;
/** TCP connections from one /24 or /48; loopback is a test network. */
const MAX_SOCKETS_PER_PREFIX = 24;
const MAX_WAITERS = 512;

interface PeerStreams {
  readonly writer: FrameWriter;
  isOpening: boolean;
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
  readonly #alarm = new Alarm(() => {
    this.core.handleTimeout(monotonicNow(), unixSeconds());
    this.drain();
  });
  #saveTimer: NodeJS.Timeout | null = null;
  #isDraining = false;
  #isClosed = false;

  private constructor(options: MeshServerOptions, record: SignedRelayRecord, node: MeshNode, topic: string) {
    this.#options = options;
    this.#node = node;
    this.#topic = topic;
    const { secret, peers, maxRoomSize } = options;
    this.core = new MeshCore({
      record,
      mesh: secret.mesh,
      peers,
      maxRoomSize,
      hash: (algorithm, data) => createHash(algorithm).update(data).digest(),
      verify: isSignedRecord,
      random: Math.random,
    });
  }

  /** Listens and begins to dial. Throws `MESH_LISTEN_FAILED`. */
  static async start(options: MeshServerOptions, record: SignedRelayRecord): Promise<MeshServer> {
    const { identity, secret } = options;
    const topic = `/lumamesh/records/1/${secret.mesh}`;
    let server: MeshServer | null = null;
    const isLocal = scopeOf(record.ip) === 'loopback';
    const listen = options.listen === null ? null : { host: await resolveHost(options.listen.host), port: options.listen.port };
    const node = await makeLibp2pNode({
      privateKey: identity.rawNodeKey,
      psk: secret.psk,
      listen,
      topic,
      isLocal,
      gater: {
        denyInboundConnection: (connection) => server?.mayNotConnect(connection) ?? true,
        denyInboundEncryptedConnection: (peer) => server?.isBanned(peer) ?? true,
        denyDialPeer: (peer) => server?.isBanned(peer) ?? true,
      },
    });
    server = new MeshServer(options, record, node, topic);
    await server.#start();
    return server;
  }

  /** For `/statsz`. */
  stats(): Record<string, unknown> {
    return { ...this.core.stats(monotonicNow()), sockets: this.#node.getConnections().length, bans: this.#bans.size };
  }

  isBanned(peer: PeerId): boolean {
    const nk = nodeKeyOf(peer);
    return nk === null || this.#bans.has(Date.now(), nk);
  }

  /** Counts the sockets of a network until they close, and turns away those beyond its share. */
  mayNotConnect(connection: MultiaddrConnection): boolean {
    const address = hostOf(connection);
    const ip = parseIp(address);
    if (ip === null || this.#bans.has(Date.now(), address)) return true;
    if (addressScope(ip) === 'loopback') return false;
    const prefix = addressPrefix(ip);
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
      await node.handle(PROTOCOL, (stream, connection) => this.#handleStream(stream, connection), { maxInboundStreams: 2, maxOutboundStreams: 2 });
      await node.start();
    } catch (error) {
      await node.stop();
      const { host, port } = this.#options.listen ?? { host: '', port: 0 };
      throw new LumameshError('MESH_LISTEN_FAILED', `MESH_LISTEN: cannot listen on ${host}:${port}: ${(error as Error).message}`, { cause: error });
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
      if ((error as Error).name === 'DialError' && target.nk === null && /self/i.test((error as Error).message)) nk = this.#options.identity.nk;
      this.#options.log.debug({ host: target.host, port: target.port, error: (error as Error).message }, 'mesh peer did not answer');
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
      this.#options.log.debug({ error: (error as Error).message }, 'a record could not be published');
    }
  }

  /** Gossip is passed on when this settles: after the record was verified and dialled. */
  #validate(from: PeerId, data: Uint8Array): TopicValidatorResult | Promise<TopicValidatorResult> {
    const record = decodeRecordLine(utf8Decode(data) ?? '');
    if (!record.ok) return TopicValidatorResult.Reject;
    if (this.#waiters.size >= MAX_WAITERS) return TopicValidatorResult.Ignore;
    return new Promise((resolve) => {
      const id = this.core.handleGossip(monotonicNow(), unixSeconds(), nodeKeyOf(from) ?? '', record.value, data.length);
      const waiting = this.#waiters.get(id);
      if (waiting === undefined) this.#waiters.set(id, [resolve]);
      else waiting.push(resolve);
      this.drain();
    });
  }

  #settle(id: string, verdict: 'accept' | 'ignore' | 'reject'): void {
    const results = { accept: TopicValidatorResult.Accept, ignore: TopicValidatorResult.Ignore, reject: TopicValidatorResult.Reject };
    for (const resolve of this.#waiters.get(id) ?? []) resolve(results[verdict]);
    this.#waiters.delete(id);
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
    const streams: PeerStreams = { writer: new FrameWriter((reason) => this.#handleFailure(nk, reason)), isOpening: true };
    this.#peers.set(nk, streams);
    this.core.handleLinkOpen(monotonicNow(), nk, connection.direction === 'outbound', hostOf(connection));
    connection.newStream(PROTOCOL, { signal: AbortSignal.timeout(STREAM_TIMEOUT_MS) }).then(
      (stream) => {
        streams.isOpening = false;
        streams.writer.open(stream);
      },
      () => this.#handleFailure(nk, 'noStream'),
    );
    this.drain();
    return streams;
  }

  #handleStream(stream: Stream, connection: Connection): void {
    const nk = nodeKeyOf(connection.remotePeer);
    if (nk === null || this.#isClosed) return stream.abort(new Error('not now'));
    this.#streamsOf(nk, connection);
    readFrames(
      stream,
      (text) => {
        this.core.handleFrame(monotonicNow(), unixSeconds(), nk, text);
        this.drain();
      },
      (drop) => this.#hangUp(nk, drop, true),
    );
  }

  #handlePeerGone(peer: PeerId): void {
    const nk = nodeKeyOf(peer);
    if (nk === null || !this.#peers.delete(nk)) return;
    this.core.handleLinkClosed(monotonicNow(), nk);
    this.drain();
  }

  #handleFailure(nk: string, reason: string): void {
    if (this.#peers.has(nk)) this.#hangUp(nk, reason, false);
  }

  #hangUp(nk: string, reason: string, isBan: boolean): void {
    const peer = peerIdOf(nk);
    const connections = this.#node.getConnections(peer);
    if (isBan) {
      // Addresses of one's own network are everybody's.
      const addresses = connections.map((connection) => hostOf(connection)).filter((address) => scopeOf(address) === 'public');
      this.#bans.add(Date.now(), [nk, ...addresses], BAN_MS);
      this.#options.log.warn({ relay: nk, reason, minutes: BAN_MS / 60_000 }, 'a mesh peer was banned');
    } else this.#options.log.debug({ relay: nk, reason }, 'mesh link ended');
    if (this.#peers.delete(nk)) {
      this.core.handleLinkClosed(monotonicNow(), nk);
      queueMicrotask(() => this.drain());
    }
    for (const connection of connections)
      void connection.close().catch((error: unknown) => connection.abort(error instanceof Error ? error : new Error(reason)));
  }

  /** Gossipsub stops listening to a peer of bad score but keeps the connection; here it goes. */
  #banBadPeers(): void {
    for (const nk of [...this.#peers.keys()]) {
      if (this.#node.services.pubsub.getScore(peerIdOf(nk).toString()) < GRAYLIST_SCORE) this.#hangUp(nk, 'badGossip', true);
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
      this.#options.log.warn({ file: this.#options.file, error: (error as Error).message }, 'the known relays could not be saved');
    }
  }
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

function scopeOf(address: string): string {
  const ip = parseIp(address);
  return ip === null ? 'unusable' : addressScope(ip);
}

/** The remote IP address of a connection. */
function hostOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  const component = remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6');
  return unmapIpv4(component?.value ?? '');
}

async function resolveHost(host: string): Promise<string> {
  return parseIp(host) === null ? (await lookup(host)).address : host;
}
