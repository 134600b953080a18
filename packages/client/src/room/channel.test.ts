import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { type ClientMessage, type RelayMessage, deriveRoomSecret } from '@lumamesh/protocol';
import type { Platform } from '../platform/platform.ts';
import { RoomChannel } from './channel.ts';
import { type PeerIdentity, createPeerIdentity } from './peer-identity.ts';
import { EVERYONE, Sealer } from './sealing.ts';
import { watchCrypto } from './watched-crypto.test-support.ts';

const watched = watchCrypto();
const { web } = watched;
const NAME = 'tea';

/** A member with a channel of ours, at relays that the test plays. */
class Page {
  readonly identity: PeerIdentity;
  readonly channel: RoomChannel;
  readonly sent: { readonly relay: string | null; readonly message: ClientMessage }[] = [];
  /** What its owner was told: `id presence`. */
  readonly met: string[] = [];
  readonly signals: unknown[] = [];
  readonly reached = new Set<string>();
  readonly errors: string[] = [];
  nick = 'Ada';
  now: Instant = instant(0);

  constructor(identity: PeerIdentity) {
    this.identity = identity;
    const platform = {
      crypto: web,
      now: () => this.now,
      random: Math.random,
    } as unknown as Platform;
    this.channel = new RoomChannel(
      'room',
      NAME,
      '',
      {
        platform,
        onListenerError: (error) => this.errors.push(String(error)),
        _identityFor: () => Promise.resolve(identity),
        send: (relay, message) => {
          this.sent.push({ relay, message });
          return true;
        },
        _handleStart: () => undefined,
        _handleReady: () => undefined,
        _handleLeft: () => undefined,
      },
      {
        _presence: () => ({ nick: this.nick }),
        _handleMember: (id, { presence }) => this.met.push(`${id} ${JSON.stringify(presence)}`),
        _handleSignal: (from, payload) => {
          this.signals.push([from, (payload as { readonly n?: unknown }).n]);
          return true;
        },
        _isReached: (id) => this.reached.has(id),
        _handleError: ({ code }) => this.errors.push(code),
      },
    );
  }

  static async make(counter = 0): Promise<Page> {
    const page = new Page({ ...(await createPeerIdentity(web.subtle)), counter });
    await page.channel._start();
    return page;
  }

  hear(relay: string, message: object): void {
    this.channel._handleMessage(relay, { room: this.channel.roomId, ...message } as RelayMessage);
  }

  /** Until all that was heard is opened. */
  settle(): Promise<void> {
    return watched.settle();
  }

  tick(ms: number): void {
    this.now = instant(this.now + ms);
    this.channel._handleTick(this.now);
  }
}

/** A member of whom there are only keys. */
async function member(counter = 0): Promise<{ readonly id: string; readonly sealer: Sealer }> {
  const identity = { ...(await createPeerIdentity(web.subtle)), counter };
  const secret = await deriveRoomSecret(web.subtle, NAME, '');
  return { id: identity.id, sealer: new Sealer(web, secret, identity) };
}

