import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Frame, Page } from 'puppeteer-core';
import { encodeRecordLine } from '@lumamesh/protocol';
import { until } from '@lumamesh/testkit';
import type { LogEntry } from '@lumamesh/testkit/browsers';
import { BROWSERS, serveHarness, startRelay, whySkipped } from './support.ts';
import { type OpenTab, withTabs } from './tab.ts';

/* Who a page is: over reloads, visits, tabs and frames, in real browsers. */

const skip = whySkipped() ?? false;
const POLICY = "default-src 'none'; script-src 'unsafe-inline'; frame-src 'self'";
/** A frame or a page with the harness in it. */
type Place = Page | Frame;

interface World {
  readonly url: string;
  readonly line: string;
  readonly open: OpenTab;
}

async function withWorld(test: (world: World) => Promise<void>): Promise<void> {
  const [page, relay] = [await serveHarness('identity.ts', POLICY), await startRelay()];
  const { url } = page;
  try {
    await withTabs(url, async (open) => test({ url, line: encodeRecordLine(relay.record), open }));
  } finally {
    await page.close();
    await relay.close();
  }
}

async function call<T>(place: Place, method: string, ...values: readonly unknown[]): Promise<T> {
  await place.waitForFunction('globalThis.harness !== undefined');
  return place.evaluate(
    `globalThis.harness[${JSON.stringify(method)}](...${JSON.stringify(values)})`,
  ) as Promise<T>;
}

async function heard(place: Place, event: string, value: string): Promise<void> {
  await until(
    async () =>
      (await call<LogEntry[]>(place, 'log')).some(
        (entry) => entry.event === event && entry.value === value,
      ),
    async () => `${event} ${value}: ${JSON.stringify(await call(place, 'log'))}`,
  );
}

/** The frames of a page, in their order. */
function framesOf(page: Page): readonly Frame[] {
  return page.mainFrame().childFrames();
}

