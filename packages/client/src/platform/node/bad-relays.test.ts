import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pause, seededRandom, until } from '@lumamesh/testkit';
import * as webrtc from 'node-datachannel/polyfill';
import { type Room, connectOn } from '../../library.ts';
import { browserPlatform } from '../browser/browser-platform.ts';
import type { Platform } from '../platform.ts';
import type { DialRelay } from '../relay-channel.ts';
import { dialRelay } from './dial-relay.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/*
 * Real peers over a real relay whose frames somebody loses, repeats, delays or makes up on their
 * way: what a bad network does, and what a bad relay can do.
 */

const scene = useRelayProcess();
const { nets } = scene;

/** What becomes of a frame: the frames that are passed on instead. `isIn`: from the relay. */
type Tamper = (
  frame: { readonly action?: string } & Record<string, unknown>,
  isIn: boolean,
) => readonly object[];

/** `onDial` is given a function that makes up a frame of the relay. */
function tampered(tamper: Tamper, onDial?: (inject: (frame: object) => void) => void): DialRelay {
  return (record, addresses, events, tcpAfterMs) => {
    onDial?.((frame) => events.frame(JSON.stringify(frame)));
    const channel = dialRelay(
      record,
      addresses,
      {
        ...events,
        frame: (text) => {
          for (const frame of tamper(JSON.parse(text) as object as Record<string, unknown>, true))
            events.frame(JSON.stringify(frame));
        },
      },
      tcpAfterMs,
    );
    return {
      connection: null,
      send: (text) => {
        let isSent = true;
        for (const frame of tamper(JSON.parse(text) as Record<string, unknown>, false))
          isSent = channel.send(JSON.stringify(frame)) && isSent;
        return isSent;
      },
      close: () => channel.close(),
    };
  };
}

function platformWith(dial: DialRelay): Platform {
  const PeerConnection = webrtc.RTCPeerConnection as unknown as typeof RTCPeerConnection;
  return { ...browserPlatform(), PeerConnection, dialRelay: dial, storage: () => null };
}

function enter(
  nick: string,
  name: string,
  tamper: Tamper = (frame) => [frame],
  options: { password?: string; maxPeers?: number } = {},
  onDial?: (inject: (frame: object) => void) => void,
): Room {
  const net = connectOn(platformWith(tampered(tamper, onDial)), {
    relays: scene.line,
    storage: null,
  });
  nets.push(net);
  return net.joinRoom(name, { nick, ...options });
}

const openTo = (room: Room, nick: string): boolean =>
  room.peers.some((peer) => peer.nick === nick && peer.isOpen);

/**
 * Four offers of 8 s each may be lost before a member is given up, which is tried again after 30 s.
 */
const MEETING_LIMIT_MS = 90_000;

async function meet(a: Room, b: Room, nickOfB: string, nickOfA: string): Promise<void> {
  await until(
    () => openTo(a, nickOfB) && openTo(b, nickOfA),
    `${a.peers.map(({ state }) => state).join()} ${b.peers.map(({ state }) => state).join()}`,
    MEETING_LIMIT_MS,
  );
}

describe('two peers meet', () => {
  it('when the first offer is lost', async () => {
    let lost = 0;
    const tamper: Tamper = (frame, isIn) =>
      !isIn && frame.action === 'signal' && lost++ === 0 ? [] : [frame];
    const ada = enter('Ada', 'lost offer');
    await until(() => ada.state === 'joined', 'joined');
    await meet(ada, enter('Bob', 'lost offer', tamper), 'Bob', 'Ada');
    assert.ok(lost > 0);
  });

  it('when the first answer is lost', async () => {
    let lost = 0;
    const tamper: Tamper = (frame, isIn) =>
      !isIn && frame.action === 'signal' && lost++ === 0 ? [] : [frame];
    const ada = enter('Ada', 'lost answer', tamper);
    await until(() => ada.state === 'joined', 'joined');
    await meet(ada, enter('Bob', 'lost answer'), 'Bob', 'Ada');
  });

  it('when a third of all signals is lost, a third is repeated and all are shuffled', async () => {
    const random = seededRandom(11);
    const shuffled = (): Tamper => {
      let held: object[] = [];
      return (frame, isIn) => {
        if (!isIn || frame.action !== 'signal') return [frame];
        const dice = random();
        if (dice < 0.33) return [];
        if (dice < 0.66) return [frame, frame];
        // Passed on behind the next one.
        const out = held;
        held = [frame];
        return out;
      };
    };
    const ada = enter('Ada', 'shuffled', shuffled());
    await meet(ada, enter('Bob', 'shuffled', shuffled()), 'Bob', 'Ada');
  });

  it('when neither hears of the other as the one who was there before', async () => {
    // As between two relays that learn of both at once: everybody is a newcomer to everybody.
    const tamper: Tamper = (frame, isIn) =>
      isIn && frame.action === 'joined'
        ? [
            { ...frame, members: [] },
            ...(frame['members'] as object[]).map((member) => ({
              action: 'peer-joined',
              room: frame['room'],
              ...member,
            })),
          ]
        : [frame];
    await meet(enter('Ada', 'newcomers', tamper), enter('Bob', 'newcomers', tamper), 'Bob', 'Ada');
  });

  it('again, when one leaves the room and joins it at once', async () => {
    const ada = enter('Ada', 'again');
    const net = enter('Bob', 'again');
    await meet(ada, net, 'Bob', 'Ada');
    const first = ada.peers[0]?.id;
    net.leave();
    await until(() => ada.peers.length === 0, 'Bob has left');
    const again = enter('Bob', 'again');
    await meet(ada, again, 'Bob', 'Ada');
    assert.notEqual(ada.peers[0]?.id, first, 'another visit, another identity');
  });
});

