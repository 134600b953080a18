import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patienceNow, until } from '@lumamesh/testkit';
import type { NatRelay, NatTab } from '@lumamesh/testkit/browsers';
import { meet } from './meet.ts';
import { numbersHeard, shareLab, tabOf, whySkipped } from './support.ts';

/* Two browsers behind NATs that let no direct path be, alone in a room, with relays that relay (TURN_RATE). */

const skip = whySkipped() ?? false;
const TURN = { TURN_RATE: '20000000' };
const LIMIT_MS = 60_000;
/** What another relay may take: 2.1 s as a rule. */
const VANISHED_MS = 3000;
/** Counts the TURN servers of the page's last connection whose servers were changed. */
const TURN_SERVERS = 'globalThis.turnServers';
const WATCH_TURN_SERVERS = `{
  const { prototype } = RTCPeerConnection;
  const { setConfiguration } = prototype;
  prototype.setConfiguration = function (configuration) {
    const urls = configuration.iceServers.flatMap((server) => server.urls);
    globalThis.turnServers = urls.filter((url) => url.startsWith('turn:')).length;
    setConfiguration.call(this, configuration);
  };
}`;

async function forwardedBytes(relay: NatRelay): Promise<number> {
  const { turn } = (await relay.stats()) as { readonly turn?: { forwardedBytes: number } };
  return turn?.forwardedBytes ?? 0;
}

describe('two browsers without a direct path', { skip }, () => {
  const lab = shareLab([
    ['symmetric', 'chromium'],
    ['symmetric', 'firefox'],
    ['symmetric', 'chromium'],
    ['symmetric', 'firefox'],
  ]);
  const pairs = [
    [0, 1],
    [1, 0],
    [0, 2],
    [1, 3],
  ] as const;

  it('are relayed by the relay they met at, which forwards what they say and no more', async (t) => {
    const relay = await lab().network.startRelay(TURN);
    for (const [number, [first, second]] of pairs.entries()) {
      const [ada, bob] = [tabOf(lab(), first), tabOf(lab(), second)];
      const what = `${ada.name} and ${bob.name}`;
      const met = await meet([relay.record], ada, bob, async (adaNick, bobNick) => {
        const before = await forwardedBytes(relay);
        const length = 200_000 + number;
        await ada.call('broadcastBytes', length);
        await bob.waitFor('data', { bytes: [0, 1, 2, 3], length }, LIMIT_MS);
        await bob.call('sendTo', adaNick, `through the relay ${number}`);
        await ada.waitFor('data', `through the relay ${number}`, LIMIT_MS);
        const bytes = (await forwardedBytes(relay)) - before;
        assert.ok(bytes > 200_000 && bytes < 400_000, `${what}: ${bytes} bytes were forwarded`);
        assert.equal((await ada.call<{ path: string }>('statsOf', bobNick)).path, 'relayed');
      });
      assert.equal(met.outcome, 'relayed', what);
      t.diagnostic(`${what}: open ${met.openMs} ms after the second one had joined`);
    }
  });

  it('are relayed by another relay when theirs vanishes, and nothing is lost', async (t) => {
    const { network } = lab();
    const [ada, bob] = [tabOf(lab(), 0), tabOf(lab(), 1)];
    const relays = [await network.startRelay(TURN), await network.startRelay(TURN)];
    await stayRelayed(relays, ada, bob);
    await ada.call('count', 50);
    await bob.waitFor('data', 10, LIMIT_MS);
    const forwarded = await Promise.all(relays.map(forwardedBytes));
    const used = (forwarded[0] ?? 0) > (forwarded[1] ?? 0) ? relays[0] : relays[1];
    const killedAt = Date.now();
    await used?.kill();
    const isNew = ({ event, at }: { event: string; at: number }): boolean =>
      event === 'data' && at > killedAt + 500;
    await until(
      async () => (await bob.log()).some(isNew),
      async () => `nothing came any more: ${JSON.stringify((await bob.log()).slice(-5))}`,
      LIMIT_MS,
    );
    const goneMs = ((await bob.log()).find(isNew)?.at ?? 0) - killedAt;
    t.diagnostic(`heard again ${goneMs} ms after the relay was killed`);
    assert.ok(goneMs <= patienceNow(VANISHED_MS), `${goneMs} ms`);
    const last = await ada.call<number>('stopCounting');
    await bob.waitFor('data', last, LIMIT_MS);
    assert.deepEqual(
      await numbersHeard(bob),
      Array.from({ length: last + 1 }, (_, i) => i),
    );
    assert.deepEqual(await bob.call('peers'), [{ nick: 'Ada', state: 'open' }]);
    for (const tab of [ada, bob]) await tab.call('close');
  });

  it('talk directly again when their networks let them, and let the relay go', async (t) => {
    const { network } = lab();
    const [ada, bob] = [tabOf(lab(), 1), tabOf(lab(), 2)];
    const relay = await network.startRelay(TURN);
    for (const tab of [ada, bob]) await tab.evaluate(WATCH_TURN_SERVERS);
    await stayRelayed([relay], ada, bob);
    network.openUp(1);
    const openedAt = Date.now();
    await ada.call('wake');
    const told = await Promise.all([
      ada.waitFor('path', 'direct', LIMIT_MS),
      bob.waitFor('path', 'direct', LIMIT_MS),
    ]);
    t.diagnostic(`directly after ${Math.max(...told.map(({ at }) => at)) - openedAt} ms`);
    // The browsers end what they have of a relay in their own time: up to a minute later.
    await until(
      async () => {
        const counts = [await ada.evaluate(TURN_SERVERS), await bob.evaluate(TURN_SERVERS)];
        return counts.every((count) => count === 0);
      },
      'the relay is not let go',
      90_000,
    );
    t.diagnostic(`the relay was let go after ${Date.now() - openedAt} ms`);
    const before = await forwardedBytes(relay);
    await ada.call('broadcastBytes', 100_000);
    await bob.waitFor('data', { bytes: [0, 1, 2, 3], length: 100_000 }, LIMIT_MS);
    assert.ok((await forwardedBytes(relay)) - before < 20_000, 'it goes directly');
    for (const tab of [ada, bob]) await tab.call('close');
  });
});

async function stayRelayed(relays: readonly NatRelay[], ada: NatTab, bob: NatTab): Promise<void> {
  const records = relays.map(({ record }) => record);
  for (const tab of [ada, bob]) await tab.call('clearLog');
  await ada.call('join', records, 'tea', 'Ada', '');
  await ada.waitFor('joined', 0, LIMIT_MS);
  await bob.call('join', records, 'tea', 'Bob', '');
  for (const tab of [ada, bob]) await tab.waitFor('path', 'relayed', LIMIT_MS);
}