for (const name of BROWSERS) {
  describe(`an identity that is kept in ${name}`, { skip }, () => {
    it('is the same peer at later visits, another in each room, and cannot be exported', () =>
      withWorld(async ({ open, line, url }) => {
        const { page } = await open(name);
        const tea = await call<string>(page, 'join', line, 'tea', 'Ada', {});
        const coffee = await call<string>(page, 'join', line, 'coffee', 'Ada', {});
        assert.notEqual(tea, coffee);
        assert.equal(await call(page, 'isKept'), true);
        assert.equal(await call(page, 'export'), 'BAD_IDENTITY');
        const id = await call<string>(page, 'identityId');
        // Another tab comes, this one goes: a visit of another day.
        const later = await page.browserContext().newPage();
        await page.close();
        await later.goto(url);
        assert.equal(await call(later, 'join', line, 'coffee', 'Ada', {}), coffee);
        assert.equal(await call(later, 'join', line, 'tea', 'Ada', {}), tea);
        assert.equal(await call(later, 'identityId'), id);
        await call(later, 'close');
        await later.reload();
        await call(later, 'forget');
        assert.notEqual(await call(later, 'join', line, 'tea', 'Ada', {}), tea);
        assert.notEqual(await call(later, 'identityId'), id);
      }));

    it('is met again by a member that stayed, as the same peer in all rooms if it likes', () =>
      withWorld(async ({ open, line, url }) => {
        const [{ page: ada }, { page: bob }] = [await open(name), await open('chromium')];
        await call(bob, 'join', line, 'tea', 'Bob', null);
        const id = await call<string>(ada, 'join', line, 'tea', 'Ada', { scope: 'global' });
        await heard(bob, 'open', `Ada ${id}`);
        for (let visit = 0; visit < 2; visit++) {
          const nick = `Ada ${visit}`;
          await ada.goto('about:blank');
          await ada.goto(url);
          assert.equal(await call(ada, 'join', line, 'coffee', nick, { scope: 'global' }), id);
          assert.equal(await call(ada, 'join', line, 'tea', nick, { scope: 'global' }), id);
          await heard(bob, 'open', `${nick} ${id}`);
        }
      }));

    it('is proven to the peer that is chosen, and unlinkable to others', () =>
      withWorld(async ({ open, line }) => {
        const [{ page: ada }, { page: bob }] = [await open(name), await open('firefox')];
        const bobId = await call<string>(bob, 'join', line, 'tea', 'Bob', null);
        const id = await call<string>(ada, 'join', line, 'tea', 'Ada', {});
        await heard(bob, 'open', `Ada ${id}`);
        await heard(ada, 'open', `Bob ${bobId}`);
        const identityId = await call<string>(ada, 'identityId');
        assert.notEqual(identityId, id);
        assert.equal(await call(ada, 'prove', 'Bob'), true);
        await heard(bob, 'identity', `Ada ${identityId}`);
      }));

    it('is two peers in two tabs, each of which is itself again when both reload', () =>
      withWorld(async ({ open, line, url }) => {
        const { page: one } = await open(name);
        const two = await one.browserContext().newPage();
        await two.goto(url);
        const before = [
          await call<string>(one, 'join', line, 'tea', 'One', {}),
          await call<string>(two, 'join', line, 'tea', 'Two', {}),
        ];
        assert.notEqual(before[0], before[1]);
        assert.equal(await call(one, 'identityId'), await call(two, 'identityId'));
        await Promise.all([one.reload(), two.reload()]);
        const twoAgain = await call<string>(two, 'join', line, 'tea', 'Two', {});
        const oneAgain = await call<string>(one, 'join', line, 'tea', 'One', {});
        assert.deepEqual([oneAgain, twoAgain], before);
      }));

    it('is made anew when what is stored is damaged, and lasts for a visit without locks', () =>
      withWorld(async ({ open, line }) => {
        const { page } = await open(name);
        const first = await call<string>(page, 'join', line, 'tea', 'Ada', {});
        await call(page, 'close');
        await call(page, 'damage');
        await page.reload();
        const second = await call<string>(page, 'join', line, 'tea', 'Ada', {});
        assert.notEqual(second, first);
        await page.reload();
        assert.equal(await call(page, 'join', line, 'tea', 'Ada', {}), second);
        await page.reload();
        await call(page, 'hideLocks');
        assert.notEqual(await call(page, 'join', line, 'tea', 'Ada', {}), second);
      }));
  });

  describe(`frames and copied tabs in ${name}`, { skip }, () => {
    for (const options of [null, {}]) {
      const kind = options === null ? 'session' : 'kept';
      it(`two frames that reload keep their own ${kind} identities, in either order`, () =>
        withWorld(async ({ open, line }) => {
          const { page } = await open(name);
          for (const query of ['same', 'same']) await call(page, 'addFrame', query);
          const joinAs = async (i: number): Promise<string> =>
            call(framesOf(page)[i] as Frame, 'join', line, 'tea', `frame ${i}`, options);
          const before = [await joinAs(0), await joinAs(1)];
          assert.notEqual(before[0], before[1]);
          for (const order of [
            [0, 1],
            [1, 0],
          ]) {
            await Promise.all(
              order.map(async (i) => {
                const frame = framesOf(page)[i] as Frame;
                await Promise.all([
                  frame.waitForNavigation(),
                  frame.evaluate('location.reload()').catch(() => undefined),
                ]);
              }),
            );
            const after: string[] = [];
            for (const i of order) after[i] = await joinAs(i);
            assert.deepEqual(after, before, `order ${String(order)}`);
          }
        }));
    }

    it('a frame of an opaque origin is a peer of its own, whatever it asks for', () =>
      withWorld(async ({ open, line }) => {
        const { page } = await open(name);
        const top = await call<string>(page, 'join', line, 'tea', 'top', {});
        await call(page, 'addFrame', 'sandboxed', 'allow-scripts');
        const frame = framesOf(page)[0] as Frame;
        const kept = await call<string>(frame, 'join', line, 'tea', 'inside', {});
        assert.equal(await call(frame, 'isKept'), false);
        assert.notEqual(kept, top);
        await call(frame, 'close');
      }));

    it('a copy of a tab is never the same peer as the tab', () =>
      withWorld(async ({ open, line }) => {
        const { page } = await open(name);
        const id = await call<string>(page, 'join', line, 'tea', 'Ada', null);
        // It has reloaded, and is not in the room yet: what was kept is copied with the tab.
        await page.reload();
        await page.waitForFunction('globalThis.harness !== undefined');
        assert.equal(await call(page, 'stored'), 1);
        const opened = new Promise<Page>((resolve) =>
          page.once('popup', (popup) => resolve(popup as Page)),
        );
        await page.evaluate('void open(location.href)');
        const copy = await opened;
        assert.equal(await call(copy, 'stored'), 1, 'the browser copies what a session stores');
        const ids = await Promise.all(
          [copy, page].map(async (one) => call<string>(one, 'join', line, 'tea', 'Ada', null)),
        );
        assert.notEqual(ids[0], ids[1]);
        assert.equal(ids.filter((one) => one === id).length, 1);
      }));
  });
}
