import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { type ClientMessage, type RelayMessage, deriveRoomSecret } from '@lumamesh/protocol';
import type { NetHandle } from '../../feature.ts';
import type { Platform } from '../../platform/platform.ts';
import { RoomChannel } from '../../room/channel.ts';
import { type PeerIdentity, createPeerIdentity } from '../../room/peer-identity.ts';
import { EVERYONE, Sealer } from '../../room/sealing.ts';
import { watchCrypto } from '../../room/watched-crypto.test-support.ts';
import { PageChannel } from './channel.ts';
import { SignalPace } from './signal-pace.ts';

/* A channel, and members and relays that mean it ill. */

const { web, settle } = watchCrypto();
const NAME = 'tea';

/** A page in the channel, at a relay that the test plays. */
class World {
  now: Instant = instant(0);
  readonly sent: ClientMessage[] = [];
  readonly log: string[] = [];
  readonly faults: unknown[] = [];
  readonly channel: PageChannel;
  room!: RoomChannel;

  constructor() {
    const platform = {
      crypto: web,
      now: () => this.now,
      random: Math.random,
      setTimer: () => () => undefined,
    } as unknown as Platform;
    const onListenerError = (error: unknown): unknown => this.faults.push(error);
    const host = {
      platform,
      onListenerError,
      _identityFor: () => createPeerIdentity(web.subtle),
      send: (_relay: string | null, message: ClientMessage) => this.sent.push(message) > 0,
      _handleStart: () => undefined,
      _handleReady: () => undefined,
      _handleLeft: () => undefined,
    };
    const net: Pick<NetHandle, 'openChannel' | 'iceServersOf'> = {
      openChannel: (...values) => {
        const [kind, name, password, owner] = values;
        return (this.room = new RoomChannel(kind, name, password, host, owner));
      },
      iceServersOf: () => [],
    };
    this.channel = new PageChannel(
      NAME,
      { presence: 'me' },
      {
        net: net as NetHandle,
        onListenerError,
        pace: new SignalPace(platform),
        _handleLeft: () => undefined,
      },
    );
    this.channel.on('joined', (member) => this.log.push(`joined ${say(member.presence)}`));
    this.channel.on('presence', (member) => this.log.push(`presence ${say(member.presence)}`));
    this.channel.on('left', (member) => this.log.push(`left ${say(member.presence)}`));
    this.channel.on('signal', (value) => this.log.push(`signal ${say(value)}`));
    this.channel.on('error', ({ code }) => this.log.push(`error ${code}`));
  }

  static async make(): Promise<World> {
    const world = new World();
    world.channel._start();
    await world.channel.ready;
    await settle();
    return world;
  }

  async hear(message: object, relay = 'relay'): Promise<void> {
    this.room._handleMessage(relay, { room: this.room.roomId, ...message } as RelayMessage);
    await settle();
  }

  take(): string[] {
    return this.log.splice(0);
  }
}

const say = (value: unknown): string => JSON.stringify(value) ?? 'undefined';

interface Keys {
  readonly id: string;
  readonly sealer: Sealer;
}

/** A member of whom there are only keys. */
async function member(
  counter = 0,
  password = '',
  keys: Promise<PeerIdentity> = createPeerIdentity(web.subtle),
): Promise<Keys> {
  const identity = { ...(await keys), counter };
  const secret = await deriveRoomSecret(web.subtle, NAME, password, 'channel');
  return { id: identity.id, sealer: new Sealer(web, secret, identity) };
}

async function presenceOf({ id, sealer }: Keys, payload: unknown): Promise<object> {
  return {
    action: 'peer-joined',
    peer: id,
    presence: await sealer.seal('presence', EVERYONE, payload),
  };
}

async function signalOf({ id, sealer }: Keys, to: World, payload: unknown): Promise<object> {
  const data = await sealer.seal('signal', to.channel.selfId, payload, 0);
  return { action: 'signal', from: id, data };
}

