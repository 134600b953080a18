import type { NetStatus, PeerRole, PeerState, RoomState } from '../../../api.ts';
import type { PeerStats } from '../../../features/statistics/peer-stats.ts';

/** What is shown of a peer; `stats` is there with the feature `statistics`. */
export interface InspectedPeer {
  readonly id: string;
  readonly nick: string;
  readonly role: PeerRole;
  readonly state: PeerState;
  readonly rttMs: number;
  readonly bufferedAmount: number;
  stats?(): Promise<PeerStats>;
}

export interface InspectedRoom {
  readonly name: string;
  readonly state: RoomState;
  readonly peers: readonly InspectedPeer[];
}

/** Any net: that of `lumamesh`, and that of `lumamesh/core` with whatever features. */
export interface InspectedNet {
  readonly status: NetStatus;
  /** Every net has them, whether its type says so or not. */
  readonly rooms?: Iterable<InspectedRoom>;
}

/** A row of a table: its key, and the text of its cells. */
export type Row = readonly [key: string, ...cells: readonly string[]];

/** More peers than this are shown without what it costs to measure. */
const MAX_MEASURED = 50;

export function relayRows({ status }: InspectedNet): readonly Row[] {
  return status.relays.map(({ nk, address, state, connectMs, transport, error }) => [
    nk,
    address,
    state,
    connectMs > 0 ? `${Math.round(connectMs)} ms${transport === 'tcp' ? ' (TCP)' : ''}` : '',
    error?.code ?? '',
  ]);
}

export function roomRows({ rooms = [] }: InspectedNet): readonly Row[] {
  return [...rooms].map(({ name, state, peers }, i) => [
    String(i),
    name,
    state,
    String(peers.length),
  ]);
}

export async function peerRows({ rooms = [] }: InspectedNet): Promise<readonly Row[]> {
  const peers = [...rooms].flatMap((room, i) =>
    room.peers.map((peer) => [`${i} ${peer.id}`, room.name, peer] as const),
  );
  return Promise.all(
    peers.map(async ([key, room, peer], i): Promise<Row> => {
      const stats: Partial<PeerStats> =
        i < MAX_MEASURED ? ((await peer.stats?.().catch(() => undefined)) ?? {}) : {};
      const { path = '', localCandidate: here, remoteCandidate: there } = stats;
      const ends = [here, there].map((end) => (end ? `${end.type}/${end.protocol}` : ''));
      return [
        key,
        peer.nick || peer.id.slice(0, 6),
        room,
        peer.role === 'observer' ? `${peer.state} (observer)` : peer.state,
        ends[0] === '' ? path : `${path} ${ends.join(' → ')}`,
        peer.rttMs > 0 ? `${Math.round(peer.rttMs)} ms` : '',
        rateText(stats.sendRate),
        rateText(stats.receiveRate),
        bytesText(peer.bufferedAmount),
      ];
    }),
  );
}

const rateText = (rate: number | undefined): string =>
  rate === undefined ? '' : `${bytesText(rate)}/s`;

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
