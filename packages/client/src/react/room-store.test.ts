import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { FakePeer, FakeRoom } from './fake-room.test-support.ts';
import { RoomStore } from './room-store.ts';

function subscribe(store: RoomStore): { changes: number; stop: () => void } {
  const seen = { changes: 0, stop: store.subscribe(() => (seen.changes += 1)) };
  return seen;
}

describe('a room as React sees it', () => {
  it('is one store for one room', () => {
    const room = new FakeRoom();
    assert.equal(RoomStore.of(room.asRoom), RoomStore.of(room.asRoom));
  });

  it('is the same view until something changes', () => {
    const room = new FakeRoom();
    const store = RoomStore.of(room.asRoom);
    const peer = new FakePeer('b');
    room.add(peer);
    const before = store.view();
    assert.equal(store.view(), before, 'while nobody listens, too');
    const seen = subscribe(store);
    assert.equal(store.view(), before);
    room.emit('joined', 1);
    room.become('joining');
    assert.deepEqual([store.view(), seen.changes], [before, 0], 'events that change nothing');
    peer.become('open');
    assert.equal(seen.changes, 1, 'once for status and open together');
    assert.notEqual(store.view().peers, before.peers);
    assert.equal(before.peers[0], store.view().peers[0]);
    seen.stop();
  });

  it('changes when peers come and go, with the state of the room, and with an error, which stays', () => {
    const room = new FakeRoom();
    const store = RoomStore.of(room.asRoom);
    const seen = subscribe(store);
    room.become('joined');
    const peer = new FakePeer('b');
    room.add(peer);
    const { peers } = store.view();
    assert.deepEqual([store.view().state, peers, seen.changes], ['joined', [peer.asPeer], 2]);
    const error = new LumameshError('ROOM_FULL', 'full');
    room.emit('error', error);
    assert.deepEqual([store.view().error, store.view().peers, seen.changes], [error, peers, 3]);
    room.remove(peer);
    assert.deepEqual([store.view().peers, store.view().error], [[], error]);
    seen.stop();
  });

  it('tells of what happened while nobody listened', () => {
    const room = new FakeRoom();
    const store = RoomStore.of(room.asRoom);
    const before = store.view();
    room.add(new FakePeer('b'));
    assert.equal(store.view().peers.length, 1);
    assert.notEqual(store.view(), before);
  });

  it('lets go of room and peers with its last subscriber', () => {
    const room = new FakeRoom();
    const peer = new FakePeer('b');
    room.add(peer);
    const seen = subscribe(RoomStore.of(room.asRoom));
    assert.ok(room.has('peer') && peer.has('open'));
    seen.stop();
    for (const event of ['peer', 'leave', 'joined', 'status', 'error'] as const)
      assert.ok(!room.has(event), event);
    assert.ok(!peer.has('open') && !peer.has('status'));
  });

  it('is left by the last that holds it', async () => {
    const room = new FakeRoom();
    const store = RoomStore.of(room.asRoom);
    const [first, second] = [store.hold(), store.hold()];
    const seen = subscribe(store);
    first();
    await Promise.resolve();
    assert.equal(room.leaves, 0);
    second();
    const third = store.hold();
    await Promise.resolve();
    assert.equal(room.leaves, 0, 'another took its place');
    third();
    await Promise.resolve();
    assert.equal(room.leaves, 1, 'whoever only looks does not keep it');
    assert.equal(store.view().state, 'left');
    seen.stop();
  });
});
