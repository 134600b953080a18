import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import type {
  BrowserName,
  HomeKind,
  NatRelay,
  NatSocket,
  NatTab,
} from '@lumamesh/testkit/browsers';
import { whySkipped, withNatNetwork } from './support.ts';

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

describe('two browsers with IPv6', () => {
  const cases: readonly (readonly [
    readonly [HomeKind, BrowserName],
    readonly [HomeKind, BrowserName],
  ])[] = [
    // By IPv4 these two could not.
    [
      ['dual-stack', 'chromium'],
      ['dual-stack', 'firefox'],
    ],
    [
      ['ipv6-only', 'chromium'],
      ['ipv6-only', 'firefox'],
    ],
    [
      ['ipv6-only', 'firefox'],
      ['dual-stack', 'chromium'],
    ],
  ];
  for (const [[kindA, nameA], [kindB, nameB]] of cases)
    it(
      `${nameA} (${kindA}) and ${nameB} (${kindB}): talk directly, by addresses that the relay has told them`,
      { skip },
      (t) =>
        withNatNetwork([kindA, kindB], async (network, open) => {
          const relay = await network.startRelay({}, DUAL_STACK);
          const [ada, bob] = [await open(0, nameA), await open(1, nameB)];
          const tookMs = await meet(relay, ada, bob, 'direct');
          t.diagnostic(`open ${tookMs} ms after the second one had joined`);
          await ada.call('broadcast', 'by IPv6', true);
          await bob.waitFor('data', 'by IPv6', LIMIT_MS);
        }),
    );
});

describe('a browser with IPv6 only', () => {
  for (const [name, other] of [
    ['chromium', 'firefox'],
    ['firefox', 'chromium'],
  ] as const)
    it(
      `${name}: is relayed to ${other}, which has IPv4 only, by a relay that has both`,
      { skip },
      (t) =>
        withNatNetwork(['ipv6-only', 'cone'], async (network, open) => {
          const relay = await network.startRelay(TURN, DUAL_STACK);
          const [ada, bob] = [await open(0, name), await open(1, other)];
          const tookMs = await meet(relay, ada, bob, 'relayed');
          t.diagnostic(`open ${tookMs} ms after the second one had joined`);
          await ada.call('broadcast', 'from one family', true);
          await bob.waitFor('data', 'from one family', LIMIT_MS);
          await bob.call('broadcast', 'to the other', true);
          await ada.waitFor('data', 'to the other', LIMIT_MS);
        }),
    );

  it('is told NEEDS_TURN of one with IPv4 only where the relay does not relay', { skip }, () =>
    withNatNetwork(['ipv6-only', 'open'], async (network, open) => {
      const relay = await network.startRelay({}, DUAL_STACK);
      const [ada, bob] = [await open(0, 'chromium'), await open(1, 'firefox')];
      await ada.call('join', [relay.record], 'tea', 'Ada', '');
      await bob.call('join', [relay.record], 'tea', 'Bob', '');
      await Promise.all([
        ada.waitFor('error', 'NEEDS_TURN', LIMIT_MS),
        bob.waitFor('error', 'NEEDS_TURN', LIMIT_MS),
      ]);
    }),
  );
});

describe('a relay whose IPv4 address leads nowhere', () => {
  it('is reached by browsers that have IPv6 besides, and not by those without', { skip }, () =>
    withNatNetwork(['dual-stack', 'dual-stack', 'open'], async (network, open) => {
      const relay = await network.startRelay({}, { families: 'ipv6' });
      const [ada, bob, cyd] = [
        await open(0, 'chromium'),
        await open(1, 'firefox'),
        await open(2, 'chromium'),
      ];
      await cyd.call('join', [relay.record], 'tea', 'Cyd', '');
      await meet(relay, ada, bob, 'direct');
      await cyd.waitFor('status', 'offline', LIMIT_MS);
    }),
  );
});

/** Answers how long after the second one had joined both were open. */
async function meet(
  relay: NatRelay,
  ada: NatTab,
  bob: NatTab,
  path: 'direct' | 'relayed',
): Promise<number> {
  await ada.call('join', [relay.record], 'tea', 'Ada', '');
  await ada.waitFor('joined', 0, LIMIT_MS);
  await bob.call('join', [relay.record], 'tea', 'Bob', '');
  const joined = await bob.waitFor('joined', undefined, LIMIT_MS);
  const opened = await Promise.all([
    ada.waitFor('open', 'Bob', LIMIT_MS),
    bob.waitFor('open', 'Ada', LIMIT_MS),
  ]);
  await Promise.all([ada.waitFor('path', path, LIMIT_MS), bob.waitFor('path', path, LIMIT_MS)]);
  return Math.max(...opened.map(({ at }) => at)) - joined.at;
}

async function mapped6(
  socket: NatSocket,
  relay: NatRelay,
): Promise<{ readonly address: string; readonly port: number }> {
  const address = relay.record.ip6 ?? '';
  const mapped = await socket.mapped({ address, port: relay.record.port });
  assert.ok(mapped !== null, `no answer from ${address}`);
  return mapped;
}
