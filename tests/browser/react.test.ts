import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { build } from 'esbuild';
import { encodeRecordLine } from '@lumamesh/protocol';
import { pause, until } from '@lumamesh/testkit';
import { type BrowserName, launchBrowser, serveStrictPage } from '@lumamesh/testkit/browsers';
import { fromPacked } from './packed.ts';
import type { Panel, View } from './page/react-view.ts';
import { type TestRelay, serveHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

const skip = whySkipped() ?? false;
const GUIDE = join(import.meta.dirname, '../../docs/guide/react.md');

/** Waits until what is looked at is right; fails with what there was instead. */
async function untilSeen<T>(
  look: () => T | Promise<T>,
  isThere: (seen: T) => boolean,
  what: string,
): Promise<void> {
  let seen: T | undefined;
  await until(
    async () => isThere((seen = await look())),
    () => `not so: ${what}; ${JSON.stringify(seen)}`,
  );
}

/** A tab with the app in it. */
class AppTab {
  readonly tab: Tab;
  readonly nick: string;
  readonly relay: TestRelay;

  constructor(tab: Tab, nick: string, relay: TestRelay) {
    this.tab = tab;
    this.nick = nick;
    this.relay = relay;
  }

  /** Renders the app with these panels; all of them are in room `tea` and show presence unless they say otherwise. */
  async show(...panels: readonly (Partial<Panel> & { readonly id: string })[]): Promise<void> {
    await this.tab.call('setApp', {
      relays: [this.relay.record],
      panels: panels.map((panel) => ({ room: 'tea', nick: this.nick, ...panel })),
    });
  }

  async until(id: string, isThere: (view: View) => boolean, what: string): Promise<void> {
    const look = async (): Promise<View | undefined> =>
      (await this.tab.call<Record<string, View>>('views'))[id];
    await untilSeen(
      look,
      (view) => view !== undefined && isThere(view),
      `${this.nick}'s ${id}: ${what}`,
    );
  }

  async sees(id: string, others: readonly string[]): Promise<void> {
    await this.until(
      id,
      ({ open, peers }) => sameList(open, others) && sameList(peers, others),
      `peers ${others.join()}`,
    );
  }

  async hears(id: string, ...values: readonly unknown[]): Promise<void> {
    await this.until(
      id,
      ({ others }) =>
        sameList(
          others,
          values.map((shared) => ({ shared })),
        ),
      `presence ${JSON.stringify(values)}`,
    );
  }

  async count(event: string, value?: unknown): Promise<number> {
    return (await this.tab.log()).filter(
      (entry) => entry.event === event && (value === undefined || entry.value === value),
    ).length;
  }
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function sessionsOf({ server }: TestRelay): number {
  const { established, halfOpen } = server.stats()['sessions'] as {
    established: number;
    halfOpen: number;
  };
  return established + halfOpen;
}

function membersOf({ server }: TestRelay): number {
  return (server.stats()['rooms'] as { members: number }).members;
}

/** Tabs with the app, called Ada and Bob, and a relay; all closed afterwards. */
async function withTabs(
  names: readonly BrowserName[],
  test: (tabs: { readonly ada: AppTab; readonly bob: AppTab }, relay: TestRelay) => Promise<void>,
): Promise<void> {
  const relay = await startRelay();
  const page = await serveHarness('react-page.ts');
  const tabs: Tab[] = [];
  try {
    for (const name of names) tabs.push(await Tab.open(name, page.url));
    const [a, b = a] = tabs;
    assert.ok(a !== undefined && b !== undefined);
    await test({ ada: new AppTab(a, 'Ada', relay), bob: new AppTab(b, 'Bob', relay) }, relay);
    // React says there what it thinks of a component that never comes to rest.
    for (const tab of tabs)
      assert.ok((await tab.call<number>('renders')) < 400, 'an app that renders without end');
  } finally {
    for (const tab of tabs) await tab.close().catch(() => undefined);
    await page.close();
    await relay.close().catch(() => undefined);
  }
}

describe('lumamesh/react', { skip }, () => {
  const pairs: readonly (readonly [BrowserName, BrowserName])[] = [
    ['chromium', 'chromium'],
    ['chromium', 'firefox'],
  ];
  for (const pair of pairs) {
    it(`${pair.join(' and ')}: peers come and go, presence crosses and vanishes, actions cross, unmounting leaves`, () =>
      withTabs(pair, async ({ ada, bob }, relay) => {
        await ada.show({ id: 'a', value: { x: 1 } });
        await ada.until('a', ({ state, net }) => state === 'joined' && net === 'online', 'joined');
        await bob.show({ id: 'b', value: 'over here' });
        await Promise.all([ada.sees('a', ['Bob']), bob.sees('b', ['Ada'])]);
        await Promise.all([ada.hears('a', 'over here'), bob.hears('b', { x: 1 })]);

        // A change of what is shared, and many at once.
        await Promise.all([2, 3, 4, 5].map((x) => ada.show({ id: 'a', value: { x } })));
        await bob.hears('b', { x: 5 });

        assert.equal(await ada.tab.call('say', 'a', { hello: 'wörld' }), true);
        await bob.until(
          'b',
          ({ said }) => sameList(said, ['Ada to Bob: {"hello":"wörld"}']),
          'an action, once',
        );

        // Sharing nothing any more, and again, while both stay.
        await bob.show({ id: 'b' });
        await ada.hears('a');
        await bob.show({ id: 'b', value: 'again' });
        await ada.hears('a', 'again');
        await bob.show({ id: 'b', hasPresence: false });
        await ada.hears('a');
        // Who listens late is told what was said before.
        await bob.show({ id: 'b', value: 'back' });
        await Promise.all([ada.hears('a', 'back'), bob.hears('b', { x: 5 })]);

        await bob.tab.call('unmount');
        await ada.sees('a', []);
        await ada.hears('a');
        await untilSeen(
          () => [sessionsOf(relay), membersOf(relay)],
          (seen) => sameList(seen, [1, 1]),
          'only Ada is left on the relay',
        );
        await ada.tab.call('unmount');
        await untilSeen(
          () => [sessionsOf(relay), membersOf(relay)],
          (seen) => sameList(seen, [0, 0]),
          'nobody is left on the relay',
        );
      }));
  }

  it("StrictMode's double mount makes one net and one membership, and neither leaks", () =>
    withTabs(['chromium'], async ({ ada }, relay) => {
      await ada.show({ id: 'a' });
      await ada.until('a', ({ state }) => state === 'joined', 'joined');
      assert.equal(await ada.count('mount', 'a'), 2, 'StrictMode is on');
      await pause(1500);
      assert.deepEqual([sessionsOf(relay), membersOf(relay)], [1, 1]);
      assert.deepEqual([await ada.count('connect'), await ada.count('relay reached')], [1, 1]);
      // Mounted again after it was gone: another net, and again one.
      await ada.tab.call('unmount');
      await untilSeen(
        () => sessionsOf(relay),
        (sessions) => sessions === 0,
        'hung up',
      );
      await ada.show({ id: 'a' });
      await ada.until('a', ({ state }) => state === 'joined', 'joined again');
      assert.deepEqual([sessionsOf(relay), membersOf(relay)], [1, 1]);
      assert.deepEqual([await ada.count('connect'), await ada.count('relay reached')], [2, 2]);
    }));

  it('a net comes when its options do, stays over renders, and is another one when they change', () =>
    withTabs(['chromium'], async ({ ada }, relay) => {
      const panels = [{ id: 'a', room: 'tea', nick: 'Ada' }];
      await ada.tab.call('setApp', { relays: null, panels });
      await ada.until(
        'a',
        ({ room, state, net }) => room === null && state === 'joining' && net === 'none',
        'no net, no room',
      );
      await ada.show({ id: 'a' });
      await ada.until('a', ({ state }) => state === 'joined', 'joined');
      for (let i = 0; i < 5; i++) await ada.show({ id: 'a', value: i });
      await ada.tab.call('setApp', {
        relays: [relay.record],
        iceServers: [{ urls: 'stun:192.0.2.1:3478' }],
        panels,
      });
      await ada.tab.waitFor('net', 2);
      await ada.until(
        'a',
        ({ state, net }) => state === 'joined' && net === 'online',
        'joined again',
      );
      await untilSeen(
        () => [sessionsOf(relay), membersOf(relay)],
        (seen) => sameList(seen, [1, 1]),
        'one net',
      );
      assert.deepEqual([await ada.count('connect'), await ada.count('relay reached')], [2, 2]);
      const states = (await ada.tab.log())
        .filter(({ event }) => event === 'view')
        .map(({ value }) => (value as { state: string }).state);
      assert.ok(!states.includes('left'), 'the end of the old net was shown');
      // Nobody to ask for anything any more.
      await ada.tab.call('setApp', { relays: null, panels });
      await ada.until('a', ({ room, net }) => room === null && net === 'none', 'no net');
      await untilSeen(
        () => sessionsOf(relay),
        (sessions) => sessions === 0,
        'hung up',
      );
    }));

  it('an app that React puts aside hangs up, and comes back with what it had', () =>
    withTabs(['chromium'], async ({ ada }, relay) => {
      const app = { relays: [relay.record], panels: [{ id: 'a', room: 'tea', nick: 'Ada' }] };
      await ada.tab.call('setApp', app);
      await ada.until('a', ({ state }) => state === 'joined', 'joined');
      await ada.tab.call('setApp', { ...app, isHidden: true });
      await untilSeen(
        () => sessionsOf(relay),
        (sessions) => sessions === 0,
        'hung up',
      );
      await ada.tab.call('setApp', app);
      await ada.until(
        'a',
        ({ state, net }) => state === 'joined' && net === 'online',
        'joined again',
      );
      assert.deepEqual([sessionsOf(relay), membersOf(relay)], [1, 1]);
    }));

  it('another name or password is another room', () =>
    withTabs(['chromium', 'chromium'], async ({ ada, bob }, relay) => {
      await ada.show({ id: 'p', value: 'A' });
      await bob.show({ id: 'p', value: 'B' });
      await Promise.all([ada.sees('p', ['Bob']), bob.sees('p', ['Ada'])]);
      await ada.show({ id: 'p', room: 'coffee', value: 'A' });
      await bob.sees('p', []);
      await bob.hears('p');
      await ada.until(
        'p',
        ({ room, peers, others }) => room === 'coffee' && peers.length === 0 && others.length === 0,
        'alone in another room',
      );
      await bob.show({ id: 'p', room: 'coffee', value: 'B' });
      await Promise.all([ada.hears('p', 'B'), bob.hears('p', 'A')]);
      await ada.show({ id: 'p', room: 'coffee', password: 'sesame', value: 'A' });
      await bob.sees('p', []);
      await bob.show({ id: 'p', room: 'coffee', password: 'sesame', value: 'B' });
      await Promise.all([ada.hears('p', 'B'), bob.hears('p', 'A')]);
      // Never was a room shown under the name of another.
      for (const { event, value } of await ada.tab.log()) {
        const { room, wanted } = (value ?? {}) as { room?: string | null; wanted?: string };
        if (event === 'view') assert.ok(room === null || room === wanted, JSON.stringify(value));
      }
      await bob.show({ id: 'p', room: null });
      await bob.until('p', ({ room, state }) => room === null && state === 'left', 'in no room');
      await bob.show({ id: 'p', room: '' });
      await bob.until(
        'p',
        ({ error, state }) => error === 'BAD_ROOM_NAME' && state === 'left',
        'a name that is none',
      );
      await ada.sees('p', []);
      assert.equal(sessionsOf(relay), 2);
    }));

  it('two components in one room: the one that goes does not end it for the other, the last one does', () =>
    withTabs(['chromium', 'chromium'], async ({ ada, bob }, relay) => {
      await bob.show({ id: 'b', value: 'B' });
      await ada.show(
        { id: 'left', value: 'from the left' },
        { id: 'right', value: 'from the right' },
      );
      await Promise.all([
        ada.hears('left', 'B'),
        ada.hears('right', 'B'),
        bob.hears('b', 'from the right'),
      ]);
      assert.equal(membersOf(relay), 2);
      await ada.show({ id: 'left', value: 'from the left' });
      await bob.hears('b', 'from the left');
      // Another takes the place of the last one: nobody has left.
      await ada.show({ id: 'new', value: 'new' });
      await bob.hears('b', 'new');
      await ada.until(
        'new',
        ({ state, open }) => state === 'joined' && sameList(open, ['Bob']),
        'still there',
      );
      await bob.tab.call('say', 'b', 1);
      await ada.until('new', ({ said }) => said.length === 1, 'an action');
      const peersSeen = (await bob.tab.log())
        .filter(({ event }) => event === 'view')
        .map(({ value }) => (value as { peers: unknown[] }).peers.length);
      assert.ok(
        peersSeen.lastIndexOf(0) < peersSeen.indexOf(1),
        `Ada was never gone: ${peersSeen.join()}`,
      );
      await ada.show();
      await Promise.all([bob.sees('b', []), bob.hears('b')]);
      await untilSeen(
        () => [sessionsOf(relay), membersOf(relay)],
        (seen) => sameList(seen, [2, 1]),
        'the room was left, the net kept',
      );
    }));

  it('what connect() throws goes to the error boundary', () =>
    withTabs(['chromium'], async ({ ada }) => {
      await ada.tab.call('setApp', { relays: ['luma1.broken'], panels: [] });
      await ada.tab.waitFor('caught', 'BAD_RELAY');
    }));

  it('the example of the guide runs as it stands', async () => {
    const code = /```jsx\n([^]*?)```/.exec(readFileSync(GUIDE, 'utf8'))?.[1] ?? '';
    assert.match(code, /lumamesh\/react/);
    const relay = await startRelay();
    const banner = `globalThis.RELAYS = ${JSON.stringify(encodeRecordLine(relay.record))};\ndocument.body.innerHTML = '<div id="root"></div>';`;
    const stdin = { contents: code, loader: 'jsx', resolveDir: import.meta.dirname } as const;
    const { outputFiles } = await build({
      stdin,
      jsx: 'automatic',
      bundle: true,
      write: false,
      format: 'esm',
      target: 'es2022',
      banner: { js: banner },
      plugins: [fromPacked()],
    });
    const strictPage = await serveStrictPage(outputFiles[0]?.text ?? '');
    const browsers = await Promise.all([launchBrowser('chromium'), launchBrowser('firefox')]);
    const errors: string[] = [];
    try {
      const pages = [];
      for (const browser of browsers) {
        const page = await browser.newPage();
        page.on('pageerror', (error) => errors.push(String(error)));
        page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
        await page.goto(strictPage.url);
        pages.push(page);
      }
      const [first, second] = pages;
      assert.ok(first !== undefined && second !== undefined);
      const textOf = (page: typeof first) => async (): Promise<string> =>
        (await page.evaluate('document.body.textContent')) as string;
      for (const page of pages)
        await untilSeen(textOf(page), (text) => text.includes('1 other'), 'they meet');
      await first.type('input', 'Hello');
      await untilSeen(textOf(second), (text) => text.includes('is typing'), 'typing is seen');
      await first.keyboard.press('Enter');
      for (const page of pages)
        await untilSeen(
          textOf(page),
          (text) => text.includes('Hello') && !text.includes('is typing'),
          'the message is there',
        );
      await first.close();
      await untilSeen(textOf(second), (text) => text.includes('0 others'), 'the other has gone');
      // The icon of the page is against its own policy.
      const ours = errors.filter((text) => !/Security.Policy/.test(text));
      assert.deepEqual(ours, []);
    } finally {
      for (const browser of browsers) await browser.close().catch(() => undefined);
      await strictPage.close();
      await relay.close();
    }
  });
});
