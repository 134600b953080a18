import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface StrictPage {
  readonly url: string;
  close(): Promise<void>;
}

/** What a sandboxed page is left with: no fetch, no WebSocket, nothing from anywhere but the scripts in it. */
const STRICT_POLICY = "default-src 'none'; script-src 'unsafe-inline'";

/**
 * Serves one page on localhost with its scripts in it, by default under a policy that forbids every other way to the network.
 * @param host whose family is that of the address which Firefox gathers by: the one from which it would ask this server
 */
export async function serveStrictPage(
  script: string,
  policy = STRICT_POLICY,
  host = 'localhost',
): Promise<StrictPage> {
  // The only sequence that ends an inline script early.
  const inline = script.replaceAll('</script', '<\\/script');
  const html = `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,"><script type="module">${inline}</script>`;
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': policy });
    response.end(html);
  });
  server.listen(0, host === 'localhost' ? '127.0.0.1' : host.replaceAll(/[[\]]/g, ''));
  await once(server, 'listening');
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}/`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** An address of this host that both browsers dial: Firefox does not dial loopback. `null` when there is none. */
export function findTestAddress(): string | null {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? null;
}
