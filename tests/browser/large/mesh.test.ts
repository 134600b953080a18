import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import { type BrowserName, findTestAddress } from '@lumamesh/testkit/browsers';
import { type TestRelay, serveHarness, startRelay, whySkipped } from '../support.ts';
import { Tab } from '../tab.ts';

/* Browsers that meet over a mesh of relays: real relays, real browsers, and a firewall that leaves each browser one relay. */

const skip = whySkipped() ?? false;
/** Firewall rules are only made in the namespace that the test runner made. */
const isOwnNamespace = findTestAddress() === '10.77.0.1' && process.getuid?.() === 0;
const skipFirewall =
  skip === false && !isOwnNamespace
    ? 'firewall rules need root and the namespace that `npm test` makes'
    : skip;

const SALT = 'two browsers and a salt';
let nextPort = 17_400;

interface MeshRelay extends TestRelay {
  readonly meshAddress: string | null;
}

async function startMeshRelay(
  peers: readonly MeshRelay[],
  isHidden = false,
  salt = SALT,
): Promise<MeshRelay> {
  const address = findTestAddress() ?? '';
  const meshAddress = isHidden ? null : `${address}:${nextPort++}`;
  const relay = await startRelay({
    MESH_SALT: salt,
    ...(meshAddress === null ? {} : { MESH_LISTEN: meshAddress }),
    MESH_PEERS: peers.map((peer) => peer.meshAddress).join(','),
  });
  return Object.assign(relay, { meshAddress });
}

function knownTo(relay: MeshRelay): number {
  const { mesh } = relay.server.stats() as { mesh: { records: { alive: number } } };
  return mesh.records.alive;
}

/** Drops what a group sends to these relays. */
function block(group: number, relays: readonly MeshRelay[]): void {
  const rules = [
    'add table inet lumamesh_test',
    'add chain inet lumamesh_test output { type filter hook output priority 0; }',
    ...relays.map(
      ({ record }) =>
        `add rule inet lumamesh_test output meta skgid ${group} udp dport ${record.port} drop`,
    ),
  ];
  const { status, stderr } = spawnSync('nft', ['-f', '-'], {
    input: rules.join('\n'),
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
}

function unblock(): void {
  spawnSync('nft', ['delete', 'table', 'inet', 'lumamesh_test']);
}

async function withMesh(
  test: (
    start: typeof startMeshRelay,
    open: (name: BrowserName, group?: number) => Promise<Tab>,
  ) => Promise<void>,
): Promise<void> {
  const relays: MeshRelay[] = [];
  const tabs: Tab[] = [];
  const page = await serveHarness();
  try {
    await test(
      async (...values) => {
        const relay = await startMeshRelay(...values);
        relays.push(relay);
        return relay;
      },
      async (name, group) => {
        const tab = await Tab.open(name, page.url, group);
        tabs.push(tab);
        return tab;
      },
    );
  } finally {
    for (const tab of tabs) await tab.close().catch(() => undefined);
    for (const relay of relays) await relay.close().catch(() => undefined);
    await page.close();
  }
}

describe('two browsers on different relays of a mesh', { skip }, () => {
  const pairs: readonly (readonly [BrowserName, BrowserName])[] = [
    ['chromium', 'firefox'],
    ['firefox', 'chromium'],
    ['chromium', 'chromium'],
  ];
  for (const [first, second] of pairs) {
    it(
      `${first} on A and ${second} on C of the line A–B–C, each able to reach its one relay only, meet`,
      { skip: skipFirewall },
      (t) =>
        withMesh(async (start, open) => {
          const b = await start([]);
          const a = await start([b], true);
          const c = await start([b], true);
          await until(
            () => [a, b, c].every((relay) => knownTo(relay) === 2),
            'the relays do not find each other',
          );
          try {
            block(61_001, [b, c]);
            block(61_002, [a, b]);
            const [ada, cyd] = [await open(first, 61_001), await open(second, 61_002)];
            await ada.call('join', [a.record], 'tea', 'Ada', 'sesame');
            await ada.waitFor('joined', 0);
            const joinedAt = Date.now();
            await cyd.call('join', [c.record], 'tea', 'Cyd', 'sesame');
            const opened = await Promise.all([
              ada.waitFor('open', 'Cyd'),
              cyd.waitFor('open', 'Ada'),
            ]);
            t.diagnostic(
              `met ${Math.max(...opened.map(({ at }) => at)) - joinedAt} ms after the second one began`,
            );
            await ada.call('broadcast', 'over three relays', true);
            await cyd.waitFor('data', 'over three relays');
            assert.deepEqual(
              [await ada.call('relays'), await cyd.call('relays')],
              [[a.record.nk], [c.record.nk]],
            );
            const { mesh } = b.server.stats();
            assert.ok((mesh?.traffic['rooms']?.outFrames ?? 0) > 0, 'B passed it on');
            await ada.call('leave');
            await cyd.waitFor('leave');
          } finally {
            unblock();
          }
        }),
    );
  }

  it('join the homes of their room, so that it lives on when the relay they came by is killed', () =>
    withMesh(async (start, open) => {
      const seed = await start([]);
      const others = [await start([seed]), await start([seed]), await start([seed])];
      await until(
        () => [seed, ...others].every((relay) => knownTo(relay) === 3),
        'the relays do not find each other',
      );
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      await ada.call('join', [seed.record], 'tea', 'Ada', '');
      await ada.waitFor('joined', 0);
      await bob.call('join', [others[0]?.record], 'tea', 'Bob', '');
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
      await until(
        async () => (await ada.call<string[]>('relays')).length >= 3,
        'the homes are not joined',
      );
      await seed.close();
      const cyd = await open('chromium');
      await cyd.call('join', [others[1]?.record], 'tea', 'Cyd', '');
      await Promise.all([
        ada.waitFor('open', 'Cyd'),
        bob.waitFor('open', 'Cyd'),
        cyd.waitFor('open', 'Ada'),
        cyd.waitFor('open', 'Bob'),
      ]);
      assert.ok(!(await ada.log()).some(({ event }) => event === 'leave'));
    }));

  it('never meet over relays with different salts', () =>
    withMesh(async (start, open) => {
      const a = await start([]);
      const c = await start([a], false, 'quite another salt');
      const [ada, cyd] = [await open('chromium'), await open('chromium')];
      await ada.call('join', [a.record], 'tea', 'Ada', '');
      await cyd.call('join', [c.record], 'tea', 'Cyd', '');
      await Promise.all([ada.waitFor('joined', 0), cyd.waitFor('joined', 0)]);
      await pause(3000);
      for (const tab of [ada, cyd])
        assert.ok(!(await tab.log()).some(({ event }) => event === 'peer'));
      assert.equal(knownTo(a), 0);
    }));
});
