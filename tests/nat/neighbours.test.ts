import assert from 'node:assert/strict';
import { type TestContext, describe, it } from 'node:test';
import { patienceNow } from '@lumamesh/testkit';
import { meet } from './meet.ts';
import { shareLab, tabOf, whySkipped } from './support.ts';

/*
 * Browsers behind one router. They hide the addresses of their machines behind names (draft-ietf-mmusic-mdns-ice-candidates), which neighbours find by
 * multicast DNS (RFC 6762) where the network passes multicast; else their router has to send back in what is meant for its own outside (hairpinning,
 * RFC 4787 §6); else somebody has to relay.
 */

const skip = whySkipped() ?? false;
const HOMES = [0, 1, 2, 3] as const;
const TURN = { TURN_RATE: '20000000' };
/** Who meet whom. */
const PAIRS = [
  [0, 1],
  [1, 0],
  [2, 0],
  [3, 1],
] as const;
/** What an explanation may take. */
const TOLD_MS = 9000;

describe('two browsers behind one router', { skip }, () => {
  const lab = shareLab(
    [
      ['cone', 'chromium'],
      ['cone', 'firefox'],
      ['cone', 'chromium'],
      ['cone', 'firefox'],
    ],
    (network) => {
      for (const i of [1, 2, 3]) network.moveHome(i, 0);
    },
  );

  async function meetAll(
    t: TestContext,
    settings: Readonly<Record<string, string>>,
    outcome: string,
    pairs: readonly (readonly [number, number])[] = PAIRS,
  ): Promise<void> {
    const relay = await lab().network.startRelay(settings);
    for (const [first, second] of pairs) {
      const [one, other] = [tabOf(lab(), first), tabOf(lab(), second)];
      const met = await meet([relay.record], one, other);
      const what = `${one.name} and ${other.name}`;
      t.diagnostic(`${what}: ${met.outcome} after ${met.openMs ?? met.toldMs} ms`);
      assert.equal(met.outcome, outcome, what);
      assert.ok((met.toldMs ?? 0) <= patienceNow(TOLD_MS), `${what}: ${met.toldMs} ms`);
      for (const said of met.said) assert.match(said, /no path to \w+ \d+ was found/);
    }
  }

  // Names come last: Chromium remembers what it has once found by them.
  it('are both told why not where there is neither multicast nor a hairpin nor who relays', async (t) => {
    for (const i of HOMES) lab().network.setMdns(i, false);
    // It takes seconds, and the same for all.
    await meetAll(t, {}, 'NEEDS_TURN', PAIRS.slice(-2));
  });

  it('are relayed there by a relay that relays', async (t) => meetAll(t, TURN, 'relayed'));

  it('meet by a hairpin of their router', async (t) => {
    lab().network.setHairpin(0, true);
    await meetAll(t, {}, 'direct');
    lab().network.setHairpin(0, false);
  });

  it('meet by the names that they give themselves', async (t) => {
    for (const i of HOMES) lab().network.setMdns(i, true);
    await meetAll(t, {}, 'direct');
  });
});
