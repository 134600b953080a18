import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import * as Y from 'yjs';
import { ANSWER, ASK, AWARENESS, HELLO, UPDATE } from './frames.ts';
import { type VirtualMember, VirtualRooms } from './virtual-rooms.test-support.ts';

const made: VirtualRooms[] = [];
const makeRooms = (options?: { isOpen: boolean }): VirtualRooms => {
  const rooms = new VirtualRooms(options);
  made.push(rooms);
  return rooms;
};
afterEach(() => {
  for (const rooms of made.splice(0)) rooms.close();
});

const idOf = (i: number): string => `member-${String.fromCharCode(97 + ((i * 7) % 26))}-${i}`;

function assertSame(members: readonly VirtualMember[]): void {
  const [first] = members;
  assert.ok(first !== undefined);
  const expected = Y.encodeSnapshot(Y.snapshot(first.doc));
  for (const { id, doc, text } of members) {
    assert.equal(text.toJSON(), first.text.toJSON(), id);
    assert.deepEqual(Y.encodeSnapshot(Y.snapshot(doc)), expected, id);
  }
}

function count(rooms: VirtualRooms, ...kinds: readonly number[]): number {
  return rooms.sent.filter(({ kind }) => kinds.includes(kind)).length;
}

/** Writes and deletes here and there. */
function scribble({ text }: VirtualMember, random: () => number): void {
  const at = Math.floor(random() * (text.length + 1));
  if (text.length > 4 && random() < 0.3) text.delete(Math.max(0, at - 3), 2);
  else text.insert(at, `<${Math.floor(random() * 1e6).toString(36)}>`);
}

function ofSize(bytes: number): Y.Doc {
  const doc = new Y.Doc();
  const random = seededRandom(3);
  while (doc.getText('text').length < bytes)
    doc.getText('text').insert(0, random().toString(36).repeat(100));
  return doc;
}

