import { createHash } from 'node:crypto';
import type { MultiaddrConnection, PeerId } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { type Instant, scopeOf } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { Alarm, monotonicNow } from '@lumamesh/transport/io';
import type { DialTarget } from '../../core/mesh/dial-choice.ts';
import type { MeshBounds } from '../../core/mesh/mesh-bounds.ts';
import { MeshCore } from '../../core/mesh/mesh-core.ts';
import type { MeshOutput } from '../../core/mesh/mesh-output.ts';
import type { LocalRoomEvent, RemoteRooms } from '../../core/remote-rooms.ts';
import type { Identity } from '../identity.ts';
import type { Logger } from '../log.ts';
import { isSignedBy, isSignedRecord } from '../record.ts';
import type { MeshStats } from '../relay-stats.ts';
import { ConnectionAdmission } from './bans.ts';
import { ConnectionGuard } from './connection-guard.ts';
import { type MeshNode, makeLibp2pNode, multiaddrText } from './libp2p-node.ts';
import {
  type HostPort,
  listenFailed,
  remoteIpOf,
  resolveHost,
  resolveListen,
} from './mesh-address.ts';
import { loadMeshFile, saveMeshFile } from './mesh-file.ts';
import { MeshLinks, PROTOCOL } from './mesh-links.ts';
import type { MeshSecret } from './mesh-salt.ts';
import { nodeKeyOf, peerIdOf } from './node-key.ts';
import { RecordCheck } from './record-check.ts';
import { RecordGossip } from './record-gossip.ts';

export interface MeshServerOptions {
  readonly identity: Identity;
  readonly secret: MeshSecret;
  readonly listen: HostPort | null;
  readonly peers: readonly HostPort[];
  readonly file: string;
  readonly maxRoomSize: number;
  readonly bounds: MeshBounds;
  readonly log: Logger;
  readonly onEvent: (event: MeshEvent) => void;
}

/** News for the rooms of this relay, and for whoever signs its record. */
export type MeshEvent = Extract<
  MeshOutput,
  {
    readonly type:
      | 'remotePresent'
      | 'remoteAbsent'
      | 'remoteRefused'
      | 'remoteSignal'
      | 'ownRecord'
      | 'unproven';
  }
>;

const SAVE_DELAY_MS = 5000;
const MAX_CONNECTIONS_PER_PEER = 2;

/**
 * {@link MeshCore} on libp2p: sockets, streams, gossip, checks, bans, and the file of known relays.
 */
export class MeshServer {
  readonly #options: MeshServerOptions;
  readonly #core: MeshCore;
  readonly #node: MeshNode;
  readonly #admission: ConnectionAdmission<MultiaddrConnection>;
  readonly #guard: ConnectionGuard;
  readonly #recordCheck = new RecordCheck();
  readonly #links: MeshLinks;
  readonly #gossip: RecordGossip;
  readonly #alarm = new Alarm(() => this.#drive((core, now) => core.handleTimeout(now)));
  #saveTimer: NodeJS.Timeout | null = null;
  #isDraining = false;
  #isClosed = false;

