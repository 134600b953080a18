import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toBase64Url } from '@lumamesh/base';
import type { WebCrypto } from '@lumamesh/protocol';
import { LumameshError, createIdentity, proveIdentity, watchIdentities } from '../identity.ts';
import { exportPublic, makeProofKeys } from './identity-keys.ts';
import type { PageIdentity } from './page-identity.ts';
import type { ProofPeer, ProofRoom } from './proof.ts';

const web = crypto as unknown as WebCrypto;
type Handler = (value: unknown, peer: ProofPeer) => unknown;

/** A member of a room whose requests reach the others at once. */
class Member implements ProofRoom {
  readonly name: string;
  readonly selfId: string;
  readonly handlers = new Map<string, Handler>();
  readonly heard: unknown[] = [];
  /** What was said to others: requests, and their answers. */
  readonly said: { name: string; value: unknown; answer: unknown }[] = [];
  readonly #seen = new Map<Member, ProofPeer>();

  constructor(selfId: string, name = 'tea') {
    this.selfId = selfId;
    this.name = name;
  }

  answer(name: string, handler: Handler): () => void {
    this.handlers.set(name, handler);
    return () => this.handlers.delete(name);
  }

  /** Another member, as this one sees it: always the same object. */
  peer(other: Member): ProofPeer {
    const known = this.#seen.get(other);
    if (known !== undefined) return known;
    const peer: ProofPeer = {
      id: other.selfId,
      request: async (name, value) => {
        const handler = other.handlers.get(name);
        if (handler === undefined) throw new LumameshError('NO_HANDLER', name);
        const answer = await handler(value, other.peer(this));
        this.said.push({ name, value, answer });
        return answer;
      },
    };
    this.#seen.set(other, peer);
    return peer;
  }

  watch(): this {
    watchIdentities(this, (peer, id) => this.heard.push([peer.id, id]));
    return this;
  }
}

async function show(identity: PageIdentity, from: Member, to: Member): Promise<boolean> {
  return proveIdentity(identity, from, from.peer(to));
}

