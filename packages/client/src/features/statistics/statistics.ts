import { type Instant, type LumameshError, dropOldest } from '@lumamesh/base';
import type { Api, Feature, NetHandle, RoomHandle } from '../../feature.ts';
import type { PeerStats } from './peer-stats.ts';
import type * as StatisticsHelp from './statistics-help.ts';

export interface StatisticsPeer {
  /**
   * Measures the path to the peer. Takes a quarter of a second at first, for the rates; never
   * rejects.
   */
  stats(): Promise<PeerStats>;
}

export interface StatisticsNet {
  /**
   * A text for a bug report: versions, relays, rooms, peers and the last errors, without names,
   * passwords, keys or addresses of peers. Never rejects.
   */
  report(): Promise<string>;
}

export interface StatisticsApi extends Api {
  readonly net: StatisticsNet;
  readonly peer: StatisticsPeer;
}

const MAX_INCIDENTS = 32;

/** A file of its own, for pages that ask; rejects where it may not be loaded. */
const loadHelp = async (): Promise<typeof StatisticsHelp> => import('./statistics-help.ts');

/** What goes on: `peer.stats()`, `net.report()`. */
export function statistics(): Feature<StatisticsApi> {
  const incidents = new Map<LumameshError, Instant>();
  const note = ({ platform }: NetHandle | RoomHandle, what: LumameshError | null): void => {
    // A relay's error is there for as long as the relay is away.
    if (what === null || incidents.has(what)) return;
    dropOldest(incidents, MAX_INCIDENTS);
    incidents.set(what, platform.now());
  };
  return {
    name: 'statistics',
    net: (net) => {
      net.on('error', (error) => note(net, error));
      net.on('status', ({ relays }) => relays.forEach(({ error }) => note(net, error)));
      return {
        api: {
          report: async () =>
            loadHelp().then(
              ({ writeReport }) => writeReport(net, incidents),
              () => `${net.status.state} ${net.status.code}`,
            ),
        },
      };
    },
    room: (room) => {
      room.on('error', (error) => note(room, error));
      return {};
    },
    peer: (peer) => ({
      api: {
        stats: async () => {
          const { state, isOpen, isDirect, rttMs, bufferedAmount } = peer;
          const path = isOpen ? (isDirect ? 'direct' : 'forwarded') : 'none';
          const known = { state, path, rttMs, bufferedAmount } as const;
          try {
            return await (await loadHelp()).measure(known, peer);
          } catch {
            return known;
          }
        },
      },
    }),
  };
}
