import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayProcess } from './relay-process.ts';
import { until } from './waiting.ts';

/* Real relay processes of one mesh on loopback, each at an address (and so in a /24) of its own. */

export const SALT = 'relays in processes';
/**
 * Ports of the three kinds, apart from those of other test files in the same network; every relay of
 * one file has an address of its own.
 */
const FIRST_PORT = 20_000 + (process.pid % 4000) * 3;
const UDP_PORT = String(FIRST_PORT);
const MESH_PORT = FIRST_PORT + 1;
const HEALTH_PORT = FIRST_PORT + 2;

export interface MeshStats {
  readonly records: { readonly alive: number };
  readonly links: {
    readonly outbound: number;
    readonly inbound: number;
    readonly proven: number;
    readonly accepted: number;
  };
  readonly sockets: number;
  readonly bans: number;
  readonly drops: Record<string, number>;
  readonly identityConflicts: number;
}

export interface MeshRelayStats extends MeshStats {
  readonly memory: { readonly rssBytes: number };
  readonly sessions: { readonly established: number; readonly halfOpen: number };
}

/** Relay `i` of a test, at 127.0.<i + 1>.1. */
export class MeshRelay extends RelayProcess {
  readonly address: string;
  readonly folder: string;

  constructor(i: number, folder: string, environment: Record<string, string>) {
    super({ environment: { ...environmentOf(i, folder), ...environment } });
    this.address = addressOf(i);
    this.folder = folder;
  }

  async stats(): Promise<MeshRelayStats> {
    const response = await fetch(`http://${this.address}:${HEALTH_PORT}/statsz`);
    const { mesh, memory, sessions } = (await response.json()) as MeshRelayStats & {
      readonly mesh: MeshStats;
    };
    return { ...mesh, memory, sessions };
  }

  /** Waits until another relay has taken it in. */
  async hasLinks(): Promise<void> {
    await until(
      async () => (await this.stats()).links.accepted > 0,
      `${this.address} is not taken in`,
    );
  }
}

/** The settings of relay `i`, whose files are in `folder`. */
export function environmentOf(i: number, folder: string): Record<string, string> {
  const address = addressOf(i);
  const file = (name: string): string => join(folder, `${i}.${name}`);
  return {
    PUBLIC_IP: address,
    LISTEN_IP: address,
    UDP_PORT,
    CERT_FILE: file('crt'),
    KEY_FILE: file('key'),
    NODE_KEY: file('node'),
    MESH_FILE: file('mesh'),
    MESH_SALT: SALT,
    MESH_LISTEN: `${address}:${MESH_PORT}`,
    HEALTH_LISTEN: `${address}:${HEALTH_PORT}`,
    LOG_LEVEL: 'info',
  };
}

export function addressOf(i: number): string {
  return `127.0.${i + 1}.1`;
}

export function meshAddressOf(i: number): string {
  return `${addressOf(i)}:${MESH_PORT}`;
}

/** Runs a test with a folder and a way to start relays; all of them end with it. */
export async function withRelays(
  test: (
    start: (i: number, peers: readonly number[], environment?: Record<string, string>) => MeshRelay,
  ) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-mesh-'));
  const relays: MeshRelay[] = [];
  try {
    await test((i, peers, environment = {}) => {
      const relay = new MeshRelay(i, folder, {
        MESH_PEERS: peers.map(meshAddressOf).join(','),
        ...environment,
      });
      relays.push(relay);
      return relay;
    });
  } finally {
    await Promise.all(relays.map((relay) => relay.end('SIGKILL')));
    await rm(folder, { recursive: true, force: true });
  }
}
