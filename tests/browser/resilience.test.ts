import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patience, pause, until } from '@lumamesh/testkit';
import { type LogEntry, findTestAddress } from '@lumamesh/testkit/browsers';
import { type TestRelay, serveHarness, startRelay, whySkipped } from './support.ts';
import { type OpenTab, type Tab, withTabs } from './tab.ts';

/* What happens to pages when relays die, machines sleep, pages reload and browsers crash; and what they are told when nothing works. */

const skip = whySkipped() ?? false;
/** An open page that may fetch from its own server. */
const LOOSE_POLICY = "default-src 'self'; script-src 'unsafe-inline'";

interface World {
  readonly url: string;
  readonly relay: (environment?: Record<string, string>) => Promise<TestRelay>;
  readonly open: OpenTab;
}

async function withWorld(test: (world: World) => Promise<void>, policy?: string): Promise<void> {
  const page = await serveHarness('features.ts', policy);
  const relays: TestRelay[] = [];
  const start: World['relay'] = async (environment) => {
    const relay = await startRelay(environment);
    relays.push(relay);
    return relay;
  };
  try {
    await withTabs(page.url, async (open) => test({ url: page.url, relay: start, open }));
  } finally {
    await page.close();
    for (const relay of relays) await relay.close().catch(() => undefined);
  }
}

async function meet(ada: Tab, bob: Tab, relays: readonly TestRelay[]): Promise<void> {
  const records = relays.map(({ record }) => record);
  await ada.call('join', { relays: records }, 'tea', { nick: 'Ada' });
  await ada.waitFor('joined', 0);
  await bob.call('join', { relays: records }, 'tea', { nick: 'Bob' });
  await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
}

function countOf(log: readonly LogEntry[], event: string, value?: unknown): number {
  return log.filter(
    (entry) => entry.event === event && (value === undefined || entry.value === value),
  ).length;
}

describe('pages whose relays die', { skip }, () => {
  it('lose no message between them when the first relay is killed in the middle of a chat, and meet who comes by the other', () =>
    withWorld(async ({ relay, open }) => {
      const relays = [await relay(), await relay()];
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      await meet(ada, bob, relays);
      const chat = (async () => {
        for (let i = 0; i < 80; i++) {
          await ada.call('send', 'Bob', `a${i}`);
          await bob.call('send', 'Ada', `b${i}`);
        }
      })();
      await pause(300);
      await relays[0]?.close();
      await chat;
      await Promise.all([ada.waitFor('data', 'b79'), bob.waitFor('data', 'a79')]);
      const heard = async (tab: Tab): Promise<unknown[]> =>
        (await tab.log()).filter(({ event }) => event === 'data').map(({ value }) => value);
      assert.deepEqual(
        await heard(ada),
        Array.from({ length: 80 }, (_, i) => `b${i}`),
      );
      assert.deepEqual(
        await heard(bob),
        Array.from({ length: 80 }, (_, i) => `a${i}`),
      );
      const cyd = await open('chromium');
      await cyd.call('join', { relays: relays.map(({ record }) => record) }, 'tea', {
        nick: 'Cyd',
      });
      await Promise.all([ada.waitFor('open', 'Cyd'), bob.waitFor('open', 'Cyd')]);
      for (const tab of [ada, bob]) assert.equal(countOf(await tab.log(), 'leave'), 0);
    }));

  it('come back by what they remember when the one relay that they name is dead', () =>
    withWorld(async ({ relay, open }) => {
      const address = findTestAddress() ?? '';
      const salt = { MESH_SALT: 'pages that remember' };
      const seed = await relay({ ...salt, MESH_LISTEN: `${address}:17601` });
      const others = [
        await relay({ ...salt, MESH_LISTEN: `${address}:17602`, MESH_PEERS: `${address}:17601` }),
      ];
      others.push(
        await relay({ ...salt, MESH_LISTEN: `${address}:17603`, MESH_PEERS: `${address}:17601` }),
      );
      await until(
        () =>
          (seed.server.stats() as { mesh: { records: { alive: number } } }).mesh.records.alive ===
          2,
        'the relays do not find each other',
      );
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      for (const [tab, nick] of [
        [ada, 'Ada'],
        [bob, 'Bob'],
      ] as const) {
        await tab.call('join', { relays: [seed.record] }, 'tea', { nick });
        await until(
          async () => (await tab.call<{ known: number }>('status')).known === 3,
          'the page learns of the others',
        );
      }
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
      await seed.close();
      for (const [tab, nick] of [
        [ada, 'Ada'],
        [bob, 'Bob'],
      ] as const) {
        await tab.page.reload();
        await tab.page.waitForFunction('globalThis.harness !== undefined');
        await tab.call('join', { relays: [seed.record] }, 'tea', { nick });
      }
      await Promise.all([ada.waitFor('open', 'Bob', 60_000), bob.waitFor('open', 'Ada', 60_000)]);
      assert.equal((await ada.call<{ state: string }>('status')).state, 'online');
    }));
});

