import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeRecordLine } from '@lumamesh/protocol';
import { pause, until } from '@lumamesh/testkit';
import { BROWSERS, serveHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/* `peer.stats()` and `net.report()` in real browsers. */

const skip = whySkipped() ?? false;

interface Stats {
  readonly path: string;
  readonly rttMs: number;
  readonly connectionState?: string;
  readonly localCandidate?: { readonly type: string; readonly protocol: string };
  readonly remoteCandidate?: { readonly type: string; readonly protocol: string };
  readonly dtlsVersion?: string;
  readonly bytesSent?: number;
  readonly sendRate?: number;
}

for (const name of BROWSERS)
  describe(`statistics in ${name}`, { skip }, () => {
    it('say how a peer is reached, and what a report needs without secrets', async () => {
      // One script, from nowhere: the file apart cannot be loaded, or the script has it inside.
      const [page, relay] = [await serveHarness('statistics.ts'), await startRelay()];
      const tabs: Tab[] = [];
      try {
        const line = encodeRecordLine(relay.record);
        for (const browser of [name, 'chromium'] as const) {
          const tab = await Tab.open(browser, page.url);
          tabs.push(tab);
          await tab.call('join', line, 'planted-room', 'planted-nick', 'planted-password');
        }
        const [tab] = tabs;
        assert.ok(tab !== undefined);
        await until(
          async () => (await tab.call('openPeers')) === 1,
          () => 'no peer is open',
        );
        const before = await tab.call<Stats>('stats');
        assert.equal(before.path, 'direct');
        assert.equal(before.connectionState, 'connected');
        for (const end of [before.localCandidate, before.remoteCandidate]) {
          assert.match(end?.type ?? '', /^(host|srflx|prflx)$/);
          assert.equal(end?.protocol, 'udp');
        }
        // Firefox does not tell.
        if (name === 'chromium') assert.equal(before.dtlsVersion, '1.3');
        await tab.call('send', 500_000);
        const after = await tab.call<Stats>('stats');
        assert.ok(
          (after.bytesSent ?? 0) - (before.bytesSent ?? 0) >= 500_000,
          JSON.stringify(after),
        );
        assert.ok((after.sendRate ?? 0) > 10_000, JSON.stringify(after));
        const report = await tab.call<string>('report');
        assert.doesNotMatch(report, /planted/);
        assert.doesNotMatch(report, /\d+\.\d+\.\d+\.\d+:/);
        assert.match(report, /1 peers\n {2}- .{6}: member, open, direct \w+\/udp → \w+\/udp/);
        if (name === 'chromium') assert.match(report, /\n- .{6}: open, .*, DTLS 1\.3, /);
        assert.match(report, name === 'firefox' ? /browser: .*Firefox/ : /browser: .*Chrome/);
      } finally {
        for (const tab of tabs) await tab.close().catch(() => undefined);
        await page.close();
        await relay.close();
      }
    });

    it('are shown by an inspector, which runs nothing that strangers say, and stops', async () => {
      const [page, relay] = [await serveHarness('statistics.ts'), await startRelay()];
      const tabs: Tab[] = [];
      try {
        const line = encodeRecordLine(relay.record);
        for (const [browser, nick] of [
          [name, 'Ada'],
          ['chromium', '<img src=x onerror="document.title=1"><b>Eve</b>'],
        ] as const) {
          const tab = await Tab.open(browser, page.url);
          tabs.push(tab);
          await tab.call('join', line, 'tea', nick, '');
        }
        const [tab] = tabs;
        assert.ok(tab !== undefined);
        await tab.call('inspect');
        let shown = '';
        await until(
          async () => {
            shown = await tab.call<string>('shown');
            return /onerror=.*direct \w+\/udp → \w+\/udp.*B\/s/.test(shown);
          },
          () => shown,
        );
        assert.match(shown, /^online.*open.*tea/);
        assert.equal(await tab.call('elements'), 0);
        assert.equal(await tab.page.title(), 'test');
        assert.deepEqual(await tab.call('look'), [
          { caption: 'Relays', heads: 4, collapse: 'collapse', rows: 1 },
          { caption: 'Rooms', heads: 3, collapse: 'collapse', rows: 1 },
          { caption: 'Peers', heads: 8, collapse: 'collapse', rows: 1 },
        ]);
        await tab.call('count');
        const grows = async (): Promise<void> => {
          const reads = await tab.call<number>('reads');
          await until(
            async () => (await tab.call<number>('reads')) > reads + 1,
            () => 'it does not look again',
          );
        };
        await grows();
        await tab.call('detach');
        const reads = await tab.call<number>('reads');
        await pause(2500);
        assert.equal(await tab.call('reads'), reads);
        await tab.call('attach');
        await grows();
      } finally {
        for (const tab of tabs) await tab.close().catch(() => undefined);
        await page.close();
        await relay.close();
      }
    });
  });