describe('a channel among strangers', () => {
  it('takes whatever a member says of itself as a value, and throws at nothing', async () => {
    const world = await World.make();
    for (const payload of [
      null,
      7,
      'x',
      [],
      {},
      { value: { stay: 1 } },
      { value: '<b>', stay: [] },
    ])
      await world.hear(await presenceOf(await member(), payload));
    assert.deepEqual(world.take(), [
      ...Array.from({ length: 5 }, () => 'joined undefined'),
      'joined {"stay":1}',
      'joined "<b>"',
    ]);
    const deep = '['.repeat(600);
    const bob = await member();
    await world.hear(await presenceOf(bob, { value: deep }));
    for (const payload of [null, 7, [], {}, { stay: 'x', value: 1 }, { stay: {} }])
      await world.hear(await signalOf(bob, world, payload));
    assert.deepEqual(world.take(), [`joined ${say(deep)}`], 'a signal without a stay is none');
    await world.hear(await signalOf(bob, world, { stay: 0, value: [1] }));
    assert.deepEqual(world.take(), ['signal [1]']);
    assert.deepEqual(world.faults, []);
  });

  it('hears a signal once, by however many relays it comes, and none of who speaks for another', async () => {
    const world = await World.make();
    const [bob, mallory] = [await member(), await member()];
    await world.hear(await presenceOf(bob, { value: 'Bob', stay: 0 }));
    const signal = await signalOf(bob, world, { stay: 0, value: 1 });
    for (const relay of ['relay', 'other', 'relay']) await world.hear(signal, relay);
    await world.hear({ ...(await signalOf(mallory, world, { stay: 0, value: 2 })), from: bob.id });
    await world.hear({ ...(await presenceOf(mallory, { value: 'I am Bob' })), peer: bob.id });
    assert.deepEqual(world.take(), ['joined "Bob"', 'signal 1']);
    // Sealed for somebody else, or for another stay of this page.
    const elsewhere = await bob.sealer.seal('signal', mallory.id, { stay: 0, value: 3 });
    const before = await bob.sealer.seal('signal', world.channel.selfId, { stay: 0, value: 4 }, 99);
    for (const data of [elsewhere, before, 'AAAA', ''])
      await world.hear({ action: 'signal', from: bob.id, data });
    assert.deepEqual(world.take(), []);
  });

  it('meets nobody with another password, and says so where nobody else is there', async () => {
    const world = await World.make();
    const stranger = await member(0, 'guess');
    await world.hear(await presenceOf(stranger, { value: 'stranger' }));
    await world.hear(await signalOf(stranger, world, { stay: 0, value: 1 }));
    assert.deepEqual(world.take(), ['error ROOM_KEY_MISMATCH']);
    assert.deepEqual(world.channel.members, []);
  });

  it('shows what a member said last, whatever a relay has kept', async () => {
    const world = await World.make();
    const bob = await member(10);
    const texts: object[] = [];
    for (const value of ['first', 'second', 'third'])
      texts.push(await presenceOf(bob, { value, stay: 10 }));
    for (const i of [1, 0, 2, 1, 2, 0]) await world.hear(texts[i] ?? {}, `relay ${i}`);
    assert.deepEqual(world.take(), ['joined "second"', 'presence "third"']);
  });

  it('takes a page that was loaded anew for another one, and what it said before for nothing', async () => {
    const world = await World.make();
    const keys = createPeerIdentity(web.subtle);
    const bob = await member(10, '', keys);
    const old = await presenceOf(bob, { value: 'old', stay: 10 });
    await world.hear(old);
    const [first] = world.channel.members;
    const again = await member(30, '', keys);
    await world.hear(await presenceOf(again, { value: 'young', stay: 30 }));
    await world.hear(old, 'late');
    assert.deepEqual(world.take(), ['joined "old"', 'left "old"', 'joined "young"']);
    assert.ok(first?.isGone && !world.channel.members.includes(first));
    // Loaded once more, it is heard to signal before a relay lists it.
    const third = await member(50, '', keys);
    const presence = await presenceOf(third, { value: 'youngest', stay: 50 });
    await world.hear(await signalOf(third, world, { stay: 50, value: 1 }));
    await world.hear(old, 'late');
    await world.hear(presence);
    assert.deepEqual(world.take(), [
      'left "young"',
      'joined undefined',
      'signal 1',
      'presence "youngest"',
    ]);
  });

  it('keeps those whom it signals to in a crowd of those who are made up, and tells who had to go', async () => {
    const world = await World.make();
    const bob = await member();
    await world.hear(await presenceOf(bob, { value: 'Bob', stay: 0 }));
    void world.channel.member(bob.id)?.signal('hello');
    let listed = 0;
    for (let batch = 0; batch < 4; batch++) {
      const crowd = await Promise.all(Array.from({ length: 300 }, async () => member()));
      const members = await Promise.all(
        crowd.map(async (keys) => presenceOf(keys, { value: listed++, stay: 0 })),
      );
      await world.hear({ action: 'joined', members, more: true });
    }
    const { members } = world.channel;
    assert.equal(members.length, 1000);
    assert.ok(members.some(({ id }) => id === bob.id));
    const count = (word: string): number =>
      world.log.filter((line) => line.startsWith(word)).length;
    assert.deepEqual([count('joined'), count('left')], [1201, 201]);
  });

  it('goes on when a listener throws, and hears of a member no more that has left', async () => {
    const world = await World.make();
    const bob = await member();
    world.channel.on('joined', (found) => {
      found.on('left', () => world.log.push('gone'));
      throw new Error('of the page');
    });
    await world.hear(await presenceOf(bob, { value: 'Bob', stay: 0 }));
    await world.hear({ action: 'peer-left', peer: bob.id });
    assert.deepEqual(world.take(), ['joined "Bob"', 'gone', 'left "Bob"']);
    assert.match(String(world.faults), /of the page/);
    world.channel.leave();
    await world.hear(await presenceOf(bob, { value: 'Bob' }));
    await world.hear(await signalOf(bob, world, { stay: 0, value: 1 }));
    assert.deepEqual(world.take(), []);
  });
});