describe('a relay that lies', () => {
  it('cannot let anybody in who does not know the room, and fills neither memory nor connections', async () => {
    const errors: string[] = [];
    const random = seededRandom(5);
    const id = (): string =>
      Array.from(
        { length: 22 },
        () => 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef'[Math.floor(random() * 32)],
      ).join('');
    const tamper: Tamper = (frame, isIn) => {
      if (!isIn || frame.action !== 'joined') return [frame];
      const members = Array.from({ length: 300 }, () => ({
        peer: id(),
        presence: 'A'.repeat(300),
      }));
      return [{ ...frame, members: [...members, ...(frame['members'] as object[])] }];
    };
    const ada = enter('Ada', 'crowd');
    await until(() => ada.state === 'joined', 'joined');
    const bob = enter('Bob', 'crowd', tamper);
    bob.on('error', ({ code }) => errors.push(code));
    await meet(ada, bob, 'Bob', 'Ada');
    assert.deepEqual(
      bob.peers.map(({ nick }) => nick),
      ['Ada'],
    );
    assert.ok(errors.includes('ROOM_KEY_MISMATCH'));
  });

  it('cannot replay or redirect signals, nor end a connection that lives', async () => {
    const heard: Record<string, unknown>[] = [];
    const record: Tamper = (frame, isIn) => {
      if (isIn && frame.action === 'signal') heard.push(frame);
      return [frame];
    };
    let inject = (_frame: object): void => assert.fail('no relay was dialled');
    const ada = enter('Ada', 'replay', record, {}, (made) => (inject = made));
    const bob = enter('Bob', 'replay', (frame) => [frame]);
    await meet(ada, bob, 'Bob', 'Ada');
    // All that was heard, again; and that everybody has left.
    const room = heard[0]?.['room'];
    assert.equal(typeof room, 'string');
    for (const frame of [...heard, ...heard]) inject(frame);
    inject({ action: 'peer-left', room, peer: bob.selfId });
    inject({ action: 'joined', room, members: [] });
    await pause(1500);
    assert.ok(openTo(ada, 'Bob') && openTo(bob, 'Ada'));
    const got: unknown[] = [];
    bob.peers[0]?.on('data', (value) => got.push(value));
    await ada.peers[0]?.send('still here');
    await until(() => got.length > 0, 'nothing arrives any more');
  });

  it('cannot make a page throw with frames of any shape', async () => {
    const random = seededRandom(9);
    const rubbish = [
      null,
      7,
      'x',
      [],
      {},
      { action: 'welcome' },
      { action: 'joined', room: 'r', members: null },
      { action: 'nodes', nodes: [null, 7, { nk: {} }] },
    ];
    const tamper: Tamper = (frame, isIn) =>
      isIn
        ? [
            ...Array.from(
              { length: 5 },
              () => rubbish[Math.floor(random() * rubbish.length)] as object,
            ),
            frame,
          ]
        : [frame];
    await meet(enter('Ada', 'rubbish', tamper), enter('Bob', 'rubbish', tamper), 'Bob', 'Ada');
  });
});

describe('a page\u2019s own listeners', () => {
  /** A net that notes what its listeners throw. */
  const connectAndNote = () => {
    const thrown: unknown[] = [];
    const net = connectOn(platformWith(dialRelay), {
      relays: scene.line,
      storage: null,
      onListenerError: (error) => thrown.push(error),
    });
    nets.push(net);
    return { net, thrown };
  };

  it('may throw, and may leave from inside any event, and the room stays right', async () => {
    const { net, thrown } = connectAndNote();
    const ada = net.joinRoom('listeners', { nick: 'Ada' });
    ada.on('peer', (peer) => {
      peer.on('open', () => {
        throw new Error('in open');
      });
      peer.on('data', () => {
        throw new Error('in data');
      });
      throw new Error('in peer');
    });
    const bob = enter('Bob', 'listeners');
    await meet(ada, bob, 'Bob', 'Ada');
    await bob.peers[0]?.send('one');
    await until(() => thrown.length >= 3, 'the errors are told');
    bob.peers[0]?.on('data', () => void net.close());
    await ada.peers[0]?.send('go');
    await until(
      () => net.status.state === 'closed' || ada.peers.length === 0,
      'closed from inside data',
    );
    const cyd = enter('Cyd', 'listeners two');
    enter('Dan', 'listeners two');
    cyd.on('peer', (peer) => peer.on('open', () => void cyd.leave()));
    await until(() => cyd.state === 'left', 'left from inside open');
    assert.equal(cyd.peers.length, 0);
  });

  it('that hear of progress may throw: what they hear of arrives, and what is sent after it', async () => {
    const { net, thrown } = connectAndNote();
    const ada = net.joinRoom('progress', { nick: 'Ada' });
    const bob = enter('Bob', 'progress');
    await meet(ada, bob, 'Bob', 'Ada');
    const [peer] = ada.peers;
    const onProgress = (): void => {
      throw new Error('in onProgress');
    };
    const sent = [peer?.send(new Uint8Array(200_000), { onProgress }), peer?.send('after it')];
    assert.deepEqual(thrown, [], 'told later: what hears of errors may throw as well');
    assert.deepEqual(await Promise.all(sent), [true, true]);
    assert.match(String(thrown[0]), /in onProgress/);
  });
});
