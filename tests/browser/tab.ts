import { after } from 'node:test';
import type { Browser, BrowserContext, Page } from 'puppeteer-core';
import {
  type BrowserName,
  type LogEntry,
  launchBrowser,
  waitForEntry,
} from '@lumamesh/testkit/browsers';

/**
 * Browsers without a tab, for the next one: to start a browser costs seconds of a core. None ever
 * has two tabs of a test, for a tab that is not in front is held back.
 */
const idle: Readonly<Record<BrowserName, Browser[]>> = { chromium: [], firefox: [] };

after(async () => {
  await Promise.all([...idle.chromium, ...idle.firefox].map((browser) => browser.close()));
});

/** A tab with the harness in it, in a browser that has no other, with nothing stored. */
export class Tab {
  readonly page: Page;
  readonly name: BrowserName;
  readonly #context: BrowserContext;
  /** Whether its browser is as every other of this name, and can have the next tab. */
  readonly #isPlain: boolean;
  readonly #errors: string[] = [];
  #isClosed = false;

  private constructor(name: BrowserName, context: BrowserContext, page: Page, isPlain: boolean) {
    this.name = name;
    this.page = page;
    this.#context = context;
    this.#isPlain = isPlain;
    page.on('pageerror', (error) => this.#errors.push(String(error)));
  }

  /**
   * @param group a group id that the browser runs in
   * @param more arguments of the browser
   * @param preferences of Firefox
   */
  static async open(
    name: BrowserName,
    url: string,
    group?: number,
    more?: readonly string[],
    preferences?: Readonly<Record<string, unknown>>,
  ): Promise<Tab> {
    const isPlain = group === undefined && more === undefined && preferences === undefined;
    const browser =
      (isPlain ? idle[name].pop() : undefined) ??
      (await launchBrowser(name, group, more, preferences));
    try {
      const context = await browser.createBrowserContext();
      const tab = new Tab(name, context, await context.newPage(), isPlain);
      await tab.page.goto(url);
      await tab.page.waitForFunction('globalThis.harness !== undefined');
      return tab;
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  /** Opens another tab beside this one, which the same visitor has. */
  async openBeside(url: string): Promise<Page> {
    const page = await this.#context.newPage();
    await page.goto(url);
    return page;
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
    if (this.#isClosed) return;
    this.#isClosed = true;
    const browser = this.#context.browser();
    if (this.#isPlain && browser.connected) {
      await this.#context.close();
      idle[this.name].push(browser);
    } else await browser.close();
  }

  /** Ends the browser as a crash does: nothing is said to anybody. */
  kill(): void {
    this.#isClosed = true;
    this.#context.browser().process()?.kill('SIGKILL');
  }
}

/** {@link Tab.open} at the page of a test. */
export type OpenTab = (
  name: BrowserName,
  more?: readonly string[],
  preferences?: Readonly<Record<string, unknown>>,
) => Promise<Tab>;

/** Runs a test that opens tabs, which are closed when it ends. */
export async function withTabs(url: string, test: (open: OpenTab) => Promise<void>): Promise<void> {
  const tabs: Tab[] = [];
  try {
    await test(async (name, more, preferences) => {
      const tab = await Tab.open(name, url, undefined, more, preferences);
      tabs.push(tab);
      return tab;
    });
  } finally {
    for (const tab of tabs) await tab.close().catch(() => undefined);
  }
}
