import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Backoff, LumameshError, fromBase64Url, toBase64Url } from '@lumamesh/base';
import { type WebCrypto, deriveRoomSecret } from '@lumamesh/protocol';
import { mutations } from '@lumamesh/testkit';
import { createPeerIdentity, peerIdOf } from './peer-identity.ts';
import { readRelaySources } from '../net/relay-source.ts';
import { EVERYONE, SEALED_HEAD_BYTES, Sealer } from './sealing.ts';
import { parsePeerSignal } from '../peer/signal.ts';

const web = crypto as unknown as WebCrypto;

async function sealers(
  roomA = 'tea',
  roomB = roomA,
  password = '',
): Promise<{
  readonly ada: Sealer;
  readonly bob: Sealer;
  readonly adaId: string;
  readonly bobId: string;
}> {
  const [a, b] = await Promise.all([
    createPeerIdentity(web.subtle),
    createPeerIdentity(web.subtle),
  ]);
  const [secretA, secretB] = await Promise.all([
    deriveRoomSecret(web.subtle, roomA, ''),
    deriveRoomSecret(web.subtle, roomB, password),
  ]);
  return {
    ada: new Sealer(web, secretA, a),
    bob: new Sealer(web, secretB, b),
    adaId: a.id,
    bobId: b.id,
  };
}

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LumameshError && error.code === code;
}

describe('sealing', () => {
  it('carries presence to everybody and a signal to one', async () => {
    const { ada, bob, adaId, bobId } = await sealers();
    assert.deepEqual(
      await bob.open('presence', adaId, await ada.seal('presence', EVERYONE, { nick: 'Ada' })),
      { ok: true, value: { value: { nick: 'Ada' }, counter: 0 } },
    );
    assert.deepEqual(
      await bob.open('signal', adaId, await ada.seal('signal', bobId, [1, '\u00e9'])),
      { ok: true, value: { value: [1, '\u00e9'], counter: 1 } },
    );
  });

  it('is for one stay of its receiver: what was kept for a later one does not open', async () => {
    const [secret, ada, bob] = await Promise.all([
      deriveRoomSecret(web.subtle, 'tea', ''),
      createPeerIdentity(web.subtle),
      createPeerIdentity(web.subtle),
    ]);
    const sender = new Sealer(web, secret, ada);
    const reloaded = new Sealer(web, secret, { ...bob, counter: 48_000 });
    assert.equal(reloaded.stay, 48_000);
    const before = await sender.seal('signal', bob.id, 1, 0);
    assert.deepEqual(await reloaded.open('signal', ada.id, before), {
      ok: false,
      drop: 'sealing.key',
    });
    assert.ok(
      (await reloaded.open('signal', ada.id, await sender.seal('signal', bob.id, 1, 48_000))).ok,
    );
  });

  it('shows a relay neither payload nor who speaks', async () => {
    const { ada, bobId } = await sealers();
    const sealed = await ada.seal('signal', bobId, { secret: 'v=0 a=candidate' });
    const bytes = Buffer.from(fromBase64Url(sealed) ?? []);
    assert.ok(!bytes.includes('secret') && !bytes.includes('candidate'));
  });

  it('is bound to purpose, sender, receiver, room and counter', async () => {
    const { ada, bob, adaId, bobId } = await sealers();
    const signal = await ada.seal('signal', bobId, 1);
    const drop = async (promise: Promise<unknown>): Promise<string> =>
      ((await promise) as { drop: string }).drop;
    assert.equal(await drop(bob.open('presence', adaId, signal)), 'sealing.key');
    assert.equal(await drop(bob.open('signal', bobId, signal)), 'sealing.key');
    assert.equal(await drop(ada.open('signal', adaId, signal)), 'sealing.key', 'not meant for her');
    const elsewhere = await sealers('tea', 'coffee');
    assert.equal(
      await drop(
        elsewhere.bob.open(
          'signal',
          elsewhere.adaId,
          await elsewhere.ada.seal('signal', elsewhere.bobId, 1),
        ),
      ),
      'sealing.key',
    );
    const recounted = fromBase64Url(signal);
    assert.ok(recounted !== null);
    recounted[6] = 9;
    assert.equal(await drop(bob.open('signal', adaId, toBase64Url(recounted))), 'sealing.key');
  });

  it('refuses a member who speaks for another', async () => {
    // Mallory has the room key, so she can encrypt; she puts Ada's id on it.
    const [secret, mallory, bob, ada] = await Promise.all([
      deriveRoomSecret(web.subtle, 'tea', ''),
      createPeerIdentity(web.subtle),
      createPeerIdentity(web.subtle),
      createPeerIdentity(web.subtle),
    ]);
    const receiver = new Sealer(web, secret, bob);
    const impostor = new Sealer(web, secret, { ...mallory, id: ada.id });
    assert.deepEqual(
      await receiver.open('signal', ada.id, await impostor.seal('signal', bob.id, 1)),
      { ok: false, drop: 'sealing.forged' },
    );
    const withHerKey = new Sealer(web, secret, {
      ...mallory,
      id: ada.id,
      publicKey: ada.publicKey,
    });
    assert.deepEqual(
      await receiver.open('signal', ada.id, await withHerKey.seal('signal', bob.id, 1)),
      { ok: false, drop: 'sealing.forged' },
    );
  });

  it('refuses a replayed signal, takes late ones within 64, and presence however often', async () => {
    const { ada, bob, adaId, bobId } = await sealers();
    const signals: string[] = [];
    for (let i = 0; i < 70; i++) signals.push(await ada.seal('signal', bobId, i));
    const open = async (i: number): Promise<boolean> =>
      (await bob.open('signal', adaId, signals[i] ?? '')).ok;
    assert.ok(await open(1));
    assert.ok(await open(0));
    assert.ok(!(await open(1)));
    assert.ok(await open(69));
    assert.ok(await open(68));
    assert.ok(!(await open(2)), 'more than 64 behind');
    assert.ok(!(await open(69)));
    const presence = await ada.seal('presence', EVERYONE, {});
    for (let i = 0; i < 3; i++) assert.ok((await bob.open('presence', adaId, presence)).ok);
  });

  it('takes no mutation for true, and throws at none', async () => {
    const { ada, bob, adaId, bobId } = await sealers();
    const bytes = fromBase64Url(await ada.seal('signal', bobId, 'x'));
    assert.ok(bytes !== null && bytes.length > SEALED_HEAD_BYTES);
    for (const mutated of mutations(bytes, 300, 8)) {
      const isSame =
        mutated.length === bytes.length && mutated.every((byte, i) => byte === bytes[i]);
      if (!isSame) assert.ok(!(await bob.open('signal', adaId, toBase64Url(mutated))).ok);
    }
    assert.ok(!(await bob.open('signal', adaId, 'not base64!')).ok);
  });
});

