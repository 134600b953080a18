import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MemoryRoom, makeMemoryRoom, until } from '@lumamesh/testkit';
import type { Room } from 'lumamesh';
import { type LumameshConnectionHandler, getConnectionHandlerLumamesh } from './index.ts';

/* The contract of the handler. RxDB itself is met by `npm run peer-suites -- rxdb`. */

interface Side {
  readonly handler: LumameshConnectionHandler;
  readonly events: unknown[];
}

async function sideIn(room: MemoryRoom, topic = 'heroes'): Promise<Side> {
  const handler = await getConnectionHandlerLumamesh(room as unknown as Room)({ topic });
  const events: unknown[] = [];
  handler.connect$.subscribe((peer) => events.push(['connect', peer.id]));
  handler.disconnect$.subscribe((peer) => events.push(['disconnect', peer.id]));
  handler.message$.subscribe(({ peer, message }) => {
    events.push(['message', peer.id, message]);
    const { id } = message as { readonly id: string };
    void handler.send(peer, { id, result: 'token of ' + room.selfId });
  });
  handler.response$.subscribe(({ peer, response }) => events.push(['response', peer.id, response]));
  return { handler, events };
}

describe('the connection handler for RxDB', () => {
  it('connects those of one topic once, carries questions and answers, and tells who leaves', async () => {
    const join = makeMemoryRoom();
    const roomOfA = join('a');
    const [a, other] = [await sideIn(roomOfA), await sideIn(join('other'), 'villains')];
    const roomOfB = join('b');
    const b = await sideIn(roomOfB);
    await until(
      () => a.events.length === 1 && b.events.length === 1,
      () => JSON.stringify([a, b]),
    );
    const [peer] = (roomOfA as unknown as Room).peers.filter(({ id }) => id === 'b');
    assert.ok(peer !== undefined);
    const message = { id: '1', method: 'token', params: [] };
    await a.handler.send(peer, message);
    await until(
      () => a.events.length === 2,
      () => JSON.stringify(a.events),
    );
    assert.deepEqual(a.events, [
      ['connect', 'b'],
      ['response', 'b', { id: '1', result: 'token of b' }],
    ]);
    assert.deepEqual(b.events, [
      ['connect', 'a'],
      ['message', 'a', message],
    ]);
    roomOfB.leave();
    assert.deepEqual(a.events[2], ['disconnect', 'b']);
    assert.deepEqual(other.events, []);
    await Promise.all([a, b, other].map(({ handler }) => handler.close()));
  });

  it('passes over what is no frame', async () => {
    const join = makeMemoryRoom();
    const a = await sideIn(join('a'));
    const mallory = join('mallory');
    await until(() => mallory.peers.every(({ isOpen }) => isOpen), 'mallory is not there');
    const [send] = mallory.action('rxdb') as [(value: unknown) => Promise<boolean>];
    for (const value of [7, null, '', '{', '[]', '[1,{}]', '["heroes",7]', '["villains",{}]'])
      await send(value);
    await send('["heroes",null]');
    await until(() => a.events.length > 0, 'nothing is heard');
    assert.deepEqual(a.events, [['connect', 'mallory']]);
    await a.handler.close();
  });

  it('asks RxDB nothing that it would throw at', async () => {
    const join = makeMemoryRoom();
    const a = await sideIn(join('a'));
    const mallory = join('mallory');
    await until(() => mallory.peers.every(({ isOpen }) => isOpen), 'mallory is not there');
    const [send] = mallory.action('rxdb') as [(value: unknown) => Promise<boolean>];
    const question = { id: '1', method: 'masterWrite', params: [[]] };
    for (const message of [
      { ...question, method: 'toString' },
      { ...question, method: '__proto__' },
      { ...question, method: ['token'] },
      { ...question, params: 7 },
      { ...question, params: Array.from({ length: 1000 }, () => 1) },
      question,
    ])
      await send(JSON.stringify(['heroes', message]));
    await send(`["heroes",${'['.repeat(5000)}${']'.repeat(5000)}]`);
    await until(() => a.events.length > 1, 'nothing is heard');
    assert.deepEqual(a.events, [
      ['connect', 'mallory'],
      ['message', 'mallory', question],
    ]);
    await a.handler.close();
  });
});