describe('a room over relays that may lie', () => {
  it('says what was not answered again by all relays, once, and goes on by them', async () => {
    const page = await Page.make();
    const bob = await member();
    const presence = await bob.sealer.seal('presence', EVERYONE, {});
    page.hear('silent', { action: 'peer-joined', peer: bob.id, presence });
    await page.settle();
    page.channel._signal(bob.id, { n: 1 });
    await page.settle();
    assert.deepEqual(
      page.sent.map(({ relay }) => relay),
      ['silent'],
    );
    for (let i = 0; i < 5; i++) page.tick(1000);
    page.channel._signal(bob.id, { n: 2 });
    await page.settle();
    assert.deepEqual(
      page.sent.map(({ relay }) => relay),
      ['silent', null, null],
    );
    assert.deepEqual(page.sent[1]?.message, page.sent[0]?.message);
  });

  it('says again at once what a relay took that had to be dialled again', async () => {
    const page = await Page.make();
    const bob = await member();
    const presence = await bob.sealer.seal('presence', EVERYONE, {});
    const joined = { action: 'joined', members: [{ peer: bob.id, presence }] };
    page.channel._handleRelayUp('relay');
    page.hear('relay', joined);
    await page.settle();
    page.channel._signal(bob.id, { n: 1 });
    await page.settle();
    page.channel._handleRelayUp('another');
    page.hear('another', joined);
    await page.settle();
    assert.equal(page.sent.length, 1, 'another one has lost nothing');
    page.channel._handleRelayGone('relay');
    page.channel._handleRelayUp('relay');
    await page.settle();
    assert.equal(page.sent.length, 1, 'not before it has taken this page in');
    page.hear('relay', joined);
    await page.settle();
    assert.deepEqual(
      page.sent.map(({ message }) => message),
      [page.sent[0]?.message, page.sent[0]?.message],
    );
  });

  it('says nothing again to whoever was heard, or is reached without relays', async () => {
    const page = await Page.make();
    const [bob, eve] = [await member(), await member()];
    for (const { id, sealer } of [bob, eve]) {
      const presence = await sealer.seal('presence', EVERYONE, {});
      page.hear('relay', { action: 'peer-joined', peer: id, presence });
    }
    await page.settle();
    page.channel._signal(bob.id, { n: 1 });
    page.channel._signal(eve.id, { n: 1 });
    await page.settle();
    const data = await bob.sealer.seal('signal', page.identity.id, { n: 2, stay: 0 });
    page.hear('relay', { action: 'signal', from: bob.id, data });
    page.channel._settle(eve.id);
    await page.settle();
    page.tick(5000);
    assert.equal(page.sent.length, 2);
    assert.deepEqual(page.signals, [[bob.id, 2]]);
  });

  it('meets who can prove itself, though a relay hides it or shows rubbish in its place', async () => {
    const page = await Page.make();
    const bob = await member(500);
    page.hear('liar', { action: 'peer-joined', peer: bob.id, presence: 'AAAA' });
    const data = await bob.sealer.seal('signal', page.identity.id, { n: 1, stay: 500 });
    page.hear('liar', { action: 'signal', from: bob.id, data });
    await page.settle();
    assert.deepEqual(page.signals, [[bob.id, 1]]);
    page.channel._signal(bob.id, { n: 2 });
    await page.settle();
    const { message } = page.sent[0] ?? {};
    assert.ok(message?.action === 'signal');
    const opened = await openAs(bob, page, message.data);
    assert.equal(opened, 2);
    assert.deepEqual(page.errors, ['ROOM_KEY_MISMATCH'], 'said before anybody was met');
    page.hear('liar', { action: 'peer-joined', peer: 'x'.repeat(22), presence: 'AAAA' });
    await page.settle();
    assert.equal(page.errors.length, 1, 'one stranger among members is no other password');
  });

  it('takes an older presence for nothing: what a member said last counts', async () => {
    const page = await Page.make();
    const bob = await member();
    const old = await bob.sealer.seal('presence', EVERYONE, { nick: 'old' });
    const young = await bob.sealer.seal('presence', EVERYONE, { nick: 'young' });
    page.hear('a', { action: 'peer-joined', peer: bob.id, presence: young });
    // Of what is opened at the same time either may be first.
    await page.settle();
    page.hear('b', { action: 'peer-joined', peer: bob.id, presence: old });
    await page.settle();
    assert.deepEqual(page.met, [`${bob.id} {"nick":"young"}`, `${bob.id} {"nick":"young"}`]);
  });

  it('signals to a member in its stay, however often that says something else of itself', async () => {
    const page = await Page.make();
    const bob = await member(1000);
    const first = await bob.sealer.seal('presence', EVERYONE, { stay: 1000, nick: 'first' });
    const second = await bob.sealer.seal('presence', EVERYONE, { stay: 1000, nick: 'second' });
    for (const [relay, presence] of [
      ['a', first],
      ['a', second],
      // Kept by a relay, and shown to who has heard the latest.
      ['b', first],
    ] as const) {
      page.hear(relay, { action: 'peer-joined', peer: bob.id, presence });
      await page.settle();
    }
    assert.deepEqual(
      page.met.map((line) => /"nick":"(.*)"/.exec(line)?.[1]),
      ['first', 'second', 'second'],
    );
    page.channel._signal(bob.id, { n: 1 });
    await page.settle();
    const { message } = page.sent.at(-1) ?? {};
    assert.ok(message?.action === 'signal');
    assert.equal(await openAs(bob, page, message.data), 1);
  });

  it('says something else of this page by the latest presence, in the stay that it has', async () => {
    const page = await Page.make(7);
    const bob = await member();
    const read = async (): Promise<unknown> => {
      const join = page.channel._joinMessageFor('relay', undefined);
      assert.ok(join?.action === 'join');
      const opened = await bob.sealer.open('presence', page.identity.id, join.presence);
      return opened.ok ? [opened.value.value, opened.value.counter] : opened.drop;
    };
    assert.deepEqual(await read(), [{ nick: 'Ada', stay: 7 }, 7]);
    for (const nick of ['1', '2', '3']) {
      page.nick = nick;
      void page.channel._say();
    }
    await page.settle();
    // The first of them was being sealed already; those between were never said.
    assert.deepEqual(await read(), [{ nick: '3', stay: 7 }, 9]);
    const data = await bob.sealer.seal('signal', page.identity.id, { n: 1, stay: 0 }, 7);
    page.hear('relay', { action: 'signal', from: bob.id, data });
    await page.settle();
    assert.deepEqual(page.signals, [[bob.id, 1]]);
  });

  it('takes no stay that a member cannot have', async () => {
    const page = await Page.make();
    for (const stay of [-1, 1.5, 2 ** 60, 'x', {}, null]) {
      const mallory = await member(20);
      const presence = await mallory.sealer.seal('presence', EVERYONE, { stay });
      page.hear('relay', { action: 'peer-joined', peer: mallory.id, presence });
      await page.settle();
      assert.equal(page.channel._member(mallory.id)?.stay, 20, JSON.stringify(stay));
    }
    assert.deepEqual(page.errors, []);
  });

  it('opens no signal that was sealed for an earlier stay of this page', async () => {
    const identity = await createPeerIdentity(web.subtle);
    const page = new Page({ ...identity, counter: 1000 });
    await page.channel._start();
    const bob = await member();
    const data = await bob.sealer.seal('signal', identity.id, { n: 1, stay: 0 }, 0);
    page.hear('relay', { action: 'signal', from: bob.id, data });
    await page.settle();
    assert.deepEqual(page.signals, []);
  });

  it('lets nobody who floods it keep another waiting', async () => {
    const page = await Page.make();
    const [mallory, bob] = [await member(), await member()];
    const noise = await mallory.sealer.seal('signal', page.identity.id, { n: 'x'.repeat(8000) });
    for (let i = 0; i < 5000; i++)
      page.hear('relay', { action: 'signal', from: mallory.id, data: noise });
    const data = await bob.sealer.seal('signal', page.identity.id, { n: 1, stay: 0 });
    page.hear('relay', { action: 'signal', from: bob.id, data });
    const before = watched.opened;
    await page.settle();
    assert.deepEqual(page.signals, [[bob.id, 1]]);
    const opened = watched.opened - before;
    assert.ok(opened < 100, `${opened} texts were opened before it was heard`);
  });

  it('hears of all who leave, also while many are being met', async () => {
    const page = await Page.make();
    const crowd = await Promise.all(Array.from({ length: 150 }, async () => member()));
    const members = await Promise.all(
      crowd.map(async ({ id, sealer }) => ({
        peer: id,
        presence: await sealer.seal('presence', EVERYONE, { stay: 0 }),
      })),
    );
    page.hear('relay', { action: 'joined', members });
    for (const { id } of crowd) page.hear('relay', { action: 'peer-left', peer: id });
    await page.settle();
    assert.equal(page.met.length, 150);
    assert.equal(page.channel._members.length, 0);
  });

  it('holds few of those who are made up, and none in the place of who is met', async () => {
    const page = await Page.make();
    const bob = await member();
    page.hear('relay', {
      action: 'peer-joined',
      peer: bob.id,
      presence: await bob.sealer.seal('presence', EVERYONE, {}),
    });
    page.reached.add(bob.id);
    for (let batch = 0; batch < 4; batch++) {
      const members = await Promise.all(Array.from({ length: 300 }, async () => member()));
      for (const { id, sealer } of members)
        page.hear('relay', {
          action: 'peer-joined',
          peer: id,
          presence: await sealer.seal('presence', EVERYONE, {}),
        });
      await page.settle();
    }
    const ids = [...page.channel._members].map(([id]) => id);
    assert.equal(ids.length, 1000);
    assert.ok(ids.includes(bob.id));
    assert.equal(page.met.length, 1201, 'who came last was met, too');
  });

  it('throws at nothing that members seal', async () => {
    const page = await Page.make();
    const mallory = await member();
    for (const payload of [null, 7, 'x', [], {}, { stay: 'x' }, { stay: {} }]) {
      const data = await mallory.sealer.seal('signal', page.identity.id, payload);
      page.hear('relay', { action: 'signal', from: mallory.id, data });
    }
    await page.settle();
    assert.deepEqual([page.signals, page.errors], [[], []]);
  });
});

async function openAs(
  { sealer }: { readonly sealer: Sealer },
  page: Page,
  data: string,
): Promise<unknown> {
  const opened = await sealer.open('signal', page.identity.id, data);
  return opened.ok ? (opened.value.value as { readonly n?: unknown }).n : opened.drop;
}
