import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { NatHost } from './nat-host.ts';
import { SYSTEM_PATH, inNamespace } from './namespaces.ts';

const MAIN = join(import.meta.dirname, '../../../relay/src/cli/main.ts');
const UDP_PORT = '3478';
const MESH_PORT = 7402;
const HEALTH_PORT = 7401;
const READY_TIMEOUT_MS = 60_000;

/** The relay's program, at an address of its own on the internet. */
export class NatRelay {
  readonly address: string;
  readonly #namespace: string;
  readonly #internet: NatHost;
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | null = null;
  #output = '';

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
    // A relay that listens everywhere answers from the first address of its namespace, whichever was asked.
    const addresses = {
      PUBLIC_IP: address,
      LISTEN_IP: address,
      UDP_PORT,
      HEALTH_LISTEN: `${address}:${HEALTH_PORT}`,
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
    return JSON.parse(this.#output.split('\n')[0] ?? '') as SignedRelayRecord;
  }

  /** For MESH_PEERS of other relays; this one listens there when MESH_SALT is set. */
  get meshAddress(): string {
    return `${this.address}:${MESH_PORT}`;
  }

  /** For {@link NatSocket.mapped}. */
  get stunServer(): { readonly address: string; readonly port: number } {
    return { address: this.address, port: Number(UDP_PORT) };
  }

  /** What /statsz of the relay tells. */
  async stats(): Promise<Record<string, unknown>> {
    return (await this.#internet.fetchJson(
      `http://${this.address}:${HEALTH_PORT}/statsz`,
    )) as Record<string, unknown>;
  }

  async start(): Promise<void> {
    // A test process that is killed takes its relays along.
    const [program = '', ...parameters] = inNamespace(this.#namespace, [
      'setpriv',
      '--pdeathsig',
      'KILL',
      process.execPath,
      MAIN,
    ]);
    const child = spawn(program, parameters, {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#output = '';
    let errors = '';
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const failed = (reason: string): void =>
      reject(new Error(`relay at ${this.address}: ${reason} ${errors}`));
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    child.stdout.on('data', (data: Buffer) => {
      this.#output += data.toString();
      if (this.#output.split('\n').length > 2) resolve();
    });
    child.on('error', (error) => failed(error.message));
    child.on('exit', () => failed('has ended'));
    const limit = setTimeout(() => failed('is not up'), READY_TIMEOUT_MS);
    try {
      await promise;
    } finally {
      clearTimeout(limit);
    }
  }

  /** Ends it as an operator does: it says goodbye. {@link start} starts it again, with the same identity. */
  async close(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
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
  const [program = '', ...rest] = inNamespace(namespace, [process.execPath, MAIN, ...parameters]);
  const child = spawn(program, rest, {
    env: { PATH: SYSTEM_PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}
