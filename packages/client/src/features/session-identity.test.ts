import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WebCrypto } from '@lumamesh/protocol';
import type { NetHandle, NetPart, RoomHandle } from '../feature.ts';
import type { Platform } from '../platform/platform.ts';
import type { PeerIdentity } from '../room/peer-identity.ts';
import { sessionIdentity } from './session-identity.ts';

/*
 * Pages of a tab, played: what browsers do with session storage and frames. The same with real
 * browsers is in tests/browser/identity.test.ts.
 */
const ROOM = 'a'.repeat(43);

class FakeStorage {
  readonly texts = new Map<string, string>();
  getItem(key: string): string | null {
    return this.texts.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.texts.set(key, value);
  }
  removeItem(key: string): void {
    this.texts.delete(key);
  }
  /** What a copied tab finds. */
  copy(): FakeStorage {
    const copy = new FakeStorage();
    for (const [key, text] of this.texts) copy.setItem(key, text);
    return copy;
  }
}

/** Locks of an origin: those that are held, by name. */
class FakeLocks {
  readonly held = new Set<string>();
  async request(
    name: string,
    { signal }: { readonly signal: AbortSignal },
    run: () => Promise<void>,
  ): Promise<void> {
    // Whoever waits gives up at once, as if the time had passed.
    if (this.held.has(name) || signal.aborted) throw new DOMException('', 'AbortError');
    this.held.add(name);
    await run();
    this.held.delete(name);
  }
}

interface World {
  readonly storage?: unknown;
  readonly locks?: FakeLocks;
  /** Frames of a tab: this one is at an index of its parent. */
  readonly frame?: { readonly index: number; readonly of: number; readonly name?: string };
  readonly seconds?: number;
  readonly page?: string;
}

function windowOf({ index, of, name = '' }: NonNullable<World['frame']>): unknown {
  const parent: Record<string, unknown> = { length: of };
  parent['parent'] = parent;
  const frame = { parent, name };
  for (let i = 0; i < of; i++) parent[i] = i === index ? frame : {};
  return frame;
}

/** A page that has just loaded. */
class Page {
  readonly #part: NetPart;
  readonly #rooms: Pick<RoomHandle, 'roomId' | 'counter'>[] = [];

