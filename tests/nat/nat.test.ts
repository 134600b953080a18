import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import type { NatRelay, NatSocket, NatTab } from '@lumamesh/testkit/browsers';
import { meet } from './meet.ts';
import { shareLab, tabOf, whySkipped, withNatNetwork } from './support.ts';

/* Browsers behind real NATs: nftables in network namespaces, which the tests make themselves, with relays in an internet of their own. */

const skip = whySkipped() ?? false;
/** What crosses between two namespaces of one machine does so within a millisecond; this is how long we listen for what must not come. */
const SILENCE_MS = 500;
/** What a wire takes that takes time, each way. */
const WIRE_MS = 40;

describe('the network of the NAT tests', () => {
  it(
    'gives a socket one port outside behind a cone NAT, a port for every destination behind a symmetric one, and the other kind when it is changed',
    { skip },
    () =>
      withNatNetwork(['cone', 'symmetric', 'open'], async (network) => {
        const relays = [await network.startRelay(), await network.startRelay()];
        const [cone, symmetric, open] = [
          await network.openSocket(0),
          await network.openSocket(1),
          await network.openSocket(2),
        ];
        const isConstant = async (socket: NatSocket, i: number): Promise<boolean> => {
          const ports: number[] = [];
          for (const relay of relays) {
            const mapped = await socket.mapped(relay.stunServer);
            assert.equal(mapped?.address, network.publicAddress(i));
            ports.push(mapped.port);
          }
          return ports[0] === ports[1];
        };
        assert.ok(await isConstant(cone, 0));
        assert.ok(!(await isConstant(symmetric, 1)));
        assert.ok(await isConstant(open, 2));
        network.setNat(0, 'symmetric');
        network.setNat(1, 'cone');
        assert.ok(!(await isConstant(cone, 0)));
        assert.ok(await isConstant(symmetric, 1));
      }),
  );

  it(
    'lets in what was asked for: two cone homes reach each other once both have sent, two symmetric ones never, and private addresses lead nowhere',
    { skip },
    () =>
      withNatNetwork(['cone', 'cone', 'open'], async (network) => {
        const relay = await network.startRelay();
        const [a, b, stranger] = [
          await network.openSocket(0),
          await network.openSocket(1),
          await network.openSocket(2),
        ];
        const [mappedA, mappedB] = [await mappedOf(a, relay), await mappedOf(b, relay)];
        await stranger.send(mappedA, 'from a stranger');
        await stranger.send(
          { address: network.address(0), port: mappedA.port },
          'to a private address',
        );
        await a.send(mappedB, 'first');
        await pause(SILENCE_MS);
        assert.deepEqual(
          [await a.received(), await b.received()],
          [[], []],
          'nothing that is not asked for',
        );
        await b.send(mappedA, 'second');
        await until(async () => (await a.received()).length > 0, 'the way that A has opened');
        await a.send(mappedB, 'third');
        await until(async () => (await b.received()).length > 0, 'the way that B has opened');
        assert.deepEqual(await a.received(), [{ from: mappedB, text: 'second' }]);
        assert.deepEqual(await b.received(), [{ from: mappedA, text: 'third' }]);

        for (const i of [0, 1]) network.setNat(i, 'symmetric');
        const [symmetricA, symmetricB] = [await mappedOf(a, relay), await mappedOf(b, relay)];
        for (let n = 0; n < 3; n++) {
          await a.send(symmetricB, 'anybody?');
          await b.send(symmetricA, 'anybody?');
        }
        await pause(SILENCE_MS);
        assert.deepEqual(
          [(await a.received()).length, (await b.received()).length],
          [1, 1],
          'nothing new',
        );
      }),
  );

  it(
    'lets everybody in to a full cone, only TCP out of one home, and nothing but its proxy out of another',
    { skip },
    () =>
      withNatNetwork(['full-cone', 'tcp-only', 'proxy', 'open'], async (network) => {
        const relay = await network.startRelay();
        const [open, stranger] = [await network.openSocket(0), await network.openSocket(3)];
        const mapped = await mappedOf(open, relay);
        assert.equal(mapped.address, network.publicAddress(0));
        await stranger.send(mapped, 'from a stranger');
        await until(async () => (await open.received()).length > 0, 'a stranger reaches it');
        for (const i of [1, 2]) {
          const socket = await network.openSocket(i);
          assert.equal(await socket.mapped(relay.stunServer, SILENCE_MS), null);
        }
        assert.ok(await network.fetchJson(1, relay.statsUrl));
        const refused = network.fetchJson(2, relay.statsUrl).then(
          () => 'an answer',
          () => 'refused',
        );
        assert.equal(await Promise.race([refused, pause(SILENCE_MS)]), undefined, 'no answer');
      }),
  );

  it('has wires that take time', { skip }, () =>
    withNatNetwork(
      ['symmetric', 'open', 'ipv6-only'],
      async (network) => {
        const relay = await network.startRelay({}, { families: 'dual-stack' });
        const server6 = { address: relay.record.ip6 ?? '', port: relay.record.port };
        for (const i of [0, 1, 2]) {
          const socket = await network.openSocket(i, i === 2);
          const ask = async (): Promise<unknown> =>
            socket.mapped(i === 2 ? server6 : relay.stunServer);
          assert.ok((await ask()) !== null);
          const startedAt = performance.now();
          await ask();
          const tookMs = performance.now() - startedAt;
          assert.ok(tookMs >= 2 * WIRE_MS, `${tookMs} ms`);
        }
      },
      WIRE_MS,
    ),
  );

  it(
    'takes UDP away and gives it back, changes addresses, and moves a home behind another router',
    { skip },
    () =>
      withNatNetwork(['cone', 'cone', 'open'], async (network) => {
        const relay = await network.startRelay();
        const socket = await network.openSocket(0);
        await mappedOf(socket, relay);
        network.blockUdp(0);
        assert.equal(await socket.mapped(relay.stunServer, SILENCE_MS), null);
        network.unblockUdp(0);
        await mappedOf(socket, relay);
        assert.deepEqual(
          [network.address(0), network.changeAddress(0), network.address(0)],
          ['192.168.1.2', '192.168.1.3', '192.168.1.3'],
        );
        assert.equal((await mappedOf(socket, relay)).address, '198.51.100.1');
        assert.equal(network.moveHome(0, 1), '192.168.2.3');
        assert.equal((await mappedOf(socket, relay)).address, '198.51.100.2');
        const publicAddress = network.moveHome(0, 2);
        assert.equal((await mappedOf(socket, relay)).address, publicAddress);
        assert.equal(network.publicAddress(0), publicAddress);
      }),
  );
});

