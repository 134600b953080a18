import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WebCrypto } from '@lumamesh/protocol';
import {
  LumameshError,
  createIdentity,
  deleteIdentity,
  exportIdentity,
  importIdentity,
  loadIdentity,
} from '../identity.ts';
import { connect } from '../platform/node/index.ts';
import { makeProofKeys } from './identity-keys.ts';
import { type IdentityStore, MemoryStore, reserveCounters } from './identity-store.ts';
import { PageIdentity } from './page-identity.ts';

const web = crypto as unknown as WebCrypto;
const [TEA, COFFEE] = ['t'.repeat(43), 'c'.repeat(43)] as const;
const isCode =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LumameshError && error.code === code;

/** Places that other pages hold, among all pages of a browser that share what is stored. */
class SharedStore extends MemoryStore implements IdentityStore {
  static readonly held = new Set<string>();

  override async hold(place: string): Promise<(() => void) | null> {
    if (SharedStore.held.has(place)) return null;
    SharedStore.held.add(place);
    return () => SharedStore.held.delete(place);
  }
}

describe('an identity', () => {
  it('is another peer in each room by default, the same at each stay', async () => {
    const identity = await createIdentity();
    const [tea, coffee] = [await identity.peerFor(TEA), await identity.peerFor(COFFEE)];
    assert.notEqual(tea.id, coffee.id);
    assert.match(tea.id, /^[\w-]{22}$/);
    tea.release?.();
    const again = await identity.peerFor(TEA);
    assert.equal(again.id, tea.id);
    assert.ok(again.counter > tea.counter);
    assert.ok(![tea.id, coffee.id].includes(identity.id));
  });

  it('is the same peer in all rooms when the page wants that', async () => {
    const identity = await createIdentity({ scope: 'global' });
    const [tea, coffee] = await Promise.all([identity.peerFor(TEA), identity.peerFor(COFFEE)]);
    assert.equal(tea.id, coffee.id);
    coffee.release?.();
    assert.equal((await identity.peerFor(COFFEE)).id, tea.id);
  });

  it('is two peers where it is in a room twice, each the same again', async () => {
    for (const scope of ['room', 'global'] as const) {
      const identity = await createIdentity({ scope });
      const [first, second] = [await identity.peerFor(TEA), await identity.peerFor(TEA)];
      assert.notEqual(first.id, second.id);
      first.release?.();
      first.release?.();
      assert.equal((await identity.peerFor(TEA)).id, first.id);
      second.release?.();
      assert.equal((await identity.peerFor(TEA)).id, second.id);
    }
  });

  it('is never the same peer in two pages at once; a page has its own place again', async () => {
    const peers = new Map();
    const keys = await makeProofKeys(web.subtle, false);
    const openPage = async (memory: string | null): Promise<PageIdentity> => {
      const store = new SharedStore(web, false, () => 1e9, peers);
      store.recall = () => memory;
      return PageIdentity._of(web, 'room', true, keys, store);
    };
    const [one, two] = [await openPage(null), await openPage(null)];
    assert.equal(one.id, two.id, 'what a proof shows is the same');
    const before = [await one.peerFor(TEA), await two.peerFor(TEA)];
    assert.notEqual(before[0]?.id, before[1]?.id);
    const places = [one, two].map((page) => [...page._held][0]?.[1] ?? '');
    for (const { release } of before) release?.();
    // Both have gone; the second is back first.
    const twoAgain = await (await openPage(places[1] ?? '')).peerFor(TEA);
    const oneAgain = await (await openPage(places[0] ?? '')).peerFor(TEA);
    assert.deepEqual([oneAgain.id, twoAgain.id], [before[0]?.id, before[1]?.id]);
  });

  it('is a peer for a stay where all places are taken, or nobody can say whose one is', async () => {
    const store = new SharedStore(web, false, () => 1e9);
    store.hold = async () => null;
    const identity = await PageIdentity._of(
      web,
      'room',
      true,
      await makeProofKeys(web.subtle, false),
      store,
    );
    const [one, two] = [await identity.peerFor(TEA), await identity.peerFor(TEA)];
    assert.notEqual(one.id, two.id);
    one.release?.();
    two.release?.();
    assert.equal(store.peers.size, 0);
  });

  it('is not kept where there is no database', async () => {
    const identity = await loadIdentity();
    assert.equal(identity.isKept, false);
    assert.equal(await loadIdentity({ name: 'default' }), identity, 'once in a page');
    assert.notEqual((await loadIdentity({ name: 'work' })).id, identity.id);
    await deleteIdentity();
    assert.notEqual((await loadIdentity()).id, identity.id);
  });
});