  constructor({ storage = null, locks, frame, seconds = 1_000_000, page = '/' }: World) {
    const platform = {
      crypto: crypto as unknown as WebCrypto,
      storage: () => storage as Storage | null,
      unixSeconds: () => seconds,
      scope: {
        navigator: { locks },
        location: { pathname: page, search: '' },
        ...(frame && { self: windowOf(frame) }),
      },
    } as unknown as Platform;
    const net = { platform, stays: this.#rooms } as unknown as NetHandle;
    this.#part = sessionIdentity().net?.(net) ?? {};
  }

  async join(used = 5): Promise<PeerIdentity> {
    const identity = await this.#part.identityFor?.(ROOM);
    assert.ok(identity);
    this.#rooms.push({ roomId: ROOM, counter: identity.counter + used });
    return identity;
  }

  /** As before a reload, or for good: with it all of its rooms are left. */
  hide(...identities: readonly PeerIdentity[]): void {
    this.#part.onPageHide?.();
    for (const { release } of identities) release?.();
  }
}

describe('a page that reloads', () => {
  it('is the same peer, whose counters go on', async () => {
    const world = { storage: new FakeStorage(), locks: new FakeLocks() };
    let last: PeerIdentity | null = null;
    for (let i = 0; i < 3; i++) {
      const page = new Page(world);
      const identity = await page.join();
      if (last !== null) assert.equal(identity.id, last.id);
      assert.ok(last === null || identity.counter >= last.counter + 5);
      page.hide(identity);
      last = identity;
    }
    await new Promise(setImmediate);
    assert.equal(world.locks.held.size, 0);
  });

  it('has counters above those of before though the clock was set back', async () => {
    const storage = new FakeStorage();
    const first = new Page({ storage, seconds: 1e9 });
    const before = await first.join();
    first.hide(before);
    const again = new Page({ storage, seconds: 1e9 });
    const { id, counter, release } = await again.join(7);
    assert.equal(id, before.id);
    again.hide();
    release?.();
    const late = await new Page({ storage, seconds: 5 }).join();
    assert.equal(late.id, id);
    assert.equal(late.counter, counter + 7);
    late.release?.();
  });

  it('is a new peer where nothing can be stored, or reading throws', async () => {
    const throwing = {
      getItem: () => assert.fail(),
      setItem: () => assert.fail(),
      removeItem: () => assert.fail(),
    };
    for (const storage of [null, throwing]) {
      const page = new Page({ storage });
      const { id, release } = await page.join();
      page.hide();
      release?.();
      const again = await new Page({ storage }).join();
      assert.notEqual(again.id, id);
      again.release?.();
    }
  });

  it('is a new peer when what was kept is damaged', async () => {
    const storage = new FakeStorage();
    const page = new Page({ storage });
    const first = await page.join();
    page.hide(first);
    const [key, text] = [...storage.texts][0] ?? ['', ''];
    const [pkcs8 = ''] = text.split(' ');
    const damaged = [
      '',
      ' ',
      'x',
      pkcs8,
      `${pkcs8} NaN`,
      `${pkcs8} 1e30`,
      `${pkcs8} Infinity`,
      `${pkcs8.slice(4)} 5`,
      `${pkcs8.slice(0, -4)} 5`,
      `${'A'.repeat(pkcs8.length)} 5`,
      '{"a":1}',
    ];
    for (const one of damaged) {
      storage.setItem(key, one);
      const { id, counter, release } = await new Page({ storage }).join();
      assert.notEqual(id, first.id, one);
      assert.equal(counter, 0);
      release?.();
    }
    storage.setItem(key, text);
    const again = await new Page({ storage }).join();
    assert.equal(again.id, first.id, 'and the same when it is not');
    again.release?.();
  });
});

describe('tabs and frames that share what is stored', () => {
  it('are never one peer when a copy was made while an identity was stored', async () => {
    const [storage, locks] = [new FakeStorage(), new FakeLocks()];
    const page = new Page({ storage, locks });
    const first = await page.join();
    page.hide(first);
    const copied = storage.copy();
    const ids = await Promise.all(
      [storage, copied].map(async (own) => (await new Page({ storage: own, locks }).join()).id),
    );
    assert.equal(ids.filter((id) => id === first.id).length, 1);
    assert.equal(new Set(ids).size, 2);
  });

  it('go on above the counters of a copy that came further', async () => {
    const [storage, locks] = [new FakeStorage(), new FakeLocks()];
    const page = new Page({ storage, locks, seconds: 100 });
    const first = await page.join();
    page.hide(first);
    const copied = storage.copy();
    const used = await new Page({ storage, locks, seconds: 101 }).join(1000);
    used.release?.();
    await Promise.resolve();
    const later = await new Page({ storage: copied, locks, seconds: 102 }).join();
    assert.equal(later.id, first.id);
    assert.ok(later.counter > used.counter + 1000);
  });

  it('keep their own, in whichever order two frames reload', async () => {
    const [storage, locks] = [new FakeStorage(), new FakeLocks()];
    const worlds = [0, 1].map((index) => ({ storage, locks, frame: { index, of: 2 } }));
    const pages = worlds.map((world) => new Page(world));
    const before = await Promise.all(pages.map(async (page) => page.join()));
    const ids = before.map(({ id }) => id);
    assert.notEqual(ids[0], ids[1]);
    for (const i of [1, 0]) pages[i]?.hide(...before.slice(i, i + 1));
    const after = [];
    for (const i of [1, 0]) after.unshift((await new Page(worlds[i] ?? {}).join()).id);
    assert.deepEqual(after, ids);
  });

  it('are new peers when a frame is on another page, has another name, or no position', async () => {
    const storage = new FakeStorage();
    const frame = { index: 0, of: 1, name: 'left' };
    const page = new Page({ storage, frame });
    const first = await page.join();
    page.hide(first);
    for (const world of [
      { storage, frame, page: '/other' },
      { storage, frame: { ...frame, name: 'right' } },
      { storage, frame: { ...frame, index: 7 } },
      { storage },
    ]) {
      const { id, release } = await new Page(world).join();
      assert.notEqual(id, first.id);
      release?.();
    }
    assert.equal((await new Page({ storage, frame }).join()).id, first.id);
  });

  it('keep their own when they are two nets of one page', async () => {
    const world = { storage: new FakeStorage(), locks: new FakeLocks() };
    const load = async (): Promise<readonly PeerIdentity[]> => {
      const nets = [new Page(world), new Page(world)];
      const identities = [];
      for (const net of nets) identities.push(await net.join());
      for (const net of nets) net.hide();
      for (const { release } of identities) release?.();
      return identities;
    };
    const [before, after] = [await load(), await load()];
    assert.notEqual(before[0]?.id, before[1]?.id);
    assert.deepEqual(
      after.map(({ id }) => id),
      before.map(({ id }) => id),
    );
  });
});