describe('browsers behind cone NATs', { skip }, () => {
  const lab = shareLab([
    ['cone', 'chromium'],
    ['cone', 'firefox'],
    ['cone', 'chromium'],
  ]);

  it('learn their addresses from the relay and talk directly; signals are all that it carries', async (t) => {
    const relay = await lab().network.startRelay();
    for (const [first, second] of [
      [0, 1],
      [0, 2],
    ] as const) {
      const [ada, bob] = [tabOf(lab(), first), tabOf(lab(), second)];
      const met = await meet([relay.record], ada, bob, async () => {
        const before = await countsOf(relay);
        const [length, lengthBack] = [60_000 + second, 50_000 + second];
        await ada.call('broadcastBytes', length);
        await bob.waitFor('data', { bytes: [0, 1, 2, 3], length });
        await bob.call('broadcastBytes', lengthBack);
        await ada.waitFor('data', { bytes: [0, 1, 2, 3], length: lengthBack });
        const after = await countsOf(relay);
        assert.ok(before.signals > 0);
        assert.equal(after.signals, before.signals, 'no signal is needed any more');
        assert.ok(
          after.bytes - before.bytes < 20_000,
          `${after.bytes - before.bytes} bytes of 110 000 went over the relay`,
        );
      });
      assert.equal(met.outcome, 'direct');
      t.diagnostic(`${ada.name} and ${bob.name} met ${met.openMs} ms after the second one joined`);
    }
  });

  for (const [i, name] of [
    [0, 'Chromium'],
    [1, 'Firefox'],
  ] as const)
    it(`are with the other one again when they move to another network: ${name}`, async (t) => {
      const relay = await lab().network.startRelay();
      const [ada, bob] = [tabOf(lab(), i), tabOf(lab(), 2)];
      await join(ada, relay, 'Ada');
      await join(bob, relay, 'Bob', 1);
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
      const movedAt = Date.now();
      lab().network.changeAddress(i);
      const isNew = ({ event, at }: { event: string; at: number }): boolean =>
        event === 'data' && at > movedAt + 3000;
      await until(
        async () => {
          await ada.evaluate(
            `globalThis.harness.broadcast(${Date.now()}, true).catch(() => undefined) && undefined`,
          );
          return (await bob.log()).some(isNew);
        },
        'nothing arrives any more',
        90_000,
      );
      t.diagnostic(`again after ${((await bob.log()).find(isNew)?.at ?? 0) - movedAt} ms at most`);
      for (const tab of [ada, bob]) await tab.call('close');
    });
});

