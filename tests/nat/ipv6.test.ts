import assert from 'node:assert/strict';
import { type TestContext, describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import type { NatRelay, NatSocket } from '@lumamesh/testkit/browsers';
import { meet } from './meet.ts';
import { shareLab, tabOf, whySkipped, withNatNetwork } from './support.ts';

/* Networks of two families: relays at both, homes at one or the other or both. */

const skip = whySkipped() ?? false;
const SILENCE_MS = 500;
const LIMIT_MS = 60_000;
const TURN = { TURN_RATE: '20000000' };
const DUAL_STACK = { families: 'dual-stack' } as const;

describe('the network of the NAT tests, by IPv6', () => {
  it(
    'lets out whom it lets out, lets in what was asked for, and gives no IPv4 to those without',
    { skip },
    () =>
      withNatNetwork(['ipv6-only', 'dual-stack', 'cone'], async (network) => {
        const relay = await network.startRelay({}, DUAL_STACK);
        const [only, both] = [await network.openSocket(0, true), await network.openSocket(1, true)];
        const [mapped, mappedBoth] = [await mapped6(only, relay), await mapped6(both, relay)];
        assert.equal(mapped.address, network.address(0));
        assert.equal(mapped.address, network.publicAddress(0));
        assert.equal(mappedBoth.address, network.address6(1));
        const four = await network.openSocket(1);
        assert.equal((await four.mapped(relay.stunServer))?.address, network.publicAddress(1));
        const none = await network.openSocket(0);
        assert.equal(await none.mapped(relay.stunServer, SILENCE_MS), null);
        assert.equal(network.address6(2), '');
        await both.send(mapped, 'nobody has asked');
        await pause(SILENCE_MS);
        assert.deepEqual(await only.received(), []);
        await only.send(mappedBoth, 'first');
        await until(async () => (await both.received()).length > 0, 'the way that was opened');
        assert.equal(network.changeAddress(0), '2001:db8:1::3');
        assert.equal((await mapped6(only, relay)).address, '2001:db8:1::3');
      }),
  );
});

describe('a relay on a machine with several addresses', () => {
  it('answers from that which was asked, whichever the machine prefers', { skip }, () =>
    withNatNetwork(['cone', 'ipv6-only'], async (network) => {
      const relay = await network.startRelay({}, { ...DUAL_STACK, isMultihomed: true });
      const [four, six] = [await network.openSocket(0), await network.openSocket(1, true)];
      // What comes from another address does not pass the routers.
      assert.equal((await four.mapped(relay.stunServer))?.address, network.publicAddress(0));
      assert.equal((await mapped6(six, relay)).address, network.address(1));
    }),
  );
});

describe('two browsers, of which one or both have IPv6', { skip }, () => {
  const lab = shareLab([
    ['dual-stack', 'chromium'],
    ['dual-stack', 'firefox'],
    ['ipv6-only', 'chromium'],
    ['ipv6-only', 'firefox'],
    ['cone', 'firefox'],
    ['cone', 'chromium'],
  ]);
  const [DUAL_CHROMIUM, DUAL_FIREFOX, CHROMIUM_6, FIREFOX_6, FIREFOX_4, CHROMIUM_4] = [
    0, 1, 2, 3, 4, 5,
  ] as const;
  type Pair = readonly [number, number];

  /** Lets each of these pairs meet, and talk. */
  async function meetAll(
    t: TestContext,
    relay: NatRelay,
    pairs: readonly Pair[],
    outcome: string,
  ): Promise<void> {
    for (const [first, second] of pairs) {
      const [ada, bob] = [tabOf(lab(), first), tabOf(lab(), second)];
      const what = `homes ${first} and ${second}`;
      const met = await meet([relay.record], ada, bob, async (adaNick, bobNick) => {
        await ada.call('broadcast', `from ${adaNick}`, true);
        await bob.waitFor('data', `from ${adaNick}`, LIMIT_MS);
        await bob.call('broadcast', `from ${bobNick}`, true);
        await ada.waitFor('data', `from ${bobNick}`, LIMIT_MS);
      });
      t.diagnostic(`${what}: ${met.outcome} after ${met.openMs ?? met.toldMs} ms`);
      assert.equal(met.outcome, outcome, what);
    }
  }

  it('talk directly, by addresses that the relay has told them; by IPv4 these could not', async (t) => {
    const relay = await lab().network.startRelay({}, DUAL_STACK);
    const pairs: readonly Pair[] = [
      [DUAL_CHROMIUM, DUAL_FIREFOX],
      [CHROMIUM_6, FIREFOX_6],
      [FIREFOX_6, DUAL_CHROMIUM],
    ];
    await meetAll(t, relay, pairs, 'direct');
  });

  it('are relayed by a relay that has both families where they have none in common', async (t) => {
    const relay = await lab().network.startRelay(TURN, DUAL_STACK);
    const pairs: readonly Pair[] = [
      [CHROMIUM_6, FIREFOX_4],
      [FIREFOX_6, CHROMIUM_4],
    ];
    await meetAll(t, relay, pairs, 'relayed');
  });

  it('are told NEEDS_TURN there where the relay does not relay', async (t) => {
    const relay = await lab().network.startRelay({}, DUAL_STACK);
    await meetAll(t, relay, [[CHROMIUM_6, FIREFOX_4]], 'NEEDS_TURN');
  });

  it('meet at a relay whose IPv4 address leads nowhere, which who has no IPv6 does not reach', async (t) => {
    const relay = await lab().network.startRelay({}, { families: 'ipv6' });
    const cyd = tabOf(lab(), CHROMIUM_4);
    await cyd.call('clearLog');
    await cyd.call('join', [relay.record], 'tea', 'Cyd', '');
    await meetAll(t, relay, [[DUAL_CHROMIUM, DUAL_FIREFOX]], 'direct');
    await cyd.waitFor('status', 'offline', LIMIT_MS);
    await cyd.call('close');
  });
});

async function mapped6(
  socket: NatSocket,
  relay: NatRelay,
): Promise<{ readonly address: string; readonly port: number }> {
  const address = relay.record.ip6 ?? '';
  const mapped = await socket.mapped({ address, port: relay.record.port });
  assert.ok(mapped !== null, `no answer from ${address}`);
  return mapped;
}
