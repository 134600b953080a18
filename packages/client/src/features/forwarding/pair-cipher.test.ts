import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { WebCrypto } from '@lumamesh/protocol';
import { mutations } from '@lumamesh/testkit';
import { CONTROL, UNORDERED, VALUES } from '../../peer/peer-frame.ts';
import { PairCipher, type PairMessage, createPairKeys } from './pair-cipher.ts';

const web = crypto as unknown as WebCrypto;

async function pair(): Promise<{
  readonly ada: PairCipher;
  readonly bob: PairCipher;
  readonly eve: PairCipher;
}> {
  const [a, b, e] = [
    await createPairKeys(web),
    await createPairKeys(web),
    await createPairKeys(web),
  ];
  return {
    ada: await PairCipher.create(web, a, b.publicKey, 'room', 'Ada', 'Bob'),
    bob: await PairCipher.create(web, b, a.publicKey, 'room', 'Bob', 'Ada'),
    eve: await PairCipher.create(web, e, b.publicKey, 'room', 'Ada', 'Bob'),
  };
}

const frame = (text: string, index = 0, lane: number = VALUES): PairMessage => ({
  type: 'frame',
  frame: text,
  lane,
  index,
});

describe('what two peers say through a third', () => {
  it('arrives as it was said, of all kinds', async () => {
    const { ada, bob } = await pair();
    const messages: PairMessage[] = [
      { type: 'hello' },
      { type: 'welcome' },
      frame('é', 0),
      { type: 'frame', frame: Uint8Array.of(1, 2), lane: CONTROL, index: 1 },
      frame('u', 0, UNORDERED),
      { type: 'frame', frame: new Uint8Array(0), lane: UNORDERED, index: 0 },
    ];
    for (const message of messages)
      assert.deepEqual(await bob.open(await ada.seal(message)), { ok: true, value: message });
    assert.deepEqual(await ada.open(await bob.seal(frame('back'))), {
      ok: true,
      value: frame('back'),
    });
  });

  it('is of one pair, one direction, one room and one time', async () => {
    const { ada, bob, eve } = await pair();
    const sealed = await ada.seal(frame('once'));
    assert.ok(!(await eve.open(sealed)).ok);
    assert.ok(!(await ada.open(sealed)).ok, 'not to oneself');
    assert.ok(!(await bob.open(await eve.seal(frame('as Ada')))).ok);
    assert.ok((await bob.open(sealed)).ok);
    assert.deepEqual(await bob.open(sealed), { ok: false, drop: 'forward.replayed' });
    const [first, second] = [await ada.seal(frame('1', 1)), await ada.seal(frame('2', 2))];
    assert.ok((await bob.open(second)).ok);
    assert.deepEqual(
      await bob.open(first),
      { ok: false, drop: 'forward.replayed' },
      'ordered frames come in their order',
    );
    const [late, later] = [
      await ada.seal(frame('a', 0, UNORDERED)),
      await ada.seal(frame('b', 0, UNORDERED)),
    ];
    assert.ok(
      (await bob.open(later)).ok && (await bob.open(late)).ok && !(await bob.open(late)).ok,
    );
  });

  it('throws at no mutation, and takes none for true', async () => {
    const { ada, bob } = await pair();
    const sealed = await ada.seal(frame('x'));
    for (const mutated of mutations(sealed, 200, 3)) {
      const isSame =
        mutated.length === sealed.length && mutated.every((byte, i) => byte === sealed[i]);
      if (!isSame) assert.ok(!(await bob.open(mutated)).ok);
    }
    await assert.rejects(
      PairCipher.create(web, await createPairKeys(web), 'AAAA', 'room', 'Ada', 'Bob'),
    );
  });
});
