import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * A TCP port that is free now, for MESH_LISTEN with port 0: the record must name it before anybody
 * listens there.
 */
export async function freePort(host: string): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
