import type { Connection, PeerId, Stream } from '@libp2p/interface';
import { FairShare } from '../../core/mesh/fair-share.ts';
import type { Logger } from '../log.ts';
import { BAN_MS, type ConnectionAdmission } from './bans.ts';
import { boundScores } from './gossip-scores.ts';
import { GRAYLIST_SCORE, type MeshNode } from './libp2p-node.ts';
import { remoteIpOf } from './mesh-address.ts';
import { nodeKeyOf, peerIdOf } from './node-key.ts';
import { FrameWriter, type ReadBudget, makeReadBudget, readFrames } from './mesh-stream.ts';

/** What happens on links. */
export interface MeshLinksEvents {
  opened(nk: string, isOutbound: boolean, address: string): void;
  closed(nk: string): void;
  frame(nk: string, text: string): void;
}

export interface MeshLinksOptions {
  readonly node: MeshNode;
  /** This relay's node key. */
  readonly nk: string;
  readonly admission: Pick<ConnectionAdmission<unknown>, 'ban'>;
  readonly log: Logger;
  /** Bytes that wait for all relays together. */
  readonly maxWaitingBytes: number;
  readonly on: MeshLinksEvents;
}

/** Of the streams with frames of the mesh. */
export const PROTOCOL = '/lumamesh/relay/1';
const STREAM_TIMEOUT_MS = 5000;
const FORGET_AFTER_MS = 5000;

/** What a link stands on: the core has the record of it, by the same node key. */
interface LinkStreams {
  readonly connection: Connection;
  readonly writer: FrameWriter;
  readonly budget: ReadBudget;
  inbound: Stream | null;
}

/** Links on libp2p: one connection to each relay, and a stream each way. */
export class MeshLinks {
  readonly #options: MeshLinksOptions;
  /** Bytes that wait to be sent, by node key. */
  readonly #waiting: FairShare<string>;
  /** By node key. */
  readonly #streams = new Map<string, LinkStreams>();
  #isClosed = false;

  constructor(options: MeshLinksOptions) {
    this.#options = options;
    this.#waiting = new FairShare(options.maxWaitingBytes);
  }

