import { createHash } from 'node:crypto';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  StrictNoSign,
  gossipsub,
} from '@libp2p/gossipsub';
import type { PeerScore } from '@libp2p/gossipsub/score';
import { type Identify, identify } from '@libp2p/identify';
import type { ConnectionGater, Libp2p } from '@libp2p/interface';
import { noise } from '@libp2p/noise';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import type { ConnectionGuard } from './connection-guard.ts';

export interface Libp2pNodeOptions {
  /** Ed25519 private and public key, 64 bytes: the node key is the libp2p identity. */
  readonly privateKey: Uint8Array;
  readonly psk: Uint8Array;
  readonly listen: { readonly host: string; readonly port: number } | null;
  readonly topic: string;
  readonly gater: ConnectionGater;
  /** `null` for one that trusts whomever it is connected to. */
  readonly guard: ConnectionGuard | null;
  /** Whether many relays share an address here: a test network. */
  readonly isLocal: boolean;
}

/** On gossipsub's class, but not in the interface that it is published under. */
type ScoredGossipSub = GossipSub & {
  getScore(peer: string): number;
  readonly score: Pick<PeerScore, 'peerStats'>;
};

export type MeshNode = Libp2p<{ readonly identify: Identify; readonly pubsub: ScoredGossipSub }>;

/** The hard wall; what is kept is trimmed well below it (LINK_LIMITS). */
const MAX_CONNECTIONS = 400;
/** As many as may be there: whose turn it is, {@link SocketPlaces} decides. */
const MAX_PENDING = MAX_CONNECTIONS;
/** A socket that says nothing holds a place of the upgrade queue for this long. */
const UPGRADE_TIMEOUT_MS = 3000;
const DIAL_TIMEOUT_MS = 5000;
const PING_INTERVAL_MS = 60_000;
const STREAM_WINDOW_BYTES = 262_144;
/** Of one connection: frames, gossip, identification, signs of life, and as many that are being replaced. */
const MAX_STREAMS = 16;
/** New connections a second from one address. */
const INBOUND_PER_SECOND = 5;
const INBOUND_PER_SECOND_LOCAL = 1000;
export const MAX_GOSSIP_BYTES = 4096;
/** Peers below this are hung up on and banned. */
export const GRAYLIST_SCORE = -80;

/**
 * js-libp2p as the mesh uses it: TCP in a private network, Noise, yamux, gossipsub for records.
 * Started by the caller.
 */
