import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patience } from '@lumamesh/testkit';
import type { NatRelay, NatTab } from '@lumamesh/testkit/browsers';
import { meet } from './meet.ts';
import { whySkipped, withNatNetwork } from './support.ts';

/*
 * Browsers behind one router. They hide the addresses of their machines behind names (draft-ietf-mmusic-mdns-ice-candidates), which neighbours find by
 * multicast DNS (RFC 6762) where the network passes multicast; else their router has to send back in what is meant for its own outside (hairpinning,
 * RFC 4787 §6); else somebody has to relay.
 */

const skip = whySkipped() ?? false;
const TURN = { TURN_RATE: '20000000' };
const BROWSERS = ['chromium', 'firefox', 'chromium', 'firefox'] as const;
/** Of those, who meet. */
const PAIRS = [
  [0, 1],
  [1, 0],
  [2, 0],
  [3, 1],
] as const;
/** What an explanation may take. */
const TOLD_MS = 9000;

describe('two browsers behind one router', () => {
  it(
    'meet by the names that they give themselves, or by a hairpin of their router, or over a relay that relays, or both are told why not',
    { skip },
    (t) =>
      withNatNetwork(['cone', 'cone', 'cone', 'cone'], async (network, open) => {
        const relays = [await network.startRelay(), await network.startRelay(TURN)] as const;
        for (const i of [1, 2, 3]) network.moveHome(i, 0);
        const tabs = await Promise.all(BROWSERS.map((name, i) => open(i, name)));
        const meetAll = async (
          by: string,
          relay: NatRelay,
          outcome: string,
          pairs: readonly (readonly [number, number])[] = PAIRS,
        ): Promise<void> => {
          for (const [first, second] of pairs) {
            const [one, other] = [tabs[first] as NatTab, tabs[second] as NatTab];
            const met = await meet([relay.record], one, other);
            const what = `${one.name} and ${other.name} ${by}`;
            t.diagnostic(`${what}: ${met.outcome} after ${met.openMs ?? met.toldMs} ms`);
            assert.equal(met.outcome, outcome, what);
            assert.ok((met.toldMs ?? 0) <= patience(TOLD_MS), `${what}: ${met.toldMs} ms`);
            for (const said of met.said) assert.match(said, /no path to \w+ \d+ was found/);
          }
        };
        // Names come last: Chromium remembers what it has once found by them.
        for (const i of BROWSERS.keys()) network.setMdns(i, false);
        // It takes seconds, and the same for all.
        await meetAll('without names', relays[0], 'NEEDS_TURN', PAIRS.slice(-2));
        await meetAll('without names, with a relay that relays', relays[1], 'relayed');
        network.setHairpin(0, true);
        await meetAll('by a hairpin', relays[0], 'direct');
        network.setHairpin(0, false);
        for (const i of BROWSERS.keys()) network.setMdns(i, true);
        await meetAll('by their names', relays[0], 'direct');
      }),
  );
});