describe('two browsers that cannot reach each other', { skip }, () => {
  const lab = shareLab([
    ['symmetric', 'chromium'],
    ['symmetric', 'firefox'],
    ['open', 'chromium'],
    ['open', 'firefox'],
  ]);

  it('are told NEEDS_TURN while there is nobody to carry for them', async () => {
    const relay = await lab().network.startRelay();
    const met = await meet([relay.record], tabOf(lab(), 0), tabOf(lab(), 1));
    assert.equal(met.outcome, 'NEEDS_TURN');
  });

  for (const [i, name] of [
    [2, 'Chromium'],
    [3, 'Firefox'],
  ] as const)
    it(`meet a third one on the open internet (${name}), and each other through it`, async () => {
      const relay = await lab().network.startRelay();
      const [ada, bob, cyd] = [tabOf(lab(), 0), tabOf(lab(), 1), tabOf(lab(), i)];
      await join(cyd, relay, 'Cyd');
      assert.deepEqual(await cyd.call('relays'), [relay.record.nk]);
      for (const [tab, nick] of [
        [ada, 'Ada'],
        [bob, 'Bob'],
      ] as const) {
        await tab.call('clearLog');
        await tab.call('join', [relay.record], 'tea', nick, '');
      }
      await Promise.all([
        ada.waitFor('open', 'Cyd'),
        bob.waitFor('open', 'Cyd'),
        cyd.waitFor('open', 'Ada'),
        cyd.waitFor('open', 'Bob'),
      ]);
      await cyd.call('broadcast', 'hello both', true);
      await Promise.all([ada.waitFor('data', 'hello both'), bob.waitFor('data', 'hello both')]);
      await Promise.all([ada.waitFor('open', 'Bob', 60_000), bob.waitFor('open', 'Ada', 60_000)]);
      for (const tab of [ada, bob]) {
        const peers = await tab.call<{ nick: string; state: string }[]>('peers');
        assert.deepEqual(
          peers.map(({ nick, state }) => `${nick} ${state}`).toSorted(),
          [tab === ada ? 'Bob forwarded' : 'Ada forwarded', 'Cyd open'].toSorted(),
        );
      }
      await ada.call('sendTo', 'Bob', 'for Bob alone');
      await bob.waitFor('data', 'for Bob alone');
      await bob.call('broadcastBytes', 150_000);
      await ada.waitFor('data', { bytes: [0, 1, 2, 3], length: 150_000 }, 60_000);
      assert.ok(
        !JSON.stringify(await cyd.log()).includes('for Bob alone'),
        'the carrier hears nothing of it',
      );
      for (const tab of [ada, bob, cyd]) await tab.call('close');
    });

  it('are carried for by somebody else when the carrier leaves, of two behind a cone and a symmetric NAT', async () => {
    const { network } = lab();
    const relay = await network.startRelay();
    network.setNat(1, 'cone');
    const [ada, bob, cyd, dan] = [
      tabOf(lab(), 1),
      tabOf(lab(), 0),
      tabOf(lab(), 2),
      tabOf(lab(), 3),
    ];
    for (const [tab, nick] of [
      [ada, 'Ada'],
      [bob, 'Bob'],
      [cyd, 'Cyd'],
    ] as const) {
      await tab.call('clearLog');
      await tab.call('join', [relay.record], 'tea', nick, '');
    }
    await Promise.all([ada.waitFor('open', 'Bob', 60_000), bob.waitFor('open', 'Ada', 60_000)]);
    await dan.call('join', [relay.record], 'tea', 'Dan', '');
    await Promise.all([ada.waitFor('open', 'Dan', 60_000), bob.waitFor('open', 'Dan', 60_000)]);
    await cyd.call('close');
    await Promise.all([ada.waitFor('leave', 'Cyd left'), bob.waitFor('leave', 'Cyd left')]);
    await until(async () => {
      const states = await ada.call<{ nick: string; state: string }[]>('peers');
      return states.some(({ nick, state }) => nick === 'Bob' && state === 'forwarded');
    }, 'nobody carries');
    await pause(4000);
    await ada.call('sendTo', 'Bob', 'by way of Dan');
    await bob.waitFor('data', 'by way of Dan', 60_000);
  });
});

async function join(tab: NatTab, relay: NatRelay, nick: string, peers = 0): Promise<void> {
  await tab.call('clearLog');
  await tab.call('join', [relay.record], 'tea', nick, '');
  await tab.waitFor('joined', peers);
}

async function countsOf(
  relay: NatRelay,
): Promise<{ readonly signals: number; readonly bytes: number }> {
  const { signals, traffic } = (await relay.stats()) as {
    signals: number;
    traffic: { bytesIn: number; bytesOut: number };
  };
  return { signals, bytes: traffic.bytesIn + traffic.bytesOut };
}

async function mappedOf(
  socket: NatSocket,
  relay: NatRelay,
): Promise<{ readonly address: string; readonly port: number }> {
  const mapped = await socket.mapped(relay.stunServer);
  assert.ok(mapped !== null, `no answer from ${relay.address}`);
  return mapped;
}
