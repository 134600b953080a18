import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { LumameshError } from '@lumamesh/base';
import type { RelayServer } from './relay-server.ts';

const REQUEST_TIMEOUT_MS = 5000;

/** Serves `/healthz` and `/statsz`. Throws `HEALTH_LISTEN_FAILED`. */
export async function startHealthServer(relay: RelayServer, listen: { readonly host: string; readonly port: number }): Promise<Server> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) =>
    answer(relay, request, response),
  );
  server.maxConnections = 64;
  try {
    server.listen(listen.port, listen.host);
    await once(server, 'listening');
  } catch (error) {
    throw new LumameshError('HEALTH_LISTEN_FAILED', `HEALTH_LISTEN: cannot listen on ${listen.host}:${listen.port}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return server;
}

function answer(relay: RelayServer, request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.split('?')[0];
  if (request.method !== 'GET' && request.method !== 'HEAD') return respond(response, 405, { error: 'GET only' });
  if (path === '/healthz') return respond(response, 200, { nodeId: relay.identity.nk, ok: true, ts: Date.now() });
  if (path === '/statsz') return respond(response, 200, relay.stats());
  return respond(response, 404, { error: 'there is /healthz and /statsz' });
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(`${JSON.stringify(body)}\n`);
}
