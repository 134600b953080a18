import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { patience, until } from '@lumamesh/testkit';
import { whySkipped } from './support.ts';
import { type Member, hashes, untilSame, withWorld } from './yjs-support.ts';

/* The adapter for Yjs as it is published, in real browsers. Much more of it: large/yjs.test.ts. */

const skip = whySkipped() ?? false;

describe('Yjs documents', { skip }, () => {
  it('of Chromium and Firefox are the same after edits, edits offline, a reload and a crash', () =>
    withWorld(async ({ options, open }) => {
      const [ada, bob] = [await open('chromium'), await open('firefox')];
      await ada.call('start', 'Ada', options);
      await bob.call('start', 'Bob', options);
      const both: readonly Member[] = [
        [ada, 'Ada'],
        [bob, 'Bob'],
      ];
      await Promise.all([ada.waitFor('synced', 'Ada'), bob.waitFor('synced', 'Bob')]);
      await Promise.all([ada.call('scribble', 'Ada', 60, 1), bob.call('scribble', 'Bob', 60, 2)]);
      await untilSame(both);
      await ada.waitFor('names', ['Ada', 'Bob']);
      await bob.waitFor('names', ['Ada', 'Bob']);

      await bob.call('disconnect', 'Bob');
      await ada.waitFor('names', ['Ada']);
      await Promise.all([ada.call('scribble', 'Ada', 20, 3), bob.call('scribble', 'Bob', 20, 4)]);
      const [before, after] = await hashes(both);
      assert.notEqual(before, after);
      await bob.call('connect', 'Bob');
      await untilSame(both);

      await bob.page.reload();
      await bob.page.waitForFunction('globalThis.harness !== undefined');
      await bob.call('start', 'Bob', options);
      await untilSame(both);

      // Who has another password, or none, is in another room.
      const cy = await open('chromium');
      await cy.call('start', 'Cy', { ...options, password: 'guessed' });
      await cy.call('insert', 'Cy', 0, 'nobody reads this');
      const length = await ada.call<number>('length', 'Ada');
      const seen = (await ada.log()).length;
      bob.kill();
      const startedAt = performance.now();
      await until(
        async () => (await ada.call<string[]>('namesAt', 'Ada')).length === 1,
        async () => JSON.stringify((await ada.log()).slice(seen)),
      );
      assert.ok(performance.now() - startedAt < patience(9000));
      assert.equal(await ada.call('length', 'Ada'), length);
      assert.equal(await cy.call('text', 'Cy'), 'nobody reads this');
    }));

  it('reach five members with two connections each, and one who comes late to 345 KB', () =>
    withWorld(async ({ options, open }) => {
      const [one, two] = [await open('chromium'), await open('firefox')];
      const members: Member[] = [
        [one, 'A'],
        [two, 'B'],
        [one, 'C'],
        [two, 'D'],
        [one, 'E'],
      ];
      for (const [tab, nick] of members) await tab.call('start', nick, { ...options, maxConns: 2 });
      // Whoever joins has to be known by all before places on the ring hold.
      for (const [tab, nick] of members)
        await until(async () => tab.call('isSynced', nick), `${nick} is alone`);
      await Promise.all(members.map(async ([tab, nick], i) => tab.call('scribble', nick, 20, i)));
      await untilSame(members);
      await one.call('fill', 'A', 345_000);
      await untilSame(members);
      const late: Member = [two, 'F'];
      await two.call('start', 'F', { ...options, maxConns: 2 });
      await untilSame([...members, late]);
      const [tab, nick] = late;
      await tab.call('insert', nick, 0, 'from the last one ');
      await untilSame([...members, late]);
    }));

  it('are shared by the tabs of a browser, one of which carries for all', () =>
    withWorld(async ({ options, open, url }) => {
      const [far, near] = [await open('firefox'), await open('chromium')];
      await far.call('start', 'Far', options);
      await far.call('insert', 'Far', 0, 'far ');
      await near.call('start', 'One', { ...options, sharesTabs: true });
      await untilSame([
        [far, 'Far'],
        [near, 'One'],
      ]);
      const page = await near.openBeside(url);
      await page.waitForFunction('globalThis.harness !== undefined');
      const call = async (method: string, ...values: readonly unknown[]): Promise<unknown> =>
        page.evaluate(`harness[${JSON.stringify(method)}](...${JSON.stringify(values)})`);
      await call('start', 'Two', { ...options, sharesTabs: true });
      await call('insert', 'Two', 0, 'two ');
      await until(
        async () => (await far.call<string>('text', 'Far')).includes('two '),
        'far hears nothing of the second tab',
      );
      await until(async () => String(await call('text', 'Two')).includes('far '), 'nor it of far');
      assert.equal(await near.call('isCarrier', 'One'), true);
      assert.equal(await call('isCarrier', 'Two'), false);
      await until(
        async () => (await far.call<string[]>('namesAt', 'Far')).join() === 'Far,One,Two',
        async () => JSON.stringify(await far.log()),
      );
      // The one that carries goes: the other one does.
      await near.page.goto('about:blank');
      await until(async () => (await call('isCarrier', 'Two')) === true, 'nobody carries');
      await call('insert', 'Two', 0, 'alone ');
      await until(
        async () => (await far.call<string>('text', 'Far')).includes('alone '),
        async () => JSON.stringify(await far.log()),
      );
      await until(
        async () => (await far.call<string[]>('namesAt', 'Far')).join() === 'Far,Two',
        async () => JSON.stringify(await far.log()),
      );
    }));
});
