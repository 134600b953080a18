import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededRandom } from '@lumamesh/testkit';
import * as Y from 'yjs';
import {
  ANSWER,
  ASK,
  AWARENESS,
  BYE,
  type Bytes,
  CURRENT,
  HELLO,
  REPLY,
  UPDATE,
  answerOf,
  decodeFrame,
  encodeFrame,
} from './frames.ts';
import { type VirtualMember, VirtualRooms } from './virtual-rooms.test-support.ts';

/* What a member may send to do harm. */

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const DIGEST = 'abcdefgh';

function frames(): readonly Bytes[] {
  const doc = new Y.Doc();
  doc.getText('text').insert(0, 'something');
  const update = Y.encodeStateAsUpdate(doc);
  const vector = Y.encodeStateVector(doc);
  const awareness = Uint8Array.from([1, 7, 1, 9, ...new TextEncoder().encode('{"a":"b"}')]);
  return [
    encodeFrame(HELLO, REPLY, DIGEST),
    encodeFrame(ASK, vector),
    encodeFrame(...answerOf(DIGEST, vector, update)),
    encodeFrame(UPDATE, 3, 'end', update),
    encodeFrame(AWARENESS, 3, 'end', 1, awareness),
    encodeFrame(BYE),
  ];
}

interface Scene {
  readonly rooms: VirtualRooms;
  readonly victim: VirtualMember;
  readonly friend: VirtualMember;
  readonly errors: unknown[];
  /** Sends as the hostile member; 20 ms later it is there. */
  readonly send: (frame: Bytes) => void;
}

async function withScene(test: (scene: Scene) => Promise<void>): Promise<void> {
  const rooms = new VirtualRooms();
  try {
    const victim = rooms.join('victim');
    const friend = rooms.join('friend');
    rooms.enter('mallory');
    const errors: unknown[] = [];
    victim.provider.on('error', ({ error, peer }) => errors.push([peer, error]));
    victim.text.insert(0, 'dear');
    await rooms.run(1000);
    const send = (frame: Bytes): void => void rooms.send('mallory', 'victim', frame);
    await test({ rooms, victim, friend, errors, send });
    // Whatever it was: all goes on.
    const { text } = victim;
    text.insert(0, 'still ');
    await rooms.run(30_000);
    assert.match(friend.text.toJSON(), /still /);
    assert.deepEqual(
      Y.encodeSnapshot(Y.snapshot(friend.doc)),
      Y.encodeSnapshot(Y.snapshot(victim.doc)),
    );
  } finally {
    rooms.close();
  }
}

describe('frames', () => {
  it('are read as they were written', () => {
    const [hello, ask, answer, update, awareness, bye] = frames().map(decodeFrame);
    assert.deepEqual(hello, { _kind: HELLO, _flags: REPLY, _digest: DIGEST });
    assert.ok(ask?._kind === ASK && ask._vector.length > 1);
    assert.ok(answer?._kind === ANSWER && answer._digest === DIGEST);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, answer._update);
    assert.equal(doc.getText('text').toJSON(), 'something');
    assert.deepEqual(Y.encodeStateVector(doc), answer._vector);
    assert.ok(update?._kind === UPDATE && update._end === 'end');
    assert.ok(awareness?._kind === AWARENESS && awareness._isOwn && awareness._end === 'end');
    assert.deepEqual(bye, { _kind: BYE });
  });

  it('that are cut anywhere, or of no kind, are none or shorter ones', () => {
    for (const frame of frames())
      for (let length = 0; length < frame.length; length++) {
        const cut = decodeFrame(frame.slice(0, length));
        if (frame[0] === HELLO) assert.equal(cut, null);
      }
    for (let kind = 6; kind < 256; kind++) assert.equal(decodeFrame(Uint8Array.of(kind)), null);
    assert.equal(decodeFrame(encodeFrame(ANSWER, DIGEST, 255, 255, 255, 255, 1, 2)), null);
  });
});