export async function makeLibp2pNode(options: Libp2pNodeOptions): Promise<MeshNode> {
  const { listen, guard } = options;
  const protect = preSharedKey({ psk: swarmKey(options.psk), timeout: UPGRADE_TIMEOUT_MS });
  const encrypt = noise();
  const multiplex = yamux({
    maxInboundStreams: MAX_STREAMS,
    maxOutboundStreams: MAX_STREAMS,
    streamOptions: {
      initialStreamWindowSize: STREAM_WINDOW_BYTES,
      maxStreamWindowSize: STREAM_WINDOW_BYTES,
    },
  });
  return createLibp2p({
    start: false,
    nodeInfo: { userAgent: 'lumamesh' },
    privateKey: privateKeyFromRaw(options.privateKey),
    addresses: { listen: listen === null ? [] : [multiaddrText(listen.host, listen.port)] },
    transports: [tcp({ maxConnections: MAX_CONNECTIONS, backlog: MAX_PENDING })],
    connectionProtector: () => {
      const protector = protect();
      return guard?.protector(protector) ?? protector;
    },
    connectionEncrypters: [
      (components: Parameters<typeof encrypt>[0]) => {
        const encrypter = encrypt(components);
        return guard?.encrypter(encrypter) ?? encrypter;
      },
    ],
    streamMuxers: [
      () => {
        const factory = multiplex();
        return guard?.muxerFactory(factory) ?? factory;
      },
    ],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING,
      inboundUpgradeTimeout: UPGRADE_TIMEOUT_MS,
      inboundConnectionThreshold: options.isLocal ? INBOUND_PER_SECOND_LOCAL : INBOUND_PER_SECOND,
      dialTimeout: DIAL_TIMEOUT_MS,
      maxParallelDials: 16,
      maxDialQueueLength: 64,
      reconnectRetries: 0,
    },
    connectionMonitor: { pingInterval: PING_INTERVAL_MS },
    connectionGater: { denyDialMultiaddr: () => false, ...options.gater },
    services: {
      identify: identify({ protocolPrefix: 'lumamesh' }),
      pubsub: scoredGossipsub({
        globalSignaturePolicy: StrictNoSign,
        msgIdFn: (message) => createHash('sha256').update(message.data).digest(),
        allowPublishToZeroTopicPeers: true,
        ignoreDuplicatePublishError: true,
        emitSelf: false,
        floodPublish: false,
        doPX: false,
        tagMeshPeers: false,
        D: 4,
        Dlo: 3,
        Dhi: 6,
        // Sets of records are compared on every link: announcing what was gossiped is not needed
        // besides.
        Dlazy: 0,
        gossipFactor: 0,
        allowedTopics: [options.topic],
        maxInboundDataLength: MAX_GOSSIP_BYTES,
        maxTopicBytesPerPeer: 8192,
        decodeRpcLimits: {
          maxSubscriptions: 8,
          maxMessages: 64,
          maxIhaveMessageIDs: 512,
          maxIwantMessageIDs: 512,
          maxIdontwantMessageIDs: 512,
          maxControlMessages: 64,
          maxPeerInfos: 0,
        },
        scoreParams: {
          IPColocationFactorWhitelist: new Set<string>(),
          // Relays behind one address translation are neighbours, not one relay. How many keys that
          // are gone are remembered is bounded in gossip-scores.ts.
          IPColocationFactorThreshold: options.isLocal ? 1000 : 24,
          retainScore: 600_000,
          topics: {
            [options.topic]: {
              topicWeight: 1,
              timeInMeshWeight: 0.01,
              timeInMeshQuantum: 1000,
              timeInMeshCap: 100,
              firstMessageDeliveriesWeight: 0.5,
              firstMessageDeliveriesDecay: 0.9,
              firstMessageDeliveriesCap: 20,
              // Records come rarely: who delivers none in a minute has done nothing wrong.
              meshMessageDeliveriesWeight: 0,
              meshMessageDeliveriesDecay: 0.5,
              meshMessageDeliveriesCap: 1,
              meshMessageDeliveriesThreshold: 1,
              meshMessageDeliveriesWindow: 10,
              meshMessageDeliveriesActivation: 60_000,
              meshFailurePenaltyWeight: 0,
              meshFailurePenaltyDecay: 0.5,
              invalidMessageDeliveriesWeight: -10,
              invalidMessageDeliveriesDecay: 0.97,
            },
          },
        },
        scoreThresholds: {
          gossipThreshold: -20,
          publishThreshold: -40,
          graylistThreshold: GRAYLIST_SCORE,
          acceptPXThreshold: 1000,
          opportunisticGraftThreshold: 1,
        },
      }),
    },
  });
}

/** See {@link ScoredGossipSub}. */
function scoredGossipsub(
  options: Partial<GossipsubOpts>,
): (components: GossipSubComponents) => ScoredGossipSub {
  return gossipsub(options) as (components: GossipSubComponents) => ScoredGossipSub;
}

/** An address as libp2p writes it. */
export function multiaddrText(ip: string, port: number): string {
  return `/${ip.includes(':') ? 'ip6' : 'ip4'}/${ip}/tcp/${port}`;
}

/** The form that libp2p reads a private-network key in. */
function swarmKey(psk: Uint8Array): Uint8Array {
  return new TextEncoder().encode(
    `/key/swarm/psk/1.0.0/\n/base16/\n${Buffer.from(psk).toString('hex')}`,
  );
}
