import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Socket } from 'node:net';
import { LumameshError, scopeOf } from '@lumamesh/base';
import { BUILD } from '../build-info.ts';
import type { Logger } from '../log.ts';
import type { RelayServer } from '../relay-server.ts';
import type { HealthStats } from '../relay-stats.ts';
import type { HealthMonitor } from './health-monitor.ts';
import type { RelayMetrics } from './metrics.ts';

const REQUEST_TIMEOUT_MS = 5000;
/** Node looks for late requests every 30 s unless told otherwise. */
const TIMEOUTS = {
  requestTimeout: REQUEST_TIMEOUT_MS,
  headersTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
};
const MAX_CONNECTIONS = 16;
const JSON_TYPE = 'application/json';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Serves `/healthz`, `/statsz` and `/metrics`. Throws `HEALTH_LISTEN_FAILED`. */
export class HealthServer {
  readonly #relay: RelayServer;
  readonly #monitor: HealthMonitor;
  readonly #server: Server;
  #metrics: RelayMetrics | null = null;
  readonly #busy = new WeakSet<Socket>();
  /** Connections from the oldest to the newest. */
  readonly #connections = new Set<Socket>();
  #isLoopback = false;
  /** The name that HEALTH_LISTEN gives. */
  #name = '';

  private constructor(relay: RelayServer, monitor: HealthMonitor) {
    this.#relay = relay;
    this.#monitor = monitor;
    this.#server = createServer(TIMEOUTS, (request, response) => {
      // One question at a time: whoever sends many without reading the answers would have all of
      // them kept.
      if (this.#busy.has(request.socket)) return void request.socket.destroy();
      this.#busy.add(request.socket);
      response.once('close', () => this.#busy.delete(request.socket));
      this.#answer(request).then(
        ({ status, type, body }) => {
          response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
          response.end(body);
        },
        (error: unknown) => respondFailure(response, error),
      );
    });
    this.#server.on('connection', (socket) => this.#handleConnection(socket));
  }

  static async start(
    relay: RelayServer,
    monitor: HealthMonitor,
    listen: { readonly host: string; readonly port: number },
    log: Logger,
  ): Promise<HealthServer> {
    const health = new HealthServer(relay, monitor);
    try {
      health.#server.listen(listen.port, listen.host);
      await once(health.#server, 'listening');
    } catch (error) {
      throw new LumameshError(
        'HEALTH_LISTEN_FAILED',
        `HEALTH_LISTEN: cannot listen on ${listen.host}:${listen.port}: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    }
    const address = health.#server.address();
    const host = typeof address === 'object' ? (address?.address ?? '') : '';
    health.#name = listen.host.toLowerCase();
    health.#isLoopback = scopeOf(host) === 'loopback';
    if (!health.#isLoopback)
      log.warn(
        { host },
        'HEALTH_LISTEN is not on loopback: figures of this relay can be read from other machines; nothing private is among them',
      );
    return health;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' ? (address?.port ?? 0) : 0;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /**
   * One more than there may be: the oldest that is not being answered goes, or the oldest, so that
   * connections on which nobody asks, or reads the answer, keep no watcher out.
   */
  #handleConnection(socket: Socket): void {
    const [oldest, ...others] = this.#connections;
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    if (oldest === undefined || this.#connections.size <= MAX_CONNECTIONS) return;
    const idle = [oldest, ...others].find((other) => !this.#busy.has(other));
    (idle ?? oldest).destroy();
  }

  async #answer({ method, url = '', headers }: IncomingMessage): Promise<Answer> {
    if (this.#isLoopback && !isLoopbackHost(headers.host, this.#name))
      return json(421, { error: 'ask by the address that HEALTH_LISTEN names, or localhost' });
    if (method !== 'GET' && method !== 'HEAD') return json(405, { error: 'GET only' });
    switch (url.split('?')[0]) {
      case '/healthz': {
        const { reasons } = this.#monitor;
        const ok = reasons.length === 0;
        return json(ok ? 200 : 503, {
          nodeId: this.#relay.identity.nk,
          ok,
          ts: Date.now(),
          outside: this.#relay.outside.verdict,
          ...(ok ? {} : { reasons }),
        });
      }
      case '/statsz':
        return json(200, this.#stats());
      case '/metrics': {
        // Prometheus's library is loaded for those who ask for it.
        this.#metrics ??= new (await import('./metrics.ts')).RelayMetrics();
        const { contentType } = this.#metrics;
        return { status: 200, type: contentType, body: await this.#metrics.render(this.#stats()) };
      }
      default:
        return json(404, { error: 'there is /healthz, /statsz and /metrics' });
    }
  }

  #stats(): HealthStats {
    const { reasons, eventLoop } = this.#monitor;
    return { ...BUILD, health: reasons, eventLoop, ...this.#relay.stats() };
  }
}

/**
 * Whoever was led here by a name of the internet (DNS rebinding) is a web page, and not the
 * operator's.
 */
function isLoopbackHost(host: string | undefined, own: string): boolean {
  const name = (host ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  return ['', 'localhost', own].includes(name) || scopeOf(name) === 'loopback';
}

function json(status: number, body: unknown): Answer {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(body)}\n` };
}

function respondFailure(response: ServerResponse, error: unknown): void {
  response.writeHead(500, { 'content-type': JSON_TYPE });
  response.end(
    `${JSON.stringify({ error: error instanceof Error ? error.message : String(error) })}\n`,
  );
}
