import { encodeRecordLine } from '@lumamesh/protocol';
import { until } from '@lumamesh/testkit';
import { serveHarness, startRelay } from './support.ts';
import { type OpenTab, type Tab, withTabs } from './tab.ts';

export interface World {
  readonly options: { readonly relay: string; readonly name: string };
  readonly open: OpenTab;
  readonly url: string;
}

/** A relay, and a page with the harness of page/yjs.ts in tabs. */
export async function withWorld(test: (world: World) => Promise<void>): Promise<void> {
  const relay = await startRelay();
  const page = await serveHarness('yjs.ts');
  try {
    const options = { relay: encodeRecordLine(relay.record), name: 'notes' };
    await withTabs(page.url, async (open) => test({ options, open, url: page.url }));
  } finally {
    await page.close();
    await relay.close().catch(() => undefined);
  }
}

/** A member, and the tab that it is in. */
export type Member = readonly [tab: Tab, nick: string];

export async function hashes(members: readonly Member[]): Promise<readonly string[]> {
  return Promise.all(members.map(async ([tab, nick]) => tab.call<string>('hashOf', nick)));
}

/** Waits until all have the same, and some of it. */
export async function untilSame(members: readonly Member[], limitMs?: number): Promise<void> {
  let last: readonly string[] = [];
  await until(
    async () => {
      last = await hashes(members);
      return new Set(last).size === 1 && !last[0]?.startsWith('0 ');
    },
    async () => {
      const logs = await Promise.all(members.map(async ([tab]) => tab.log()));
      return `${JSON.stringify(last)}\n${JSON.stringify(logs.map((log) => log.slice(-20)))}`;
    },
    limitMs,
  );
}