describe('a provider', () => {
  it('brings two documents together, whoever has what', async () => {
    for (const [one, two] of [
      ['', ''],
      ['a', ''],
      ['', 'b'],
      ['a', 'b'],
    ] as const) {
      const rooms = makeRooms();
      const a = rooms.join('a');
      const b = rooms.join('b');
      const events: string[] = [];
      for (const { id, provider } of [a, b])
        provider.on('synced', ({ synced }) => events.push(`${id} ${synced}`));
      a.text.insert(0, one);
      b.text.insert(0, two);
      await rooms.run(1000);
      assertSame([a, b]);
      assert.equal(a.text.length, one.length + two.length);
      assert.deepEqual(events.toSorted(), ['a true', 'b true'], `${one} and ${two}`);
      assert.ok(a.provider.synced && b.provider.synced);
    }
  });

  it('asks one member only when it comes late, and gets the document once', async () => {
    const rooms = makeRooms();
    const first = rooms.join(idOf(0), {}, ofSize(345_000));
    const rest = Array.from({ length: 9 }, (_, i) => rooms.join(idOf(i + 1)));
    await rooms.run(5000);
    rooms.sent.length = 0;
    const late = rooms.join(idOf(10));
    await rooms.run(5000);
    assertSame([first, ...rest, late]);
    assert.equal(count(rooms, ASK), 1);
    assert.equal(count(rooms, ANSWER), 1);
    assert.equal(count(rooms, UPDATE), 0);
    const bytes = rooms.sent.reduce((sum, sent) => sum + sent.bytes, 0);
    const size = Y.encodeStateAsUpdate(first.doc).length;
    assert.ok(bytes < size * 1.05, `${bytes} bytes for ${size}`);
  });

  it('tells all what a late one has written before, once', async () => {
    const rooms = makeRooms();
    const members = Array.from({ length: 6 }, (_, i) => rooms.join(idOf(i)));
    members[0]?.text.insert(0, 'there');
    await rooms.run(5000);
    rooms.sent.length = 0;
    const doc = new Y.Doc();
    doc.getText('text').insert(0, 'offline');
    const late = rooms.join('zz', {}, doc);
    await rooms.run(10_000);
    assertSame([...members, late]);
    assert.match(late.text.toJSON(), /offline/);
    assert.equal(count(rooms, UPDATE), 6);
    assert.equal(count(rooms, ANSWER), 1);
  });

  it('says each edit once to each member', async () => {
    const rooms = makeRooms();
    const members = Array.from({ length: 5 }, (_, i) => rooms.join(idOf(i)));
    await rooms.run(3000);
    rooms.sent.length = 0;
    members[2]?.text.insert(0, 'x');
    await rooms.run(60_000);
    assert.equal(count(rooms, UPDATE), 4);
    // Then each compares with one other, and that is all.
    assert.equal(rooms.sent.length, 4 + 5);
    assertSame(members);
  });

  for (const [members, maxConns] of [
    [5, 2],
    [20, 4],
    [60, 8],
  ] as const)
    it(`passes edits on once where ${members} members have ${maxConns} connections each`, async () => {
      const rooms = makeRooms({ isOpen: false });
      const all = Array.from({ length: members }, (_, i) => rooms.join(idOf(i), { maxConns }));
      await rooms.run(10_000);
      assert.ok(rooms.connections <= (members * (maxConns + 2)) / 2, `${rooms.connections}`);
      rooms.sent.length = 0;
      all[1]?.text.insert(0, 'far');
      await rooms.run(1400);
      assertSame(all);
      assert.equal(count(rooms, UPDATE), members - 1);
      const random = seededRandom(members);
      for (let i = 0; i < 100; i++) {
        const member = all[Math.floor(random() * members)];
        if (member !== undefined) scribble(member, random);
        await rooms.run(random() * 100);
      }
      await rooms.run(5000);
      assertSame(all);
      assert.equal(count(rooms, UPDATE), 101 * (members - 1));
      assert.equal(count(rooms, ASK), 0);
    });

  it('repairs what was lost, over any mesh', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const random = seededRandom(seed);
      const rooms = makeRooms({ isOpen: false });
      const all = Array.from({ length: 12 }, (_, i) => rooms.join(idOf(i), { maxConns: 4 }));
      await rooms.run(10_000);
      rooms.loses = ({ kind }) => kind === UPDATE && random() < 0.3;
      for (let i = 0; i < 60; i++) {
        const member = all[Math.floor(random() * all.length)];
        if (member !== undefined) scribble(member, random);
        await rooms.run(random() * 300);
      }
      rooms.loses = () => false;
      await rooms.run(60_000);
      assertSame(all);
    }
  });

  it('goes on through members that come, leave and crash, and edits made meanwhile', async () => {
    for (const isOpen of [true, false]) {
      const random = seededRandom(isOpen ? 1 : 2);
      const rooms = makeRooms({ isOpen });
      const options = isOpen ? {} : { maxConns: 4 };
      let members = Array.from({ length: 8 }, (_, i) => rooms.join(idOf(i), options));
      for (let i = 8; i < 40; i++) {
        for (const member of members) if (random() < 0.5) scribble(member, random);
        await rooms.run(random() * 1500);
        if (random() < 0.5) members.push(rooms.join(idOf(i), options));
        const [gone] = random() < 0.4 && members.length > 3 ? members.splice(1, 1) : [];
        if (gone === undefined) continue;
        gone.provider.disconnect();
        rooms.leave(gone.id, random() < 0.5);
        scribble(gone, random);
        members = members.filter((member) => member !== gone);
        if (random() < 0.7) members.push(rooms.join(`${gone.id}-again`, options, gone.doc));
      }
      await rooms.run(120_000);
      assertSame(members);
    }
  });

  it('asks another member when the one that it has asked says nothing', async () => {
    const rooms = makeRooms();
    const members = ['b', 'c'].map((id) => rooms.join(id));
    members[0]?.text.insert(0, 'there');
    await rooms.run(4000);
    let isLost = false;
    rooms.loses = ({ kind }) => kind === ASK && !isLost && (isLost = true);
    const late = rooms.join('a');
    await rooms.run(5000);
    assert.equal(late.text.toJSON(), '');
    await rooms.run(4000);
    assertSame([...members, late]);
    assert.ok(isLost);
  });

  it('catches up with a member that could take nothing for a while', async () => {
    const rooms = makeRooms();
    const [a, b] = [rooms.join('a'), rooms.join('b')];
    await rooms.run(3000);
    rooms.isFull = (to) => to === 'b';
    for (let i = 0; i < 10; i++) a.text.insert(0, `line ${i}\n`);
    await rooms.run(2000);
    assert.equal(b.text.length, 0);
    rooms.isFull = () => false;
    await rooms.run(8000);
    assertSame([a, b]);
  });

  it('has the events that it promises, and takes part as it is told to', async () => {
    const rooms = makeRooms();
    const [a, b] = [rooms.join('a'), rooms.join('b')];
    a.provider.awareness.setLocalState({});
    const events: unknown[] = [];
    a.provider.on('status', (event) => events.push(event));
    a.provider.on('peers', (event) => events.push(event));
    await rooms.run(3000);
    assert.equal(a.provider.connected, true);
    a.provider.disconnect();
    assert.equal(a.provider.connected, false);
    a.text.insert(0, 'offline');
    b.text.insert(0, 'online');
    await rooms.run(3000);
    assert.equal(b.text.toJSON(), 'online');
    assert.deepEqual(b.provider.awareness.states.has(a.doc.clientID), false);
    a.provider.connect();
    a.provider.connect();
    await rooms.run(3000);
    assertSame([a, b]);
    assert.equal(b.provider.awareness.states.has(a.doc.clientID), true);
    const peers = { webrtcPeers: ['b'], bcPeers: [] };
    assert.deepEqual(events, [
      { added: ['b'], removed: [], ...peers },
      { added: [], removed: ['b'], ...peers, webrtcPeers: [] },
      { connected: false },
      { connected: true },
      { added: ['b'], removed: [], ...peers },
    ]);
    a.doc.destroy();
    b.provider.destroy();
    assert.equal(a.provider.connected || b.provider.connected, false);
    await rooms.run(60_000);
  });
});

