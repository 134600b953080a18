import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CHANNEL_ID,
  type RelayMessage,
  type SignedRelayRecord,
  parseRelayMessage,
} from '@lumamesh/protocol';
import { RelayProcess, connectToRelay, until } from '@lumamesh/testkit';
import type { UdpClient } from '@lumamesh/transport/io';

/* Real relay processes on loopback, each at an address (and so in a /24) of its own, and clients that join rooms over UDP. */

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

/** Relay `i` of a test, at 127.0.<i + 1>.1. */
export class MeshRelay extends RelayProcess {
  readonly address: string;
  readonly folder: string;

  constructor(i: number, folder: string, environment: Record<string, string>) {
    super({ environment: { ...environmentOf(i, folder), ...environment } });
    this.address = addressOf(i);
    this.folder = folder;
  }

  async stats(): Promise<MeshStats & { readonly memory: { readonly rssBytes: number } }> {
    const response = await fetch(`http://${this.address}:${HEALTH_PORT}/statsz`);
    const { mesh, memory } = (await response.json()) as {
      mesh: MeshStats;
      memory: { rssBytes: number };
    };
    return { ...mesh, memory };
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

/** Whether every relay knows all the others. The first that does not ends the question: asking takes time that thirty processes on two cores need. */
export async function isComplete(relays: readonly MeshRelay[]): Promise<boolean> {
  for (const relay of relays)
    if ((await relay.stats()).records.alive !== relays.length - 1) return false;
  return true;
}

/** A client in one room of one relay. */
export class RoomClient {
  readonly heard: RelayMessage[] = [];
  #client: UdpClient | null = null;

  static async join(record: SignedRelayRecord, room: string, peer: string): Promise<RoomClient> {
    const client = await RoomClient.connect(record);
    client.send({
      action: 'join',
      room: room.padEnd(43, '_'),
      peer: peer.padEnd(22, '_'),
      presence: peer,
    });
    await until(
      () => client.heard.some(({ action }) => action === 'joined'),
      `no joined from ${record.ip}`,
    );
    return client;
  }

  static async connect(record: SignedRelayRecord): Promise<RoomClient> {
    const made = new RoomClient();
    made.#client = await connectToRelay(record, (event) => {
      const message = event.type === 'message' ? parseRelayMessage(String(event.data)) : null;
      if (message?.ok === true) made.heard.push(message.value);
    });
    await until(() => made.heard.length > 0, `no welcome from ${record.ip}`);
    return made;
  }

  send(message: Record<string, unknown>): void {
    this.#client?.send(CHANNEL_ID, JSON.stringify(message));
  }

  sees(peer: string): boolean {
    let isThere = false;
    for (const message of this.heard) {
      if (message.action === 'joined' && message.members.some((member) => member.presence === peer))
        isThere = true;
      if (message.action === 'peer-joined' && message.presence === peer) isThere = true;
      if (message.action === 'peer-left' && message.peer === peer.padEnd(22, '_')) isThere = false;
    }
    return isThere;
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }
}