  /** To be called before the node starts. */
  async listen(): Promise<void> {
    const { node } = this.#options;
    node.addEventListener('peer:connect', ({ detail }) => this.#handleConnected(detail));
    node.addEventListener('peer:disconnect', ({ detail }) => this.#handleDisconnected(detail));
    node.services.pubsub.addEventListener('gossipsub:heartbeat', () => this.#banBadGossipers());
    await node.handle(PROTOCOL, (stream, connection) => this.#handleStream(stream, connection), {
      maxInboundStreams: 2,
      maxOutboundStreams: 2,
    });
  }

  /** Bytes that wait to be sent. */
  get waitingBytes(): number {
    return this.#waiting.total;
  }

  send(nk: string, text: string): void {
    this.#streams.get(nk)?.writer.send(text);
  }

  /** Says a last thing on all links. */
  close(farewell: string): void {
    for (const { writer } of this.#streams.values()) writer.send(farewell);
    this.#isClosed = true;
  }

  hangUp(nk: string, reason: string, isBan: boolean): void {
    const { node, log, on } = this.#options;
    const connections = node.getConnections(peerIdOf(nk));
    if (isBan) {
      this.#options.admission.ban(Date.now(), nk, connections.map(remoteIpOf));
      log.warn({ relay: nk, reason, minutes: BAN_MS / 60_000 }, 'a mesh peer was banned');
    } else log.debug({ relay: nk, reason }, 'mesh link ended');
    const wasLinked = this.#streams.delete(nk);
    for (const connection of connections)
      void connection
        .close()
        .catch((error: unknown) =>
          connection.abort(error instanceof Error ? error : new Error(reason)),
        );
    if (wasLinked) on.closed(nk);
  }

  #handleConnected(peer: PeerId): void {
    const nk = nodeKeyOf(peer);
    const [connection] = this.#options.node.getConnections(peer);
    if (nk !== null && connection !== undefined) this.#streamsOf(nk, connection);
  }

  #handleDisconnected(peer: PeerId): void {
    const nk = nodeKeyOf(peer);
    if (nk !== null && this.#streams.delete(nk)) this.#options.on.closed(nk);
    void this.#forget(peer);
  }

  /** Nothing of a peer is kept beyond its connections; libp2p would, for good. */
  async #forget(peer: PeerId): Promise<void> {
    const { node, log } = this.#options;
    // What its last streams still had to write down comes first.
    await new Promise((resolve) => setTimeout(resolve, FORGET_AFTER_MS).unref());
    if (node.status !== 'started' || node.getConnections(peer).length > 0) return;
    await node.peerStore.delete(peer).catch((error: unknown) => {
      log.debug({ error: String(error) }, 'a peer could not be forgotten');
    });
  }

  /** Opens the way out to a relay when it is first heard of, by connection or by stream. */
  #streamsOf(nk: string, connection: Connection): LinkStreams {
    const known = this.#streams.get(nk);
    if (known !== undefined) return known;
    const isCurrent = (): boolean => this.#streams.get(nk) === streams;
    const writer = new FrameWriter(nk, this.#waiting, (reason) => {
      if (isCurrent()) this.#handleStreamEnd(nk, streams, reason);
    });
    const streams: LinkStreams = { connection, writer, budget: makeReadBudget(), inbound: null };
    this.#streams.set(nk, streams);
    connection.newStream(PROTOCOL, { signal: AbortSignal.timeout(STREAM_TIMEOUT_MS) }).then(
      (stream) => {
        if (isCurrent()) writer.open(stream);
        else stream.abort(new Error('the link has ended'));
      },
      () => {
        if (isCurrent()) this.hangUp(nk, 'noStream', false);
      },
    );
    this.#options.on.opened(nk, connection.direction === 'outbound', remoteIpOf(connection));
    return streams;
  }

  #handleStream(stream: Stream, connection: Connection): void {
    const nk = nodeKeyOf(connection.remotePeer);
    if (nk === null || this.#isClosed) return stream.abort(new Error('not now'));
    const current = this.#streams.get(nk);
    if (current !== undefined && current.connection !== connection) {
      if (!this.#isPreferred(nk, connection, current.connection))
        return stream.abort(new Error('there is another link'));
      this.#replace(nk, current);
    }
    const streams = this.#streamsOf(nk, connection);
    // One at a time: the limits are those of a relay, not of a stream.
    streams.inbound?.abort(new Error('replaced'));
    streams.inbound = stream;
    const isCurrent = (): boolean =>
      this.#streams.get(nk) === streams && streams.inbound === stream;
    readFrames(stream, streams.budget, {
      frame: (text) => {
        if (isCurrent()) this.#options.on.frame(nk, text);
      },
      fault: (drop) => {
        if (isCurrent()) this.hangUp(nk, drop, true);
      },
    });
  }

  /** Which of two connections to one relay is to be the link: both sides decide alike. */
  #isPreferred(nk: string, connection: Connection, current: Connection): boolean {
    // The later one of the same side: the earlier is dead, or of a twin with the same key. When
    // both dialled, the one of the smaller key.
    if (connection.direction === current.direction) return true;
    return (connection.direction === 'outbound') === this.#options.nk < nk;
  }

  /** Another connection to the relay is about to become the link. */
  #replace(nk: string, { connection }: LinkStreams): void {
    if (this.#streams.delete(nk)) this.#options.on.closed(nk);
    void connection.close().catch(() => undefined);
  }

  /** Our way out to a relay has ended. Another connection to it begins a new link. */
  #handleStreamEnd(nk: string, streams: LinkStreams, reason: string): void {
    const other = this.#options.node
      .getConnections(peerIdOf(nk))
      .find((open) => open !== streams.connection && open.status === 'open');
    if (other === undefined) return this.hangUp(nk, reason, false);
    this.#replace(nk, streams);
    this.#streamsOf(nk, other);
  }

  /** Gossipsub stops listening to a peer of bad score but keeps the connection; here it goes. */
  #banBadGossipers(): void {
    const { pubsub } = this.#options.node.services;
    boundScores(pubsub.score.peerStats);
    for (const nk of [...this.#streams.keys()]) {
      if (pubsub.getScore(peerIdOf(nk).toString()) < GRAYLIST_SCORE)
        this.hangUp(nk, 'badGossip', true);
    }
  }
}
