import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { LumameshError } from '@lumamesh/base';
import { type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';

const PAGE_FOLDER = join(import.meta.dirname, '../page');

/**
 * The page may load its own script and style and nothing else: neither fetch nor WebSocket is
 * needed to reach a relay.
 */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/** One of each page. */
const SCRIPTS = ['main', 'together'];

const read = async (file: string): Promise<Uint8Array> => readFile(join(PAGE_FOLDER, file));

export interface Site {
  readonly port: number;
  close(): Promise<void>;
}

/** Bundles the demo page with the relay's record in it and serves it on localhost. */
export async function serveSite(
  record: SignedRelayRecord,
  port: number,
  mayMove: boolean,
): Promise<Site> {
  const bundle = await build({
    entryPoints: SCRIPTS.map((name) => join(PAGE_FOLDER, `${name}.ts`)),
    outdir: '/',
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    define: { RELAY_RECORD: JSON.stringify(encodeRecordLine(record)) },
  });
  const files = new Map<string, { readonly type: string; readonly body: string | Uint8Array }>([
    ['/', { type: 'text/html', body: await read('index.html') }],
    ['/together', { type: 'text/html', body: await read('together.html') }],
    ['/style.css', { type: 'text/css', body: await read('style.css') }],
    ['/together.css', { type: 'text/css', body: await read('together.css') }],
    ...bundle.outputFiles.map(
      ({ path, text }) => [`/${basename(path)}`, { type: 'text/javascript', body: text }] as const,
    ),
  ]);
  const server = createServer((request, response) => {
    const file = files.get(request.url?.split('?')[0] ?? '');
    if (file === undefined || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
      return;
    }
    response.writeHead(200, {
      'content-type': `${file.type}; charset=utf-8`,
      'content-security-policy': POLICY,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : file.body);
  });
  await listen(server, port, mayMove);
  return {
    // A server that listens on TCP has an AddressInfo.
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function listen(server: Server, port: number, mayMove: boolean): Promise<void> {
  try {
    server.listen(port, 'localhost');
    await once(server, 'listening');
  } catch (error) {
    if (mayMove && (error as NodeJS.ErrnoException).code === 'EADDRINUSE')
      return listen(server, 0, false);
    throw new LumameshError(
      'HTTP_LISTEN_FAILED',
      `cannot serve the page on localhost:${port}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
