import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  return (
    [...(chosen === undefined ? [] : [chosen]), ...CANDIDATES[name]].find((path) =>
      existsSync(path),
    ) ?? null
  );
}

/**
 * Starts a real browser, headless, with a fresh profile.
 * @param group a group id to run it in, for firewall rules that are to concern this browser only; needs root
 * @param more further arguments of the program
 * @param preferences of Firefox (about:config)
 */
export async function launchBrowser(
  name: BrowserName,
  group?: number,
  more: readonly string[] = [],
  preferences: Readonly<Record<string, unknown>> = {},
): Promise<Browser> {
  const found = findBrowser(name);
  if (found === null) throw new Error(`${name} is not installed`);
  const executablePath = group === undefined ? found : inGroup(found, group);
  return puppeteer.launch({
    browser: name === 'chromium' ? 'chrome' : 'firefox',
    executablePath,
    headless: true,
    args: [...(name === 'chromium' ? CHROMIUM_ARGUMENTS : []), ...more],
    ...(name === 'firefox' ? { extraPrefsFirefox: { ...preferences } } : {}),
    timeout: 60_000,
  });
}

/** A program that is the browser, in another group. */
function inGroup(browser: string, group: number): string {
  const script = join(mkdtempSync(join(tmpdir(), 'lumamesh-group-')), 'browser');
  writeFileSync(
    script,
    `#!/bin/sh\nexec setpriv --regid ${group} --clear-groups ${browser} "$@"\n`,
    { mode: 0o755 },
  );
  return script;
}