describe('an identity as a text', () => {
  it('is the same identity, and the same peers, elsewhere', async () => {
    for (const scope of ['room', 'global'] as const) {
      const identity = await createIdentity({ extractable: true, scope });
      const tea = await identity.peerFor(TEA);
      const text = await exportIdentity(identity);
      assert.match(text, /^luma-identity1\.[\w-]+$/);
      const copy = await importIdentity(`${text}\n`);
      assert.equal(copy.id, identity.id);
      assert.equal(copy.scope, scope);
      const again = await copy.peerFor(TEA);
      assert.equal(again.id, tea.id);
      assert.ok(again.counter > tea.counter);
      assert.equal((await importIdentity(await exportIdentity(copy))).id, identity.id);
    }
  });

  it('is refused for keys that cannot be exported, and for what is none', async () => {
    await assert.rejects(exportIdentity(await createIdentity()), isCode('BAD_IDENTITY'));
    await assert.rejects(exportIdentity(await loadIdentity()), isCode('BAD_IDENTITY'));
    const text = await exportIdentity(await createIdentity({ extractable: true }));
    const wrong: unknown[] = [
      undefined,
      null,
      42,
      {},
      '',
      'luma-identity1.',
      'luma-identity1.e30',
      'luma-identity1.!',
      `x${text}`,
      text.slice(0, -9),
      `luma-identity1.${Buffer.from('{"scope":"room","proof":"a.b","peers":[]}').toString('base64url')}`,
      `luma-identity1.${Buffer.from('{"scope":"all","proof":"","peers":[]}').toString('base64url')}`,
    ];
    for (const one of wrong)
      await assert.rejects(importIdentity(one as string), isCode('BAD_IDENTITY'), String(one));
    for (const one of [undefined, null, 42, {}])
      await assert.rejects(exportIdentity(one as PageIdentity), isCode('BAD_IDENTITY'));
  });
});

describe('counters of a stay', () => {
  it('are above those of every stay before, wherever the clock stands', () => {
    let next: unknown;
    let last = -1;
    for (const seconds of [1_800_000_000, 1_800_000_001, 5, 0, 1_700_000_000, 4_000_000_000]) {
      const reserved = reserveCounters(seconds, next);
      assert.ok(reserved.counter > last && reserved.next > reserved.counter + 1_000_000);
      assert.ok(reserved.next < 2 ** 48);
      last = reserved.counter;
      next = reserved.next;
    }
    for (const damaged of [Number.NaN, Infinity, 'x', null, {}, 2 ** 48])
      assert.equal(reserveCounters(10, damaged).counter, 160_000);
  });
});

describe('what untyped pages give', () => {
  it('is refused by name', async () => {
    for (const name of ['', 42, null, {}, 'x'.repeat(300)]) {
      await assert.rejects(loadIdentity({ name: name as string }), isCode('BAD_ARGUMENT'));
      await assert.rejects(deleteIdentity(name as string), isCode('BAD_ARGUMENT'));
    }
    for (const scope of ['all', 42, null])
      await assert.rejects(loadIdentity({ scope: scope as 'room' }), isCode('BAD_ARGUMENT'));
    await assert.rejects(createIdentity({ scope: 1 as never }), isCode('BAD_ARGUMENT'));
    await assert.rejects(createIdentity({ extractable: 'y' as never }), isCode('BAD_ARGUMENT'));
    for (const identity of [null, 42, 'me', {}, await makeProofKeys(web.subtle, true)])
      assert.throws(
        () => connect({ relays: ['luma1.x'], identity: identity as never }),
        isCode('BAD_IDENTITY'),
      );
  });
});