describe('a proof of an identity', () => {
  it('convinces the peer that it is for, of the identity and of nothing else', async () => {
    const identity = await createIdentity();
    const [ada, bob, cyd] = [
      new Member('ada'),
      new Member('bob').watch(),
      new Member('cyd').watch(),
    ];
    assert.equal(await show(identity, ada, bob), true);
    assert.deepEqual(bob.heard, [['ada', identity.id]]);
    assert.deepEqual(cyd.heard, []);
    assert.equal(await show(identity, ada, bob), true, 'as often as it likes');
  });

  it('is the same identity from a peer of another room', async () => {
    const identity = await createIdentity();
    const [bob, bobElsewhere] = [new Member('bob').watch(), new Member('bob2', 'coffee').watch()];
    await show(identity, new Member('ada'), bob);
    await show(identity, new Member('ada2', 'coffee'), bobElsewhere);
    assert.deepEqual(bob.heard, [['ada', identity.id]]);
    assert.deepEqual(bobElsewhere.heard, [['ada2', identity.id]]);
  });

  it('cannot be made without the key, forwarded, replayed, or used in another room', async () => {
    const identity = await createIdentity();
    const [ada, bob] = [new Member('ada'), new Member('bob').watch()];
    const mallory = new Member('mallory');
    // Mallory asks Ada with what Bob has asked Mallory with, and passes the answer on.
    let taken: unknown = null;
    mallory.answer('lumamesh.challenge', async () =>
      mallory.peer(bob).request('lumamesh.challenge', null),
    );
    mallory.answer('lumamesh.proof', (value) => {
      taken = value;
      return true;
    });
    assert.equal(
      await show(identity, ada, mallory),
      true,
      'Ada believes that Mallory is convinced',
    );
    assert.equal(await mallory.peer(bob).request('lumamesh.proof', taken), false);
    assert.deepEqual(bob.heard, []);

    // What Bob has accepted once is worth nothing, with or without another challenge.
    assert.equal(await show(identity, ada, bob), true);
    const used = ada.said.at(-1)?.value;
    assert.equal(await ada.peer(bob).request('lumamesh.proof', used), false);
    await ada.peer(bob).request('lumamesh.challenge', null);
    assert.equal(await ada.peer(bob).request('lumamesh.proof', used), false);
    assert.equal(bob.heard.length, 1);

    const elsewhere = new Member('ada', 'coffee');
    assert.equal(await show(identity, elsewhere, bob), false, 'the room is part of it');
  });

  it('shows nothing that the verifier could not have made itself', async () => {
    const identity = await createIdentity();
    const [ada, bob] = [new Member('ada'), new Member('bob')];
    const pair = await makeProofKeys(web.subtle, false);
    const challenge = toBase64Url(await exportPublic(web.subtle, pair));
    let shown = { key: '', proof: '' };
    bob.answer('lumamesh.challenge', () => challenge);
    bob.answer('lumamesh.proof', (value) => (shown = value as typeof shown));
    await show(identity, ada, bob);

    // What Bob makes with his own half, as docs/wire-protocol.md says, is the same to the bit.
    const { subtle } = crypto;
    const raw = Buffer.from(shown.key, 'base64url');
    const ecdh = { name: 'ECDH', namedCurve: 'P-256' };
    const publicKey = await subtle.importKey('raw', raw, ecdh, false, []);
    const own = { name: 'ECDH', public: publicKey };
    const shared = await subtle.deriveBits(own, pair.privateKey as CryptoKey, 256);
    const material = await subtle.importKey('raw', shared, 'HKDF', false, ['deriveBits']);
    const text = new TextEncoder();
    const info = text.encode(`lumamesh identity 1\ntea\nada\nbob\n${shown.key}\n${challenge}`);
    const salt = text.encode('lumamesh identity 1');
    const hash = { name: 'HKDF', hash: 'SHA-256', salt, info };
    const made = await subtle.deriveBits(hash, material, 256);
    assert.equal(Buffer.from(made).toString('base64url'), shown.proof);
    const digest = await subtle.digest('SHA-256', raw);
    assert.equal(Buffer.from(digest).toString('base64url'), identity.id);
  });

  it('by strangers is refused, whatever it is, and nothing is thrown', async () => {
    const bob = new Member('bob').watch();
    const mallory = new Member('mallory');
    const ask = mallory.peer(bob);
    const good = toBase64Url(
      await exportPublic(web.subtle, await makeProofKeys(web.subtle, false)),
    );
    const zeros = 'A'.repeat(43);
    const values: unknown[] = [
      undefined,
      null,
      7,
      'x',
      [],
      {},
      { key: 7, proof: 7 },
      { key: good },
      { key: good, proof: '' },
      { key: good, proof: zeros },
      { key: good, proof: { length: 32 } },
      { key: 'A'.repeat(87), proof: zeros },
      { key: `${good.slice(0, -2)}AA`, proof: zeros },
      { key: 'B'.repeat(1e6), proof: zeros },
      { key: ['x'], proof: [zeros] },
    ];
    for (const value of values) {
      await ask.request('lumamesh.challenge', value);
      assert.equal(await ask.request('lumamesh.proof', value), false);
    }
    assert.deepEqual(bob.heard, []);
  });

  it('is not given to who asks with something that is no key', async () => {
    const identity = await createIdentity();
    const ada = new Member('ada');
    for (const challenge of [
      null,
      7,
      '',
      'x',
      {},
      [],
      'A'.repeat(87),
      'B'.repeat(87),
      zerosOf(33),
    ]) {
      const bad = new Member('bad');
      let isAsked = false;
      bad.answer('lumamesh.challenge', () => challenge);
      bad.answer('lumamesh.proof', () => (isAsked = true));
      assert.equal(await show(identity, ada, bad), false);
      assert.equal(isAsked, false, 'not even the public key is shown');
    }
  });

  it('needs a page that asks, an identity, and a listener', async () => {
    const identity = await createIdentity();
    const [ada, bob] = [new Member('ada'), new Member('bob')];
    await assert.rejects(show(identity, ada, bob), { code: 'NO_HANDLER' });
    for (const none of [null, undefined, {}, 7])
      await assert.rejects(show(none as never, ada, bob), { code: 'BAD_IDENTITY' });
    for (const none of [null, undefined, {}, 7])
      assert.throws(() => watchIdentities(bob, none as never), { code: 'BAD_ARGUMENT' });
    watchIdentities(bob, () => undefined)();
    await assert.rejects(show(identity, ada, bob), { code: 'NO_HANDLER' });
  });
});

function zerosOf(bytes: number): string {
  return toBase64Url(new Uint8Array(bytes));
}