describe('peer identities', () => {
  it('are the hash of their key', async () => {
    const identity = await createPeerIdentity(web.subtle);
    assert.match(identity.id, /^[A-Za-z0-9_-]{22}$/);
    assert.equal(await peerIdOf(web.subtle, identity.publicKey), identity.id);
  });
});

describe('relay sources', () => {
  const bare = {
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip: '203.0.113.1',
    port: 3478,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: toBase64Url(new Uint8Array(32)),
  };

  it('are bare records, signed ones, lines and whole lists with comments', () => {
    assert.equal(readRelaySources([bare], undefined)[0]?.ip, '203.0.113.1');
    assert.deepEqual(readRelaySources(['# only a comment\n\n'], undefined), []);
  });

  it('say which entry is wrong and why', () => {
    assert.throws(
      () => readRelaySources([bare, { ...bare, port: 0 }], undefined),
      /relays\[1\]: port/,
    );
    assert.throws(() => readRelaySources(['luma1.nonsense'], undefined), isCode('BAD_RELAY'));
    assert.throws(() => readRelaySources([7 as never], undefined), /relays\[0\]: it is neither/);
  });
});

describe('signals', () => {
  it('are taken apart field by field', () => {
    const good = {
      attempt: 'a',
      description: { type: 'offer', sdp: 'v=0' },
      candidates: [{ candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 }],
    };
    assert.deepEqual(parsePeerSignal(good), good);
    const bad = [
      null,
      'x',
      {},
      { attempt: 7 },
      { attempt: 'a', description: { type: 'evil', sdp: '' } },
      { attempt: 'a', description: { type: 'offer', sdp: 7 } },
      { attempt: 'a', candidates: [null] },
      { attempt: 'a', candidates: Array.from({ length: 100 }, () => good.candidates[0]) },
      { attempt: 'a', candidates: [{ candidate: 7, sdpMid: null, sdpMLineIndex: null }] },
    ];
    for (const value of bad)
      assert.equal(parsePeerSignal(value), null, JSON.stringify(value)?.slice(0, 60));
  });
});

describe('backoff', () => {
  it('doubles up to its limit, varies, and begins anew', () => {
    const backoff = new Backoff(1000, 8000, () => 1);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => backoff.nextMs()),
      [1000, 2000, 4000, 8000, 8000],
    );
    backoff.reset();
    assert.equal(backoff.nextMs(), 1000);
    assert.equal(new Backoff(1000, 8000, () => 0).nextMs(), 500);
  });
});
