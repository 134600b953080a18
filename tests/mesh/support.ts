import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CHANNEL_ID,
  type RelayMessage,
  type SignedRelayRecord,
  parseRelayMessage,
} from '@lumamesh/protocol';
import { connectToRelay } from '@lumamesh/testkit';
import type { UdpClient } from '@lumamesh/transport/io';

/* Real relay processes on loopback, each at an address (and so in a /24) of its own, and clients that join rooms over UDP. */

/** The program from its sources; the benchmark says where its bundle is. */
export const mainOf = (): string =>
  process.env['RELAY_MAIN'] ?? join(import.meta.dirname, '../../packages/relay/src/cli/main.ts');
export const SALT = 'relays in processes';
/** Ports of the three kinds; every relay has its own address, but test files run one after another in one network. */
const UDP_PORT = '23478';
const MESH_PORT = 23_402;
const HEALTH_PORT = 23_401;

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

export class RelayProcess {
  readonly child: ChildProcess;
  readonly address: string;
  readonly folder: string;
  stderr = '';
  #stdout = '';

  private constructor(child: ChildProcess, address: string, folder: string) {
    this.child = child;
    this.address = address;
    this.folder = folder;
    child.stdout?.on('data', (data: Buffer) => (this.#stdout += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (this.stderr += data.toString()));
  }

  /** Relay `i` of a test, at 127.0.<i + 1>.1. */
  static spawn(i: number, folder: string, environment: Record<string, string>): RelayProcess {
    const env = { PATH: process.env['PATH'] ?? '', ...environmentOf(i, folder), ...environment };
    return new RelayProcess(spawn(process.execPath, [mainOf()], { env }), addressOf(i), folder);
  }

  get record(): SignedRelayRecord {
    return JSON.parse(this.#stdout.split('\n')[0] ?? '') as SignedRelayRecord;
  }

  async ready(): Promise<void> {
    const endsAt = Date.now() + 120_000;
    while (this.#stdout.split('\n').length < 3) {
      assert.ok(
        Date.now() < endsAt && this.child.exitCode === null,
        `relay at ${this.address}: ${this.#stdout} ${this.stderr}`,
      );
      await pause(20);
    }
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

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    if (this.child.exitCode === null && this.child.signalCode === null)
      await once(this.child, 'exit');
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
    start: (
      i: number,
      peers: readonly number[],
      environment?: Record<string, string>,
    ) => RelayProcess,
  ) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-mesh-'));
  const relays: RelayProcess[] = [];
  try {
    await test((i, peers, environment = {}) => {
      const relay = RelayProcess.spawn(i, folder, {
        MESH_PEERS: peers.map(meshAddressOf).join(','),
        ...environment,
      });
      relays.push(relay);
      return relay;
    });
  } finally {
    await Promise.all(relays.map((relay) => relay.kill()));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Waits for something to become true, asking again and again; answers how long it took. */
export async function until(
  isDone: () => Promise<boolean> | boolean,
  what: string | (() => string),
  timeoutMs = 60_000,
): Promise<number> {
  const startedAt = performance.now();
  while (!(await isDone())) {
    assert.ok(performance.now() - startedAt < timeoutMs, typeof what === 'string' ? what : what());
    await pause(50);
  }
  return performance.now() - startedAt;
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether every relay knows all the others. The first that does not ends the question: asking takes time that thirty processes on two cores need. */
export async function isComplete(relays: readonly RelayProcess[]): Promise<boolean> {
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