describe('awareness', () => {
  const namesAt = ({ provider }: VirtualMember): string[] =>
    [...provider.awareness.states.values()].map((state) => String(state['name'])).toSorted();

  for (const isOpen of [true, false])
    it(`tells everybody of everybody, and forgets who is gone, ${isOpen ? 'directly' : 'through others'}`, async () => {
      const rooms = makeRooms({ isOpen });
      const all = Array.from({ length: 9 }, (_, i) =>
        rooms.join(idOf(i), isOpen ? {} : { maxConns: 4 }),
      );
      for (const { id, provider } of all) provider.awareness.setLocalState({ name: id });
      await rooms.run(10_000);
      rooms.sent.length = 0;
      const names = all.map(({ id }) => id);
      for (const member of all) assert.deepEqual(namesAt(member), names.toSorted(), member.id);
      all[4]?.provider.awareness.setLocalState({ name: 'moved' });
      await rooms.run(1000);
      assert.equal(count(rooms, AWARENESS), 8);
      for (const member of all) assert.ok(namesAt(member).includes('moved'), member.id);
      rooms.leave(idOf(4), true);
      await rooms.run(9000);
      const left = all.filter((_, i) => i !== 4);
      for (const member of left) assert.equal(namesAt(member).length, 8, member.id);
    });

  it('is whole again at once when a member comes back', async () => {
    const rooms = makeRooms();
    const [a, b] = [rooms.join('a'), rooms.join('b')];
    a.provider.awareness.setLocalState({ name: 'a' });
    await rooms.run(1000);
    rooms.leave('a');
    await rooms.run(1000);
    assert.equal(namesAt(b).length, 1);
    a.provider.disconnect();
    rooms.join('a2', { awareness: a.provider.awareness }, a.doc);
    await rooms.run(1000);
    assert.ok(namesAt(b).includes('a'));
  });
});

describe('kinds of frames', () => {
  it('are as few as can be between two that have nothing', async () => {
    const rooms = makeRooms();
    rooms.join('a');
    rooms.join('b');
    await rooms.run(60_000);
    assert.equal(count(rooms, HELLO), 2);
    assert.equal(count(rooms, ASK, ANSWER, UPDATE), 0);
  });
});
