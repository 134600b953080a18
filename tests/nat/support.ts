import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { build } from 'esbuild';
import {
  type BrowserName,
  type HomeKind,
  NatNetwork,
  type NatRelay,
  type NatTab,
  findBrowser,
  whyNoNatNetwork,
} from '@lumamesh/testkit/browsers';

const MEET_LIMIT_MS = 60_000;
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

/** A network, and browsers in its homes. */
export interface Lab {
  readonly network: NatNetwork;
  readonly tabs: readonly (NatTab | null)[];
}

/**
 * One network with a browser in each home, or none, for all tests of a suite: starting browsers is what takes longest.
 * @param prepare what is to be so before they are there
 */
export function shareLab(
  homes: readonly (readonly [HomeKind, BrowserName | null])[],
  prepare?: (network: NatNetwork) => void,
): () => Lab {
  let lab: Lab | undefined;
  let network: NatNetwork | undefined;
  before(async () => {
    const made = await NatNetwork.start(homes.map(([kind]) => kind));
    network = made;
    prepare?.(made);
    const script = await bundleHarness();
    const opening = homes.map(async ([, name], i) =>
      name === null ? null : made.openTab(i, name, script),
    );
    lab = { network: made, tabs: await Promise.all(opening) };
  });
  after(() => network?.stop());
  return () => {
    assert.ok(lab !== undefined);
    return lab;
  };
}

/** The tab in home `i` of a lab. */
export function tabOf({ tabs }: Lab, i: number): NatTab {
  const tab = tabs[i];
  assert.ok(tab !== undefined && tab !== null, `no tab ${i}`);
  return tab;
}

/** Two tabs join a room at a relay, as Ada and as Bob, and talk directly when this is over. */
export async function meetAsAdaAndBob(relay: NatRelay, ada: NatTab, bob: NatTab): Promise<void> {
  for (const [tab, nick, peers] of [
    [ada, 'Ada', 0],
    [bob, 'Bob', 1],
  ] as const) {
    await tab.call('clearLog');
    await tab.call('join', [relay.record], 'tea', nick, '');
    await tab.waitFor('joined', peers, MEET_LIMIT_MS);
  }
  await Promise.all([
    ada.waitFor('open', 'Bob', MEET_LIMIT_MS),
    bob.waitFor('open', 'Ada', MEET_LIMIT_MS),
  ]);
}

/** The numbers that a tab has heard, in their order. */
export async function numbersHeard(tab: NatTab): Promise<readonly number[]> {
  return (await tab.log()).flatMap(({ event, value }) =>
    event === 'data' && typeof value === 'number' ? [value] : [],
  );
}

let harness: Promise<string> | null = null;

/** The harness of tests/browser as one script. */
async function bundleHarness(): Promise<string> {
  harness ??= build({
    entryPoints: [join(import.meta.dirname, '../browser/page/harness.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? '');
  return harness;
}
