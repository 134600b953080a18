import { lookup } from 'node:dns/promises';
import type { Connection } from '@libp2p/interface';
import { LumameshError, parseIp, unmapIpv4 } from '@lumamesh/base';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** @returns The remote IP address of a connection; empty when it has none. */
export function remoteIpOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string {
  const component = remoteAddr.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6');
  return unmapIpv4(component?.value ?? '');
}

/** @returns An IP address of a host: itself when it is one. Rejects when there is none. */
export async function resolveHost(host: string): Promise<string> {
  return parseIp(host) === null ? (await lookup(host)).address : host;
}

/** Resolves MESH_LISTEN. Rejects with `MESH_LISTEN_FAILED`. */
export async function resolveListen(listen: HostPort | null): Promise<HostPort | null> {
  if (listen === null) return null;
  try {
    return { host: await resolveHost(listen.host), port: listen.port };
  } catch (error) {
    throw listenFailed(listen, error);
  }
}

export function listenFailed(listen: HostPort | null, error: unknown): LumameshError {
  const where = listen === null ? 'nowhere' : `${listen.host}:${listen.port}`;
  return new LumameshError(
    'MESH_LISTEN_FAILED',
    `MESH_LISTEN: cannot listen on ${where}: ${(error as Error).message}`,
    { cause: error },
  );
}
