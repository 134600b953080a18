import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RebindingNat, patience } from '@lumamesh/testkit';
import { findTestAddress, serveStrictPage } from '@lumamesh/testkit/browsers';
import { BROWSERS, bundleHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/** Firefox checks its pair every 5 s: until then the relay does not know where it is. */
const CHECK_MS = 6000;
const skip = whySkipped() ?? false;

describe('a NAT that gives a browser another port', { skip }, () => {
  for (const name of BROWSERS)
    it(`costs ${name} neither its session nor its place in a room`, async () => {
      const relay = await startRelay();
      const address = findTestAddress() ?? '127.0.0.1';
      const nat = await RebindingNat.start({ address, port: relay.record.port }, address);
      const page = await serveStrictPage(await bundleHarness('turn.ts', {}));
      const tab = await Tab.open(name, page.url);
      try {
        const behind = { ...relay.record, port: nat.port };
        await tab.call('enter', behind, 'R'.repeat(43), 'p'.repeat(22));
        for (let i = 0; i < 2; i++) {
          nat.rebind();
          const took = await tab.call<number>('ping');
          assert.ok(took < patience(2 * CHECK_MS), `${took} ms`);
        }
        const { sessions, rooms, joins } = relay.server.stats();
        assert.deepEqual([sessions.established, rooms.members, joins], [1, 1, 1]);
      } finally {
        await tab.close();
        nat.close();
        await page.close();
        await relay.close();
      }
    });
});
