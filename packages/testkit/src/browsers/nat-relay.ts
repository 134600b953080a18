import { join } from 'node:path';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayProcess } from '../relay-process.ts';
import type { NatHost } from './nat-host.ts';
import { SYSTEM_PATH, inNamespace } from './namespaces.ts';

const UDP_PORT = '3478';
const MESH_PORT = 7402;
const HEALTH_PORT = 7401;

/** The relay's program, at an address of its own on the internet. */
export class NatRelay {
  readonly address: string;
  readonly #namespace: string;
  readonly #internet: NatHost;
  readonly #environment: Readonly<Record<string, string>>;
  #process: RelayProcess | null = null;

  /** @param folder where it keeps its identity, which a restart finds again */
  constructor(
    namespace: string,
    internet: NatHost,
    address: string,
    folder: string,
    environment: Readonly<Record<string, string>>,
  ) {
    this.#namespace = namespace;
    this.#internet = internet;
    this.address = address;
    const file = (name: string): string => join(folder, `${address}.${name}`);
    const files = {
      CERT_FILE: file('crt'),
      KEY_FILE: file('key'),
      NODE_KEY: file('node'),
      MESH_FILE: file('mesh'),
    };
    const addresses = {
      PUBLIC_IP: address,
      UDP_PORT,
      HEALTH_LISTEN: `${inUrl(address)}:${HEALTH_PORT}`,
    };
    const mesh = 'MESH_SALT' in environment ? { MESH_LISTEN: this.meshAddress } : {};
    this.#environment = {
      PATH: SYSTEM_PATH,
      LOG_LEVEL: 'warn',
      ...files,
      ...addresses,
      ...mesh,
      ...environment,
    };
  }

  /** The settings it runs with, for commands that look at the same relay. */
  get environment(): Readonly<Record<string, string>> {
    return this.#environment;
  }

  /** What a browser joins by. */
  get record(): SignedRelayRecord {
    if (this.#process === null) throw new Error('this relay was not started');
    return this.#process.record;
  }

  /** What it has logged. */
  get log(): string {
    return this.#process?.stderr ?? '';
  }

  /** Has it read its settings again, and look at what may have changed around it. */
  reload(): void {
    this.#process?.child.kill('SIGHUP');
  }

  /** For MESH_PEERS of other relays; this one listens there when MESH_SALT is set. */
  get meshAddress(): string {
    return `${inUrl(this.address)}:${MESH_PORT}`;
  }

  /** For {@link NatSocket.mapped}. */
  get stunServer(): { readonly address: string; readonly port: number } {
    return { address: this.address, port: Number(UDP_PORT) };
  }

  /** Where /statsz is. */
  get statsUrl(): string {
    return `http://${inUrl(this.address)}:${HEALTH_PORT}/statsz`;
  }

  /** What /statsz of the relay tells. */
  async stats(): Promise<Record<string, unknown>> {
    return (await this.#internet.fetchJson(this.statsUrl)) as Record<string, unknown>;
  }

  async start(): Promise<void> {
    this.#process = new RelayProcess({
      // A test process that is killed takes its relays along.
      prefix: inNamespace(this.#namespace, ['setpriv', '--pdeathsig', 'KILL']),
      environment: this.#environment,
    });
    await this.#process.ready();
  }

  /** Ends it as an operator does: it says goodbye. {@link start} starts it again, with the same identity. */
  async close(): Promise<void> {
    await this.#process?.end('SIGTERM');
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await this.#process?.end('SIGKILL');
  }
}

export interface CommandOutcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the relay's program in a namespace, to its end. */
export async function runRelayCommand(
  namespace: string,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<CommandOutcome> {
  const command = new RelayProcess({
    prefix: inNamespace(namespace, []),
    parameters,
    environment: { PATH: SYSTEM_PATH, ...environment },
  });
  const code = await command.exitCode();
  return { code, stdout: command.stdout, stderr: command.stderr };
}

function inUrl(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