describe('a hostile member', () => {
  it('does no harm by frames that are cut or changed', () =>
    withScene(async ({ rooms, send }) => {
      const random = seededRandom(17);
      for (const frame of frames()) {
        for (let length = 0; length <= frame.length; length++) send(frame.slice(0, length));
        for (let i = 0; i < 300; i++) {
          const changed = frame.slice();
          for (let j = 0; j < 1 + random() * 3; j++)
            changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256);
          // What is of the document's own kind is an edit, which members may make.
          send(changed);
        }
        await rooms.run(1000);
      }
    }));

  it('is told of as an error, with its id, and nothing is passed on', () =>
    withScene(async ({ rooms, errors, send }) => {
      rooms.sent.length = 0;
      send(encodeFrame(UPDATE, 0, 255, 255, 255));
      await rooms.run(100);
      assert.equal(errors.length, 1);
      assert.equal((errors[0] as unknown[])[0], 'mallory');
      assert.equal(rooms.sent.filter(({ from }) => from === 'victim').length, 0);
    }));

  it('makes nobody allocate what it only claims to have', () =>
    withScene(async ({ rooms, send, errors }) => {
      // One author, 33 million structs, of which none is there.
      const claim = [1, 0x80, 0x80, 0x80, 0x10, 1, 0];
      const before = process.memoryUsage().rss;
      for (let i = 0; i < 50; i++) send(encodeFrame(UPDATE, 0, ...claim));
      await rooms.run(100);
      assert.equal(errors.length, 50);
      assert.ok(process.memoryUsage().rss - before < 100_000_000);
    }));

  it('fills no memory with updates that wait for others', () =>
    withScene(async ({ rooms, victim, send }) => {
      const startedAt = performance.now();
      for (let i = 0; i < 300; i++) {
        const doc = new Y.Doc();
        doc.getText('text').insert(0, 'first');
        const first = Y.encodeStateVector(doc);
        doc.getText('text').insert(3, 'x'.repeat(100_000));
        send(encodeFrame(UPDATE, 0, Y.encodeStateAsUpdate(doc, first)));
        await rooms.run(10);
      }
      const { pendingStructs } = victim.doc.store;
      assert.ok((pendingStructs?.update.length ?? 0) <= 4_300_000);
      assert.ok(performance.now() - startedAt < 60_000);
    }));

  it('is given the document once a second at most, however often it asks', () =>
    withScene(async ({ rooms, send }) => {
      send(encodeFrame(HELLO, 0, DIGEST));
      await rooms.run(2000);
      rooms.sent.length = 0;
      for (let i = 0; i < 1000; i++) {
        send(encodeFrame(ASK, Uint8Array.of(0)));
        await rooms.run(10);
      }
      const answers = rooms.sent.filter(({ kind, to }) => kind === ANSWER && to === 'mallory');
      assert.ok(answers.length >= 5 && answers.length <= 12, String(answers.length));
    }));

  it('is given it no more often, and has no other budget, where it takes part anew each time', () =>
    withScene(async ({ rooms, send }) => {
      rooms.sent.length = 0;
      for (let i = 0; i < 1000; i++) {
        send(encodeFrame(HELLO, 0, DIGEST));
        send(encodeFrame(ASK, Uint8Array.of(0)));
        send(encodeFrame(BYE));
        await rooms.run(10);
      }
      const answers = rooms.sent.filter(({ kind, to }) => kind === ANSWER && to === 'mallory');
      assert.ok(answers.length >= 5 && answers.length <= 12, String(answers.length));
      const large = encodeFrame(ASK, new Uint8Array(1_000_000));
      const before = process.cpuUsage().user;
      for (let i = 0; i < 20; i++) {
        send(large);
        send(encodeFrame(BYE));
      }
      await rooms.run(100);
      assert.ok(process.cpuUsage().user - before < 5e6);
    }));

  it('keeps no newcomer from the document by an answer that never ends', async () => {
    const rooms = new VirtualRooms();
    try {
      const friend = rooms.join('friend');
      friend.text.insert(0, 'dear');
      rooms.join('other');
      await rooms.run(5000);
      let isAsked = false;
      rooms.enter('mallory').listeners.add((frame, { id }) => {
        const [kind] = frame as Bytes;
        if (kind === HELLO) void rooms.send('mallory', id, encodeFrame(HELLO, CURRENT, DIGEST));
        if (kind === ASK) isAsked ||= id === 'newcomer';
      });
      await rooms.run(5000);
      // It is heard first.
      rooms.loses = ({ from, to }) =>
        to === 'newcomer' && from !== 'mallory' && rooms.nowMs < 10_600;
      const newcomer = rooms.join('newcomer');
      for (let i = 0; i < 40; i++) {
        await rooms.run(2500);
        if (isAsked) void rooms.send('mallory', 'newcomer', new Uint8Array(70_000).fill(99));
      }
      assert.ok(isAsked);
      assert.equal(newcomer.text.toJSON(), 'dear');
    } finally {
      rooms.close();
    }
  });

  it('is not read where its state vector is larger than any', () =>
    withScene(async ({ rooms, send }) => {
      send(encodeFrame(HELLO, 0, DIGEST));
      rooms.sent.length = 0;
      send(encodeFrame(ASK, new Uint8Array(4_300_000).fill(127)));
      // One that claims to be.
      send(encodeFrame(ASK, 255, 255, 255, 255, 15));
      await rooms.run(1000);
      assert.ok(!rooms.sent.some(({ kind }) => kind === ANSWER));
    }));

  it('neither makes up visitors without end, nor takes away or speaks for those who are there', () =>
    withScene(async ({ rooms, victim, friend, send }) => {
      friend.provider.awareness.setLocalState({ name: 'friend' });
      victim.provider.awareness.setLocalState({ name: 'victim' });
      await rooms.run(1000);
      const said = (client: number, clock: number, state: string): Uint8Array => {
        const bytes: number[] = [];
        for (let rest = client; ; rest = Math.floor(rest / 128)) {
          bytes.push((rest % 128) + (rest > 127 ? 128 : 0));
          if (rest <= 127) break;
        }
        const text = new TextEncoder().encode(state);
        assert.ok(text.length < 128 && clock < 128);
        return Uint8Array.from([1, ...bytes, clock, text.length, ...text]);
      };
      for (const isOwn of [0, 1])
        for (const client of [friend.doc.clientID, victim.doc.clientID])
          for (const state of ['null', '{"name":"mallory"}'])
            send(encodeFrame(AWARENESS, 0, isOwn, said(client, 99, state)));
      for (let i = 0; i < 5000; i++)
        send(encodeFrame(AWARENESS, 0, i & 1, said(i, 1, '{"name":"nobody"}')));
      send(encodeFrame(AWARENESS, 0, 1, said(3, 1, '{"name":')));
      await rooms.run(1000);
      const { states, meta } = victim.provider.awareness;
      assert.deepEqual(states.get(friend.doc.clientID), { name: 'friend' });
      assert.deepEqual(states.get(victim.doc.clientID), { name: 'victim' });
      assert.ok(meta.size <= 1024);
      send(encodeFrame(BYE));
      await rooms.run(1000);
    }));

  it('shows no state of brackets, which engines read slower than they are long', () =>
    withScene(async ({ rooms, send, victim }) => {
      const state = new TextEncoder().encode('['.repeat(30_000) + ']'.repeat(30_000));
      const length = [(state.length & 127) | 128, ((state.length >> 7) & 127) | 128];
      send(encodeFrame(AWARENESS, 0, 1, 1, 5, 1, ...length, state.length >> 14, state));
      await rooms.run(100);
      assert.equal(victim.provider.awareness.states.has(5), false);
      const flat = new TextEncoder().encode(
        JSON.stringify(Array.from({ length: 9000 }, () => [1])),
      );
      const flatLength = [(flat.length & 127) | 128, ((flat.length >> 7) & 127) | 128];
      send(encodeFrame(AWARENESS, 0, 1, 1, 5, 1, ...flatLength, flat.length >> 14, flat));
      await rooms.run(100);
      assert.equal(victim.provider.awareness.states.has(5), true);
    }));

  it('leaves nothing of it behind, however often it comes', () =>
    withScene(async ({ rooms, victim }) => {
      const gone: WeakRef<object>[] = [];
      for (let i = 0; i < 50; i++) {
        rooms.enter('visitor');
        await rooms.run(1000);
        const peer = victim.provider.room?.peers.find(({ id }) => id === 'visitor');
        gone.push(new WeakRef(peer as object));
        rooms.leave('visitor');
        await rooms.run(1000);
      }
      // Nothing of a turn of the loop keeps what a WeakRef was made of.
      await new Promise((resolve) => setTimeout(resolve, 10));
      gc();
      const kept = gone.filter((ref) => ref.deref() !== undefined).length;
      assert.ok(kept < 5, String(kept));
    }));

  it('has a budget for all that is no edit', () =>
    withScene(async ({ rooms, send, victim }) => {
      let changes = 0;
      victim.provider.awareness.on('update', () => (changes += 1));
      const state = new TextEncoder().encode(`"${'x'.repeat(60_000)}"`);
      const length = [
        (state.length & 127) | 128,
        ((state.length >> 7) & 127) | 128,
        state.length >> 14,
      ];
      for (let i = 0; i < 1000; i++)
        send(encodeFrame(AWARENESS, 0, 1, 1, 5, 128 | (i & 127), i >> 7, ...length, state));
      await rooms.run(100);
      assert.ok(changes > 50 && changes < 80, String(changes));
    }));
});
