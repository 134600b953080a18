import type { Instant, LumameshError } from '@lumamesh/base';
import type { PeerState } from '../../api.ts';
import type { PeerPath } from '../relaying/peer-path.ts';

/** One end of a direct connection, without its address. */
export interface CandidateKind {
  /** `host`: its own address; `srflx`, `prflx`: as NATs show it; `relay`: a TURN server's. */
  readonly type: RTCIceCandidateType;
  readonly protocol: 'udp' | 'tcp';
}

/** How a peer is reached, and how much goes there. What is not known is not there. */
export interface PeerStats {
  readonly state: PeerState;
  readonly path: PeerPath;
  /** The round-trip time in ms; 0 before there is one. */
  readonly rttMs: number;
  /** Bytes that the peer has not acknowledged yet. */
  readonly bufferedAmount: number;
  /** What the browser says of the direct connection. */
  readonly connectionState?: RTCPeerConnectionState;
  /** This page's end of it. */
  readonly localCandidate?: CandidateKind;
  /** The peer's end of it. */
  readonly remoteCandidate?: CandidateKind;
  /** The version of DTLS, and the key exchange by its IANA name, where the browser tells. */
  readonly dtlsVersion?: '1.2' | '1.3';
  readonly keyExchange?: string;
  /** Bytes that it has carried, media and overhead included. */
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  /** Bytes per second, over the last second or as long as there was since an earlier call. */
  readonly sendRate?: number;
  readonly receiveRate?: number;
}

/** What went wrong, and when, the oldest first. */
export type Incidents = ReadonlyMap<LumameshError, Instant>;
