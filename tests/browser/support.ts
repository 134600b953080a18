import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page } from 'puppeteer-core';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import {
  type BrowserName,
  type LogEntry,
  type StrictPage,
  findBrowser,
  findTestAddress,
  launchBrowser,
  serveStrictPage,
  waitForEntry,
} from '@lumamesh/testkit/browsers';

export const BROWSERS: readonly BrowserName[] = ['chromium', 'firefox'];

/** A harness of page/ as one script. */
async function bundleHarness(file: string): Promise<string> {
  const result = await build({
    entryPoints: [join(import.meta.dirname, `page/${file}`)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  });
  return result.outputFiles[0]?.text ?? '';
}

export async function serveHarness(file = 'harness.ts', policy?: string): Promise<StrictPage> {
  return serveStrictPage(await bundleHarness(file), policy);
}

/** A tab with the harness in it. */
export class Tab {
  readonly browser: Browser;
  readonly page: Page;
  readonly name: BrowserName;
  readonly #errors: string[] = [];

  private constructor(name: BrowserName, browser: Browser, page: Page) {
    this.name = name;
    this.browser = browser;
    this.page = page;
    page.on('pageerror', (error) => this.#errors.push(String(error)));
  }

  static async open(
    name: BrowserName,
    url: string,
    group?: number,
    more?: readonly string[],
    preferences?: Readonly<Record<string, unknown>>,
  ): Promise<Tab> {
    const browser = await launchBrowser(name, group, more, preferences);
    try {
      const tab = new Tab(name, browser, await browser.newPage());
      await tab.page.goto(url);
      await tab.page.waitForFunction('globalThis.harness !== undefined');
      return tab;
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  /** Calls a function of the harness. */
  async call<T>(method: string, ...values: readonly unknown[]): Promise<T> {
    return this.page.evaluate(
      `globalThis.harness[${JSON.stringify(method)}](...${JSON.stringify(values)})`,
    ) as Promise<T>;
  }

  async log(): Promise<LogEntry[]> {
    return this.call<LogEntry[]>('log');
  }

  /** Waits until the log has an entry of this kind (and value); fails with the whole log otherwise. */
  async waitFor(event: string, value?: unknown, limitMs = 20_000): Promise<LogEntry> {
    return waitForEntry(this, { event, value }, limitMs, async () => this.#errors);
  }

  async close(): Promise<void> {
    await this.browser.close();
  }

  /** Ends the browser as a crash does: nothing is said to anybody. */
  kill(): void {
    this.browser.process()?.kill('SIGKILL');
  }
}

export interface TestRelay {
  readonly record: SignedRelayRecord;
  readonly server: RelayServer;
  /** Ends the relay and starts it again on the same port with the same identity. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** A relay on the test address, with an identity of its own. */
export async function startRelay(environment: Record<string, string> = {}): Promise<TestRelay> {
  const address = findTestAddress();
  assert.ok(address !== null, 'this host has no address but loopback');
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-browser-'));
  const inFolder = (file: string): string => join(folder, file);
  const files = {
    CERT_FILE: inFolder('server.crt'),
    KEY_FILE: inFolder('server.key'),
    NODE_KEY: inFolder('node.key'),
    MESH_FILE: inFolder('mesh-relays.txt'),
  };
  const config = {
    ...readConfig({ environment: { PUBLIC_IP: address, ...files, ...environment } }),
    udpPort: Number(environment['UDP_PORT'] ?? 0),
  };
  let server = await RelayServer.start(config, silentLogger);
  return {
    record: server.record,
    get server() {
      return server;
    },
    async restart() {
      await server.close();
      server = await RelayServer.start({ ...config, udpPort: server.record.port }, silentLogger);
    },
    async close() {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Why browser tests cannot run here, or `null`. */
export function whySkipped(): string | null {
  const missing = BROWSERS.filter((name) => findBrowser(name) === null);
  if (missing.length > 0)
    return `${missing.join(' and ')} not installed (Debian: apt-get install chromium firefox-esr)`;
  return findTestAddress() === null
    ? 'this host has no address but loopback, which Firefox does not dial'
    : null;
}
