import { join } from 'node:path';
import { build } from 'esbuild';
import {
  type BrowserName,
  type HomeKind,
  NatNetwork,
  type NatTab,
  findBrowser,
  whyNoNatNetwork,
} from '@lumamesh/testkit/browsers';

const BROWSERS: readonly BrowserName[] = ['chromium', 'firefox'];

/** Why NAT tests cannot run here, or `null`. */
export function whySkipped(): string | null {
  const missing = BROWSERS.filter((name) => findBrowser(name) === null);
  if (missing.length > 0)
    return `${missing.join(' and ')} not installed (Debian: apt-get install chromium firefox-esr)`;
  return whyNoNatNetwork();
}

/** Runs a test in a network of its own, with a way to open browsers with the harness of the browser tests in its homes; all of it ends with the test. */
export async function withNatNetwork(
  kinds: readonly HomeKind[],
  test: (
    network: NatNetwork,
    open: (i: number, name: BrowserName) => Promise<NatTab>,
  ) => Promise<void>,
  delayMs = 0,
): Promise<void> {
  const network = await NatNetwork.start(kinds, delayMs);
  try {
    await test(network, async (i, name) => network.openTab(i, name, await bundleHarness()));
  } finally {
    await network.stop();
  }
}

let harness: Promise<string> | null = null;

/** The harness of tests/browser as one script. */
export async function bundleHarness(): Promise<string> {
  harness ??= build({
    entryPoints: [join(import.meta.dirname, '../browser/page/harness.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? '');
  return harness;
}