  private constructor(
    options: MeshServerOptions,
    record: SignedRelayRecord,
    node: MeshNode,
    topic: string,
    admission: ConnectionAdmission<MultiaddrConnection>,
    guard: ConnectionGuard,
  ) {
    this.#options = options;
    this.#node = node;
    this.#admission = admission;
    this.#guard = guard;
    const { identity, secret, peers, maxRoomSize, bounds, log } = options;
    this.#core = new MeshCore(monotonicNow(), unixSeconds(), {
      record,
      mesh: secret.mesh,
      peers,
      maxRoomSize,
      bounds,
      hash: (algorithm, data) => createHash(algorithm).update(data).digest(),
      verify: isSignedRecord,
      sign: (data) => identity.sign(data),
      verifyBy: isSignedBy,
      firstCounter: Date.now() * 1000,
      random: Math.random,
    });
    this.#links = new MeshLinks({
      node,
      nk: identity.nk,
      admission,
      log,
      maxWaitingBytes: bounds.maxBytes,
      on: {
        opened: (nk, isOutbound, address) =>
          this.#drive((core, now) => core.handleLinkOpen(now, nk, isOutbound, address)),
        closed: (nk) => this.#drive((core, now) => core.handleLinkClosed(now, nk)),
        frame: (nk, text) => this.#drive((core, now) => core.handleFrame(now, nk, text)),
      },
    });
    this.#gossip = new RecordGossip(node, topic, log, (from, gossiped, bytes, wait) =>
      this.#drive((core, now) => wait(core.handleGossip(now, from, gossiped, bytes))),
    );
  }

  /** Listens and begins to dial. Rejects with `MESH_LISTEN_FAILED`. */
  static async start(options: MeshServerOptions, record: SignedRelayRecord): Promise<MeshServer> {
    const { identity, secret } = options;
    const topic = `/lumamesh/records/1/${secret.mesh}`;
    const admission = new ConnectionAdmission<MultiaddrConnection>(
      options.bounds.socketsPerNetwork,
    );
    const guard = new ConnectionGuard(PROTOCOL, ({ nk, connection }, fault) => {
      admission.drops.count(`mesh.socket.${fault}`);
      if (nk !== null) admission.ban(Date.now(), nk, [remoteIpOf(connection)]);
    });
    const isBanned = (peer: PeerId): boolean => admission.isBanned(Date.now(), nodeKeyOf(peer));
    const node: MeshNode = await makeLibp2pNode({
      privateKey: identity.rawNodeKey,
      psk: secret.psk,
      listen: await resolveListen(options.listen),
      topic,
      isLocal: scopeOf(record.ip) !== 'public',
      guard,
      gater: {
        denyInboundConnection: (connection) => !admit(admission, connection),
        denyInboundEncryptedConnection: (peer) =>
          isBanned(peer) || node.getConnections(peer).length >= MAX_CONNECTIONS_PER_PEER,
        denyDialPeer: isBanned,
      },
    });
    const server = new MeshServer(options, record, node, topic, admission, guard);
    await server.#start();
    return server;
  }

  /** What the mesh knows of rooms; questions only. */
  get rooms(): RemoteRooms {
    return this.#core;
  }

  /** For `/statsz`. */
  stats(): Omit<MeshStats, 'identityConflicts'> {
    const stats = this.#core.stats(monotonicNow());
    return {
      ...stats,
      drops: { ...stats.drops, ...this.#admission.drops.snapshot() },
      waitingBytes: this.#links.waitingBytes,
      sockets: this.#node.getConnections().length,
      bans: this.#admission.bans,
    };
  }

  /** Links to relays that have reached this one over UDP. */
  get acceptedLinks(): number {
    return this.#core.links.accepted;
  }

  /** Rooms of this relay have changed: outputs of RelayCore. */
  handleLocalRooms(event: LocalRoomEvent): void {
    this.#drive((core, now) => core.handleLocalRooms(now, event));
  }

  setRecord(record: SignedRelayRecord): void {
    this.#drive((core) => core.setRecord(record));
  }

  /** Takes over what the operator has changed, and reads the file of relays again. */
  async reload(limits: Pick<MeshServerOptions, 'peers' | 'maxRoomSize'>): Promise<void> {
    this.#drive((core) => core.setLimits(limits));
    await this.#load();
  }

  /** Says goodbye on all links and stops. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#links.close('{"type":"bye"}');
    this.#alarm.stop();
    this.#recordCheck.stop();
    if (this.#saveTimer !== null) clearTimeout(this.#saveTimer);
    await this.#save();
    // Streams are flushed in the next turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#node.stop();
  }

  async #start(): Promise<void> {
    this.#gossip.listen();
    try {
      await this.#links.listen();
      await this.#node.start();
    } catch (error) {
      await this.#node.stop();
      throw listenFailed(this.#options.listen, error);
    }
    this.#gossip.subscribe();
    await this.#load();
    this.#drive((core, now) => core.handleTimeout(now));
  }

  /** The only way to the core: it is told the time of day and a command, and is drained. */
  #drive(command: (core: MeshCore, now: Instant) => void): void {
    const now = monotonicNow();
    this.#core.handleWallClock(now, unixSeconds());
    command(this.#core, now);
    // What an output makes the core do is picked up by the running drain.
    if (this.#isDraining || this.#isClosed) return;
    this.#isDraining = true;
    try {
      for (let output = this.#core.poll(); output !== null; output = this.#core.poll())
        this.#perform(output);
    } finally {
      this.#isDraining = false;
    }
    this.#alarm.set(this.#core.deadline);
  }

  #perform(output: MeshOutput): void {
    switch (output.type) {
      case 'frame':
        return this.#links.send(output.to, output.text);
      case 'dial':
        void this.#dial(output.target);
        return;
      case 'hangUp':
        return this.#links.hangUp(output.nk, output.reason, output.isBan);
      case 'publish':
        void this.#gossip.publish(output.record);
        return;
      case 'verdict':
        return this.#gossip.settle(output.id, output.verdict);
      case 'proven':
        for (const socket of this.#guard.prove(output.nk)) this.#admission.places.prove(socket);
        return;
      case 'check':
        void this.#check(output);
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
      const place = multiaddrText(await resolveHost(target.host), target.port);
      const identity = target.nk === null ? '' : `/p2p/${peerIdOf(target.nk).toString()}`;
      const connection = await this.#node.dial(multiaddr(`${place}${identity}`));
      nk = nodeKeyOf(connection.remotePeer);
    } catch (error) {
      const { name, message } = error as Error;
      // Dialling oneself: found out once and not tried again.
      if (name === 'DialError' && target.nk === null && /self/i.test(message))
        nk = this.#options.identity.nk;
      const { host, port } = target;
      this.#options.log.debug({ host, port, error: message }, 'mesh peer did not answer');
    }
    this.#drive((core, now) => core.handleDialed(now, target, nk));
  }

  async #check({ id, record, isNew }: Extract<MeshOutput, { type: 'check' }>): Promise<void> {
    const result = await this.#recordCheck.check(record, isNew);
    this.#drive((core, now) => core.handleChecked(now, id, result));
  }

  async #load(): Promise<void> {
    const records = await loadMeshFile(this.#options.file);
    this.#drive((core, now) => core.handleSaved(now, records));
  }

  async #save(): Promise<void> {
    this.#saveTimer = null;
    const records = this.#core.saved();
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

/** Whether a socket may come in; it is counted for its network until it closes. */
function admit(
  admission: ConnectionAdmission<MultiaddrConnection>,
  socket: MultiaddrConnection,
): boolean {
  const isAdmitted = admission.admitConnection(Date.now(), socket, remoteIpOf(socket), () =>
    socket.abort(new Error('others need the place')),
  );
  if (isAdmitted) socket.addEventListener('close', () => admission.places.release(socket));
  return isAdmitted;
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