describe('pages that go away and come back', { skip }, () => {
  for (const [stays, goes] of [
    ['chromium', 'firefox'],
    ['firefox', 'chromium'],
  ] as const) {
    it(`${goes} that crashes is seen to leave within 10 s by ${stays}`, (t) =>
      withWorld(async ({ relay, open }) => {
        const [ada, bob] = [await open(stays), await open(goes)];
        await meet(ada, bob, [await relay()]);
        await ada.call('send', 'Bob', 'hello');
        await bob.waitFor('data', 'hello');
        const killedAt = Date.now();
        bob.kill();
        // What is left of a browser sometimes closes its connections, and sometimes nothing is said at all.
        const seen = await ada.waitFor('leave');
        t.diagnostic(`after ${seen.at - killedAt} ms`);
        assert.ok(seen.at - killedAt < patience(10_000), `${seen.at - killedAt} ms`);
        await pause(3000);
        assert.equal(countOf(await ada.log(), 'peer'), 1, 'no ghost comes back');
      }));

    it(`${goes} that closes its tab is seen to leave within a second by ${stays}`, () =>
      withWorld(async ({ relay, open, url }) => {
        const [ada, bob] = [await open(stays), await open(goes)];
        // A browser that has no tab left would end, which is not what is meant.
        await bob.openBeside(url);
        await meet(ada, bob, [await relay()]);
        const closedAt = Date.now();
        await bob.page.close();
        const seen = await ada.waitFor('leave', 'Bob left');
        assert.ok(seen.at - closedAt < patience(1500), `${seen.at - closedAt} ms`);
      }));

    it(`${goes} that reloads is the same peer again to ${stays}`, () =>
      withWorld(async ({ relay, open }) => {
        const [ada, bob] = [await open(stays), await open(goes)];
        const relays = [await relay()];
        await meet(ada, bob, relays);
        const id = await bob.call<string>('selfId');
        await bob.page.reload();
        await bob.page.waitForFunction('globalThis.harness !== undefined');
        await bob.call('join', { relays: relays.map(({ record }) => record) }, 'tea', {
          nick: 'Bob again',
        });
        await bob.waitFor('open', 'Ada');
        await ada.waitFor('open', 'Bob again');
        assert.equal(await bob.call('selfId'), id);
        const peers = await ada.call<{ id: string }[]>('peers');
        assert.deepEqual(
          peers.map((peer) => peer.id),
          [id],
        );
        await ada.call('send', 'Bob again', 'welcome back');
        await bob.waitFor('data', 'welcome back');
      }));
  }

  for (const [stays, works] of [
    ['chromium', 'firefox'],
    ['firefox', 'chromium'],
  ] as const)
    it(`${works} whose page computes for twelve seconds is not seen to leave by ${stays}, and hears what was sent meanwhile`, () =>
      withWorld(async ({ relay, open }) => {
        const [ada, bob] = [await open(stays), await open(works)];
        await meet(ada, bob, [await relay()]);
        await bob.page.evaluate(() => {
          setTimeout(() => {
            const end = performance.now() + 12_000;
            while (performance.now() < end);
          });
        });
        await pause(9000);
        await ada.call('send', 'Bob', 'are you there?');
        await bob.waitFor('data', 'are you there?');
        await bob.call('send', 'Ada', 'I was busy');
        await ada.waitFor('data', 'I was busy');
        assert.deepEqual(
          [countOf(await ada.log(), 'leave'), countOf(await bob.log(), 'leave')],
          [0, 0],
        );
      }));

  it('a Chromium that was frozen for longer than others wait finds them again', () =>
    withWorld(async ({ relay, open }) => {
      const [ada, bob] = [await open('firefox'), await open('chromium')];
      await meet(ada, bob, [await relay()]);
      const session = await bob.page.createCDPSession();
      await session.send('Page.setWebLifecycleState', { state: 'frozen' });
      // Its browser still acknowledges what comes, so that it may be only busy, for half a minute.
      await ada.waitFor('leave', 'Bob lost', 45_000);
      await pause(5000);
      await session.send('Page.setWebLifecycleState', { state: 'active' });
      await until(
        async () => countOf(await ada.log(), 'open', 'Bob') === 2,
        'Bob is not there again',
      );
      await ada.call('send', 'Bob', 'good morning');
      await bob.waitFor('data', 'good morning');
    }));

  it('a Chromium that comes back by "back" finds the others again, and was seen to leave before', () =>
    withWorld(async ({ relay, open, url }) => {
      const [ada, bob] = [await open('firefox'), await open('chromium')];
      await meet(ada, bob, [await relay()]);
      const leftAt = Date.now();
      await bob.page.goto(url.replace('localhost', '127.0.0.1'));
      const seen = await ada.waitFor('leave', 'Bob left');
      assert.ok(seen.at - leftAt < patience(3000), `${seen.at - leftAt} ms`);
      await bob.page.goBack();
      await bob.page.waitForFunction('globalThis.harness !== undefined');
      // Whether it was kept or loaded anew is the browser's choice.
      if ((await bob.log()).length === 0) return;
      await until(
        async () => countOf(await ada.log(), 'open', 'Bob') === 2,
        'Bob is not there again',
      );
    }));
});

