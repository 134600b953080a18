import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { LumameshError } from '@lumamesh/base';
import type { Identity } from '../identity.ts';

/** A lock that is held until it is released, or the process ends in whatever way. */
export type InstanceLock = () => Promise<void>;

/**
 * Makes sure that no other relay on this machine has the same identity: two would each take half of
 * what is sent to "the" relay. Throws `IDENTITY_IN_USE`. The lock is a socket name that the kernel
 * gives back by itself (abstract on Linux, a pipe on Windows). Nothing is locked elsewhere, nor
 * between containers; relays of a mesh find such twins out by their records.
 */
export async function lockIdentity(identity: Identity, nodeKeyFile: string): Promise<InstanceLock> {
  const path = lockPath(identity);
  if (path === null) return async () => undefined;
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen({ path });
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return async () => undefined;
    throw new LumameshError(
      'IDENTITY_IN_USE',
      `a relay with the identity of ${nodeKeyFile} is running on this machine already: stop it first, or give this one a NODE_KEY of its own`,
      { cause: error },
    );
  }
  server.unref();
  return async () => {
    server.close();
    await once(server, 'close');
  };
}

/**
 * Of the secret key, so that nobody who knows only the public one can take the name. While it is
 * held, users of the machine can see it.
 */
function lockPath({ rawNodeKey }: Identity): string | null {
  const name = `lumamesh-relay-${createHash('sha256').update('lumamesh instance lock\n').update(rawNodeKey).digest('hex').slice(0, 32)}`;
  if (process.platform === 'linux') return `\0${name}`;
  return process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : null;
}
