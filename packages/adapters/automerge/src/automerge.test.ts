import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DocHandle, type PeerId, Repo } from '@automerge/automerge-repo';
import { type MemoryRoom, makeMemoryRoom, until } from '@lumamesh/testkit';
import type { Room } from 'lumamesh';
import { LumameshNetworkAdapter } from './index.ts';

interface Notes {
  lines?: string[];
}

const adapterIn = (room: MemoryRoom): LumameshNetworkAdapter =>
  new LumameshNetworkAdapter(room as unknown as Room);

function repoIn(room: MemoryRoom): Repo {
  return new Repo({ network: [adapterIn(room)], peerId: `repo-${room.selfId}` as PeerId });
}

const linesOf = (handle: DocHandle<Notes>): string => (handle.doc().lines ?? []).join();

describe('Automerge repositories', () => {
  it('share documents, and hear of changes of each other', async () => {
    const join = makeMemoryRoom();
    const [a, b, c] = [repoIn(join('a')), repoIn(join('b')), repoIn(join('c'))];
    const first = a.create<Notes>({ lines: ['one'] });
    const second = await b.find<Notes>(first.url);
    const third = await c.find<Notes>(first.url);
    second.change((doc) => doc.lines?.push('two'));
    third.change((doc) => doc.lines?.push('three'));
    await until(
      () => [first, second, third].every((handle) => linesOf(handle).split(',').length === 3),
      () => [first, second, third].map(linesOf).join(' | '),
    );
    assert.equal(linesOf(first), linesOf(third));
    for (const repo of [a, b, c]) await repo.shutdown();
  });

  it('come together when the second one is there later, and go on after one has left', async () => {
    const join = makeMemoryRoom();
    const a = repoIn(join('a'));
    const handle = a.create<Notes>({ lines: ['early'] });
    const roomOfB = join('b');
    const b = repoIn(roomOfB);
    assert.equal(linesOf(await b.find<Notes>(handle.url)), 'early');
    await b.shutdown();
    roomOfB.leave();
    handle.change((doc) => doc.lines?.push('meanwhile'));
    const c = repoIn(join('c'));
    assert.equal(linesOf(await c.find<Notes>(handle.url)), 'early,meanwhile');
    for (const repo of [a, c]) await repo.shutdown();
  });

  it('take nobody for another, and no message of who has not said who he is', async () => {
    const join = makeMemoryRoom();
    const victim = adapterIn(join('victim'));
    const friend = adapterIn(join('friend'));
    const heard: unknown[] = [];
    for (const event of ['peer-candidate', 'peer-disconnected', 'message'] as const)
      victim.on(event, (payload: unknown) => heard.push([event, payload]));
    victim.connect('victim' as PeerId);
    friend.connect('friend' as PeerId);
    await victim.whenReady();
    await until(
      () => heard.length === 1,
      () => JSON.stringify(heard),
    );
    const mallory = join('mallory');
    const [send] = mallory.action('automerge') as [(value: unknown) => Promise<boolean>];
    await until(() => mallory.peers.every(({ isOpen }) => isOpen), 'mallory is not there');
    const message = { type: 'sync', targetId: 'victim', data: new Uint8Array(3), documentId: 'x' };
    for (const value of [
      ...[7, 'x', {}, [], { hello: 7 }, { hello: 'friend' }, { hello: 'victim' }],
      { ...message, senderId: 'friend' },
      { ...message, senderId: 'mallory' },
      null,
    ])
      await send(value);
    const [post] = mallory.action('other') as [(value: unknown) => Promise<boolean>];
    await post('end');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(heard, [['peer-candidate', { peerId: 'friend', peerMetadata: {} }]]);
    friend.disconnect();
    await until(
      () => heard.length === 2,
      () => JSON.stringify(heard),
    );
    assert.deepEqual(heard[1], ['peer-disconnected', { peerId: 'friend' }]);
    victim.disconnect();
  });

  it('are no page that throws, whatever a member calls a message', async () => {
    const join = makeMemoryRoom();
    const room = join('victim');
    const repo = repoIn(room);
    const mallory = join('mallory');
    await until(() => room.byId.get('mallory')?.isOpen === true, 'mallory is not there');
    const peer = room.byId.get('mallory');
    const to = { senderId: 'mallory', targetId: 'repo-victim' };
    for (const value of [
      { hello: 'mallory' },
      { ...to, type: 'none', number: 1n },
      { ...to, type: 'sync', documentId: 7n, data: 1n },
      { ...to, type: 'ephemeral', sessionId: 1n, count: 1n },
    ])
      // As a room calls its listeners: what these throw is an error of the page.
      room.receive('automerge', value, 'mallory');
    assert.ok(peer?.isOpen);
    mallory.leave();
    await repo.shutdown();
  });
});
