import { Counter, Gauge, Registry } from 'prom-client';
import type { HealthStats } from '../relay-stats.ts';
import { MESH_METRICS } from './mesh-metrics.ts';
import { type Metric, byLabel, one } from './metric.ts';

/**
 * Prometheus's naming: base units, `_total` for counters. `deploy/grafana-dashboard.json` shows
 * these.
 */
const METRICS: Readonly<Record<string, Metric>> = {
  lumamesh_build_info: {
    kind: 'gauge',
    help: 'Always 1; version, commit, runtime and I/O path (native, node) are its labels.',
    labels: ['version', 'commit', 'runtime', 'io'],
    read: ({ version, commit, runtime, io }) => [
      { value: 1, labels: { version, commit, runtime, io: io.name } },
    ],
  },
  lumamesh_up_seconds: {
    kind: 'gauge',
    help: 'Seconds since the relay started.',
    read: one(({ uptimeSeconds }) => uptimeSeconds),
  },
  lumamesh_healthy: {
    kind: 'gauge',
    help: '1 while /healthz says ok, 0 otherwise.',
    read: one(({ health }) => (health.length === 0 ? 1 : 0)),
  },
  lumamesh_sessions: {
    kind: 'gauge',
    help: 'Sessions of browsers by state.',
    labels: ['state'],
    read: byLabel('state', ({ sessions: { established, halfOpen } }) => ({
      established,
      half_open: halfOpen,
    })),
  },
  lumamesh_handshakes_total: {
    kind: 'counter',
    help: 'DTLS handshakes finished, by version and key exchange.',
    labels: ['version', 'group'],
    read: ({ handshakes }) =>
      Object.entries(handshakes).map(([kind, value]) => {
        const [version = '', group = ''] = kind.split(' ');
        return { value, labels: { version, group } };
      }),
  },
  lumamesh_sessions_max: {
    kind: 'gauge',
    help: 'MAX_SESSIONS.',
    read: one(({ sessions }) => sessions.max),
  },
  lumamesh_rooms: {
    kind: 'gauge',
    help: 'Rooms with members on this relay.',
    read: one(({ rooms }) => rooms.rooms),
  },
  lumamesh_members: {
    kind: 'gauge',
    help: 'Members of rooms on this relay.',
    read: one(({ rooms }) => rooms.members),
  },
  lumamesh_joins_total: {
    kind: 'counter',
    help: 'Joins that were taken.',
    read: one(({ joins }) => joins),
  },
  lumamesh_signals_total: {
    kind: 'counter',
    help: 'Sealed signals passed on.',
    read: one(({ signals }) => signals),
  },
  lumamesh_errors_total: {
    kind: 'counter',
    help: 'Error frames sent to sessions.',
    read: one(({ errors }) => errors),
  },
  lumamesh_outside: {
    kind: 'gauge',
    help: 'Whether the relay is reached from outside: 1 for what is so, unknown while nobody has seen it.',
    labels: ['verdict'],
    read: byLabel('verdict', ({ outside: { verdict } }) => ({
      reached: verdict === 'reached' ? 1 : 0,
      unreached: verdict === 'unreached' ? 1 : 0,
      unknown: verdict === 'unknown' ? 1 : 0,
    })),
  },
  lumamesh_record_expires_timestamp_seconds: {
    kind: 'gauge',
    help: 'Until when the record of this relay holds (own, signed anew every day), and its line in the public list.',
    labels: ['where'],
    read: ({ record: { expires, published } }) => [
      { value: expires, labels: { where: 'own' } },
      ...(published === null ? [] : [{ value: published, labels: { where: 'published' } }]),
    ],
  },
  lumamesh_record_info: {
    kind: 'gauge',
    help: 'Always 1; what the record says of the relay: nickname and contact, empty where it has none, and whether it is private.',
    labels: ['nickname', 'contact', 'access'],
    read: ({ record: { nickname = '', contact = '' }, access }) => [
      { value: 1, labels: { nickname, contact, access: access === undefined ? 'open' : 'token' } },
    ],
  },
  lumamesh_access_tokens: {
    kind: 'gauge',
    help: 'Tokens that let into a private relay (ACCESS_TOKENS).',
    read: ({ access }) => (access === undefined ? [] : [{ value: access.tokens }]),
  },
  lumamesh_access_waiting: {
    kind: 'gauge',
    help: 'Sessions that have not shown a token yet.',
    read: ({ access }) => (access === undefined ? [] : [{ value: access.waiting }]),
  },
  lumamesh_access_denied_total: {
    kind: 'counter',
    help: 'Sessions that were ended for a wrong token.',
    read: ({ access }) => (access === undefined ? [] : [{ value: access.denied }]),
  },
  lumamesh_dial_backs_total: {
    kind: 'counter',
    help: 'Relays dialled because they asked to be, by what came of it.',
    labels: ['result'],
    read: byLabel('result', ({ dialBacks }) => dialBacks),
  },
  lumamesh_datagrams_total: {
    kind: 'counter',
    help: 'UDP datagrams of the browser-facing port.',
    labels: ['direction'],
    read: byLabel('direction', ({ traffic }) => ({
      in: traffic.datagramsIn,
      out: traffic.datagramsOut,
    })),
  },
  lumamesh_bytes_total: {
    kind: 'counter',
    help: 'Bytes in these datagrams.',
    labels: ['direction'],
    read: byLabel('direction', ({ traffic }) => ({ in: traffic.bytesIn, out: traffic.bytesOut })),
  },
  lumamesh_send_errors_total: {
    kind: 'counter',
    help: 'Datagrams that could not be sent.',
    read: one(({ traffic }) => traffic.sendErrors),
  },
  lumamesh_drops_total: {
    kind: 'counter',
    help: 'What was not taken, by reason.',
    labels: ['reason'],
    read: byLabel('reason', ({ drops }) => drops),
  },
  lumamesh_event_loop_delay_seconds: {
    kind: 'gauge',
    help: 'How long the event loop was held up in the last ten seconds, by percentile.',
    labels: ['percentile'],
    read: byLabel('percentile', ({ eventLoop: { p50Ms, p99Ms, maxMs } }) => ({
      '50': p50Ms / 1000,
      '99': p99Ms / 1000,
      '100': maxMs / 1000,
    })),
  },
  lumamesh_resident_memory_bytes: {
    kind: 'gauge',
    help: 'Resident memory of the process.',
    read: one(({ memory }) => memory.rssBytes),
  },
  lumamesh_held_bytes: {
    kind: 'gauge',
    help: 'What sessions make the relay hold: received, waiting and not acknowledged, at what it costs.',
    read: one(({ memory }) => memory.heldBytes),
  },
  lumamesh_held_bytes_max: {
    kind: 'gauge',
    help: 'What all sessions together may make it hold; beyond it the greediest are closed.',
    read: one(({ memory }) => memory.maxHeldBytes),
  },
  lumamesh_bandwidth_max_bytes: {
    kind: 'gauge',
    help: 'MAX_BANDWIDTH: bytes per second in and out at most.',
    read: ({ bandwidth }) => (bandwidth === undefined ? [] : [{ value: bandwidth.bytesPerSecond }]),
  },
  lumamesh_bandwidth_waiting_bytes: {
    kind: 'gauge',
    help: 'What waits to be sent because of it.',
    read: ({ bandwidth }) => (bandwidth === undefined ? [] : [{ value: bandwidth.waitingBytes }]),
  },
  lumamesh_monthly_traffic_bytes: {
    kind: 'gauge',
    help: 'Sent and received in this calendar month of UTC (MONTHLY_TRAFFIC), headers and mesh included.',
    read: ({ monthly }) => (monthly === undefined ? [] : [{ value: monthly.bytes }]),
  },
  lumamesh_monthly_traffic_max_bytes: {
    kind: 'gauge',
    help: 'MONTHLY_TRAFFIC.',
    read: ({ monthly }) => (monthly === undefined ? [] : [{ value: monthly.max }]),
  },
  lumamesh_resting: {
    kind: 'gauge',
    help: '1 while the traffic of the month is used, and the relay rests.',
    read: ({ monthly }) => (monthly === undefined ? [] : [{ value: monthly.isResting ? 1 : 0 }]),
  },
  lumamesh_tcp_sockets: {
    kind: 'gauge',
    help: 'Connections over TCP (TCP_PORT).',
    read: ({ tcp }) => (tcp === undefined ? [] : [{ value: tcp.sockets }]),
  },
  lumamesh_turn_allocations: {
    kind: 'gauge',
    help: 'Ends of connections that the relay forwards between (TURN_RATE).',
    read: ({ turn }) => (turn === undefined ? [] : [{ value: turn.allocations }]),
  },
  lumamesh_turn_credentials: {
    kind: 'gauge',
    help: 'Sessions in rooms that may have it forwarded.',
    read: ({ turn }) => (turn === undefined ? [] : [{ value: turn.credentials }]),
  },
  lumamesh_turn_forwarded_datagrams_total: {
    kind: 'counter',
    help: 'Datagrams forwarded between browsers.',
    read: ({ turn }) => (turn === undefined ? [] : [{ value: turn.forwardedDatagrams }]),
  },
  lumamesh_turn_forwarded_bytes_total: {
    kind: 'counter',
    help: 'Bytes in them, without headers.',
    read: ({ turn }) => (turn === undefined ? [] : [{ value: turn.forwardedBytes }]),
  },
  lumamesh_turn_rate_bytes: {
    kind: 'gauge',
    help: 'TURN_RATE: bytes per second forwarded at most.',
    read: ({ turn }) => (turn === undefined ? [] : [{ value: turn.bytesPerSecond }]),
  },
  ...MESH_METRICS,
};

/** `/metrics`: the figures of `/statsz` for Prometheus. */
export class RelayMetrics {
  readonly #registry = new Registry();
  readonly #metrics: readonly { readonly metric: Counter | Gauge; readonly read: Metric['read'] }[];

  constructor() {
    this.#metrics = Object.entries(METRICS).map(([name, { kind, help, labels = [], read }]) => {
      const options = { name, help, labelNames: [...labels], registers: [this.#registry] };
      return { metric: kind === 'counter' ? new Counter(options) : new Gauge(options), read };
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async render(stats: HealthStats): Promise<string> {
    for (const { metric, read } of this.#metrics) {
      // The relay counts for itself; what stands here is only how Prometheus wants to read it.
      metric.reset();
      for (const { value, labels = {} } of read(stats)) metric.inc(labels, value);
    }
    return this.#registry.metrics();
  }
}
