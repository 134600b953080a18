import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { BrowserName } from './launch.ts';
import { type LogEntry, waitForEntry } from './log-entry.ts';
import { SYSTEM_PATH, inNamespace } from './namespaces.ts';
import type {
  AgentCommand,
  AgentReply,
  AgentRequest,
  Datagram,
  UdpAddress,
} from './nat-messages.ts';

const END_TIMEOUT_MS = 20_000;

/** A machine in a network namespace: the test's end of the agent that lives there. */
export class NatHost {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #nextId = 1;
  #stderr = '';

  constructor(namespace: string) {
    const [program = '', ...parameters] = inNamespace(namespace, [
      process.execPath,
      join(import.meta.dirname, 'nat-agent.ts'),
    ]);
    // The runner of this test reads its standard output: no child may write there.
    this.#child = spawn(program, parameters, {
      env: { ...process.env, PATH: SYSTEM_PATH },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (data: Buffer) => (this.#stderr += data.toString()));
    this.#child.on('message', (reply: AgentReply) => this.#handleReply(reply));
    this.#child.on('error', (error) => this.#fail(error.message));
    this.#child.on('exit', () => this.#fail('the agent has ended'));
  }

  /** Starts a browser here, with a page of this host's own localhost that runs `script`; the script must set `globalThis.harness`. */
  async openTab(
    browser: BrowserName,
    script: string,
    proxy?: string,
    isIpv6 = false,
  ): Promise<NatTab> {
    return new NatTab(
      this,
      browser,
      await this.ask<number>({ command: 'openTab', browser, script, proxy, isIpv6 }),
    );
  }

  async openSocket(isIpv6 = false): Promise<NatSocket> {
    return new NatSocket(this, await this.ask<number>({ command: 'openSocket', isIpv6 }));
  }

  async fetchJson(url: string): Promise<unknown> {
    return this.ask({ command: 'fetchJson', url });
  }

  /** @internal */
  async ask<T>(command: AgentCommand): Promise<T> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    if (!this.#child.connected) this.#fail('the agent has ended');
    else
      this.#child.send(
        { ...command, id } satisfies AgentRequest,
        (error) => error !== null && this.#fail(error.message),
      );
    return (await answer.promise) as T;
  }

  /** Closes the browsers here and ends the agent. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), END_TIMEOUT_MS);
    if (this.#child.connected) this.#child.disconnect();
    await ended;
    clearTimeout(limit);
  }

  #handleReply(reply: AgentReply): void {
    const answer = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('error' in reply) answer?.reject(new Error(reply.error));
    else answer?.resolve(reply.value);
  }

  #fail(reason: string): void {
    for (const answer of this.#waiting.values())
      answer.reject(new Error(`${reason} ${this.#stderr}`));
    this.#waiting.clear();
  }
}

/** A tab with the harness in it, in another network namespace. Has the methods of the browser tests' `Tab`. */
export class NatTab {
  readonly name: BrowserName;
  readonly #host: NatHost;
  readonly #id: number;

  constructor(host: NatHost, name: BrowserName, id: number) {
    this.#host = host;
    this.name = name;
    this.#id = id;
  }

  /** Calls a function of the harness. */
  async call<T>(method: string, ...values: readonly unknown[]): Promise<T> {
    return this.evaluate<T>(
      `globalThis.harness[${JSON.stringify(method)}](...${JSON.stringify(values)})`,
    );
  }

  /** Evaluates an expression in the page, and waits for it when it is a promise. */
  async evaluate<T>(expression: string): Promise<T> {
    return this.#host.ask<T>({ command: 'evaluate', tab: this.#id, expression });
  }

  async log(): Promise<LogEntry[]> {
    return this.call<LogEntry[]>('log');
  }

  /** Waits until the log has an entry of this kind (and value); fails with the whole log otherwise. */
  async waitFor(event: string, value?: unknown, limitMs = 30_000): Promise<LogEntry> {
    return waitForEntry(this, { event, value }, limitMs, async () =>
      this.#host.ask<string[]>({ command: 'pageErrors', tab: this.#id }),
    );
  }

  async close(): Promise<void> {
    await this.#host.ask({ command: 'closeTab', tab: this.#id });
  }

  /** Ends the browser as a crash does: nothing is said to anybody. */
  async kill(): Promise<void> {
    await this.#host.ask({ command: 'killTab', tab: this.#id });
  }
}

/** A UDP socket on a host, to see what its router does. */
export class NatSocket {
  readonly #host: NatHost;
  readonly #id: number;

  constructor(host: NatHost, id: number) {
    this.#host = host;
    this.#id = id;
  }

  /** From where a STUN server (every relay is one) sees this socket; `null` when it does not answer. */
  async mapped(server: UdpAddress, timeoutMs = 20_000): Promise<UdpAddress | null> {
    return this.#host.ask({ command: 'mapped', socket: this.#id, server, timeoutMs });
  }

  async send(to: UdpAddress, text: string): Promise<void> {
    await this.#host.ask({ command: 'send', socket: this.#id, to, text });
  }

  /** All that has come so far, without the answers of STUN servers. */
  async received(): Promise<Datagram[]> {
    return this.#host.ask({ command: 'received', socket: this.#id });
  }

  async close(): Promise<void> {
    await this.#host.ask({ command: 'closeSocket', socket: this.#id });
  }
}
