import { existsSync } from 'node:fs';
import puppeteer, { type Browser } from 'puppeteer-core';

export type BrowserName = 'chromium' | 'firefox';

const CANDIDATES: Readonly<Record<BrowserName, readonly string[]>> = {
  chromium: ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'],
  firefox: ['/usr/bin/firefox-esr', '/usr/bin/firefox'],
};

/** Nothing here changes how WebRTC behaves: a test sees what a visitor's browser does. */
const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** Where a browser is on this machine, or `null`. */
export function findBrowser(name: BrowserName): string | null {
  const chosen = process.env[`${name.toUpperCase()}_PATH`];
  return [...(chosen === undefined ? [] : [chosen]), ...CANDIDATES[name]].find((path) => existsSync(path)) ?? null;
}

/** Starts a real browser, headless, with a fresh profile. */
export async function launchBrowser(name: BrowserName): Promise<Browser> {
  const executablePath = findBrowser(name);
  if (executablePath === null) throw new Error(`${name} is not installed`);
  return puppeteer.launch({
    browser: name === 'chromium' ? 'chrome' : 'firefox',
    executablePath,
    headless: true,
    args: name === 'chromium' ? CHROMIUM_ARGUMENTS : [],
    timeout: 60_000,
  });
}