describe('pages that cannot connect are told why', { skip }, () => {
  const bare = (ip: string, port: number): object => ({
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip,
    port,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: Buffer.alloc(32, ip).toString('base64url'),
  });

  it('a browser that may not use UDP: WEBRTC_BLOCKED_BY_POLICY; one without WebRTC: WEBRTC_MISSING', () =>
    withWorld(async ({ relay, open }) => {
      const { record } = await relay();
      const blocked: readonly (readonly [Promise<Tab>, string])[] = [
        [
          open('chromium', ['--webrtc-ip-handling-policy=disable_non_proxied_udp']),
          'WEBRTC_BLOCKED_BY_POLICY',
        ],
        [
          open('firefox', [], { 'media.peerconnection.ice.relay_only': true }),
          'WEBRTC_BLOCKED_BY_POLICY',
        ],
        [open('firefox', [], { 'media.peerconnection.enabled': false }), 'WEBRTC_MISSING'],
      ];
      await Promise.all(
        blocked.map(async ([opening, code]) => {
          const tab = await opening;
          await tab.call('join', { relays: [record] }, 'tea');
          await tab.waitFor('error', code, 40_000);
          assert.equal((await tab.call<{ code: string }>('status')).code, code);
        }),
      );
    }));

  it('a page whose own policy blocks WebRTC: WEBRTC_BLOCKED_BY_POLICY in a browser that heeds it; others join', (t) =>
    withWorld(async ({ relay, open }) => {
      const { record } = await relay();
      const tabs = [await open('chromium'), await open('firefox')];
      for (const tab of tabs) {
        await tab.call('join', { relays: [record] }, 'tea');
        let outcome: LogEntry | undefined;
        await until(async () => {
          const log = await tab.log();
          outcome = log.find(({ event }) => event === 'joined' || event === 'error');
          return outcome !== undefined;
        }, 'nothing is said');
        t.diagnostic(`${tab.name}: ${outcome?.event}`);
        if (outcome?.event === 'error') assert.equal(outcome.value, 'WEBRTC_BLOCKED_BY_POLICY');
      }
    }, `${LOOSE_POLICY}; webrtc 'block'`));

  it('no UDP at all, while the page itself is reached: UDP_BLOCKED; with a STUN server that answers: RELAYS_UNREACHABLE', () =>
    withWorld(async ({ relay, open }) => {
      const { record } = await relay();
      const silent = [bare('203.0.113.5', 3478), bare('198.51.100.5', 3478)];
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      const isTold = async (tab: Tab): Promise<void> => {
        await tab.call('join', { relays: silent }, 'tea');
        await tab.waitFor('error', 'UDP_BLOCKED', 60_000);
        await tab.call('close');
        await tab.call(
          'join',
          { relays: silent, iceServers: [{ urls: `stun:${record.ip}:${record.port}` }] },
          'tea',
        );
        await tab.waitFor('error', 'RELAYS_UNREACHABLE', 60_000);
      };
      await Promise.all([ada, bob].map(isTold));
    }, LOOSE_POLICY));

  it('a relay with another certificate, and a record that its node has not signed: RELAY_FORGED', () =>
    withWorld(async ({ relay, open }) => {
      const { record } = await relay();
      const { signature: _signature, ...unsigned } = record;
      const tab = await open('chromium');
      await tab.call(
        'join',
        { relays: [{ ...unsigned, fingerprint: `AA${':AA'.repeat(31)}` }] },
        'tea',
      );
      await tab.waitFor('error', 'RELAY_FORGED', 40_000);
      const other = await open('firefox');
      await other.call('join', { relays: [{ ...record, port: 4000 }] }, 'tea');
      await other.waitFor('error', 'RELAY_FORGED', 40_000);
    }));

  it('another password than those who are there: ROOM_KEY_MISMATCH, and nobody is met', () =>
    withWorld(async ({ relay, open }) => {
      const { record } = await relay();
      const [ada, eve] = [await open('chromium'), await open('firefox')];
      await ada.call('join', { relays: [record] }, 'tea', { nick: 'Ada', password: 'sesame' });
      await ada.waitFor('joined', 0);
      await eve.call('join', { relays: [record] }, 'tea', { nick: 'Eve', password: 'open sesame' });
      await eve.waitFor('error', 'ROOM_KEY_MISMATCH', 40_000);
      for (const tab of [ada, eve]) assert.equal(countOf(await tab.log(), 'peer'), 0);
      const bob = await open('chromium');
      await bob.call('join', { relays: [record] }, 'tea', { nick: 'Bob', password: 'sesame' });
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
    }));
});

describe('a page in a sandbox', { skip }, () => {
  for (const name of ['chromium', 'firefox'] as const) {
    it(`${name}: in an iframe with an opaque origin, under the strict policy, joins with embedded records only`, () =>
      withWorld(async ({ relay, open, url }) => {
        const { record } = await relay();
        const [ada, bob] = [await open(name), await open('chromium')];
        // The same page once more, in a frame that may run scripts and nothing else.
        await ada.page.evaluate(`{
          const frame = document.createElement('iframe');
          frame.sandbox = 'allow-scripts';
          frame.srcdoc = document.documentElement.outerHTML;
          document.body.append(frame);
        }`);
        await until(() => ada.page.frames().length > 1, 'the frame is there');
        const frame = ada.page.frames().find((candidate) => candidate !== ada.page.mainFrame());
        assert.ok(frame !== undefined, url);
        await frame.waitForFunction('globalThis.harness !== undefined');
        assert.equal(
          await frame.evaluate(
            '(() => { try { return String(localStorage) } catch (error) { return error.name } })()',
          ),
          'SecurityError',
        );
        await frame.evaluate(
          `globalThis.harness.join(${JSON.stringify({ relays: [record] })}, 'tea', { nick: 'Ada' })`,
        );
        await bob.call('join', { relays: [record] }, 'tea', { nick: 'Bob' });
        await bob.waitFor('open', 'Ada');
        await bob.call('send', 'Ada', 'into the sandbox');
        await until(
          async () =>
            JSON.stringify(await frame.evaluate('globalThis.harness.log()')).includes(
              'into the sandbox',
            ),
          'the value arrives',
        );
      }));
  }
});
