import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { sourceOf } from '@lumamesh/transport';
import {
  JOIN_KEY_LENGTH,
  JOIN_SIGNATURE_LENGTH,
  LIMITS,
  joinProofText,
  parseRelayMessage,
  type RoomMember,
  type SignedRelayRecord,
} from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { RelayCore, type RelayCoreLimits, type RelayCoreOptions } from './relay-core.ts';
import type { RemoteRooms } from './remote-rooms.ts';

const ROOM = 'R'.repeat(43);
const RECORD = { nk: 'test' } as unknown as SignedRelayRecord;

interface Frame {
  readonly action: string;
  readonly [field: string]: unknown;
}

const PEER = (name: string): string => name.padEnd(16, '_');

/** Stands for a key and all that it has signed. */
function keyOf(text: string): string {
  return text.replaceAll(/\W/g, '-').padEnd(JOIN_KEY_LENGTH, 'A').slice(-JOIN_KEY_LENGTH);
}

const LIMITS_OF_CORE: RelayCoreLimits = {
  maxSessions: 10,
  maxSessionsPerHost: 1000,
  maxSessionsPerNetwork: 1000,
  maxRoomSize: 5,
  messagesPerSecond: 100,
  deliveriesPerSecond: 2000,
  bytesPerSecond: 2_000_000,
  dialBacksPerMinute: 30,
};

class Bench {
  readonly core: RelayCore<string>;
  readonly sent: { readonly to: string; readonly frame: Frame }[] = [];
  readonly closed: string[] = [];
  /** What the mesh is told. */
  readonly local: string[] = [];
  readonly queued = new Map<string, number>();
  readonly addresses = new Map<string, string>();
  now: Instant = instant(0);
  #challenges = 0;

  constructor(options: Partial<RelayCoreOptions<string>> = {}, remote?: RemoteRooms) {
    this.core = new RelayCore<string>(
      {
        ...LIMITS_OF_CORE,
        sourceOf: (session) => sourceOf(this.addresses.get(session) ?? '203.0.113.1'),
        queuedBytes: (session) => this.queued.get(session) ?? 0,
        joinProofs: {
          challenge: () => `challenge${(this.#challenges += 1)}`,
          verify: (peer, { key }, text) => key === keyOf(`${peer} ${text}`),
        },
        ...options,
      },
      RECORD,
      remote,
    );
  }

  open(...sessions: string[]): this {
    for (const session of sessions) this.core.handleSessionOpen(session);
    this.drain();
    return this;
  }

  say(session: string, message: unknown): Frame[] {
    this.core.handleFrame(
      this.now,
      session,
      typeof message === 'string' ? message : JSON.stringify(message),
    );
    return this.drain()
      .filter(({ to }) => to === session)
      .map(({ frame }) => frame);
  }

  join(session: string, peer: string, room = ROOM): Frame[] {
    return this.say(session, {
      action: 'join',
      room,
      peer: peer.padEnd(16, '_'),
      presence: `from-${peer}`,
    });
  }

  drain(): { readonly to: string; readonly frame: Frame }[] {
    const from = this.sent.length;
    for (let output = this.core.poll(); output !== null; output = this.core.poll()) {
      switch (output.type) {
        case 'send':
          this.sent.push({ to: output.session, frame: JSON.parse(output.frame) as Frame });
          break;
        case 'close':
          this.closed.push(output.session);
          break;
        case 'dialBack':
          this.local.push(`dial ${output.session}`);
          break;
        case 'localPresent':
          this.local.push(`present ${output.peer} ${output.presence}`);
          break;
        case 'localAbsent':
          this.local.push(`absent ${output.peer}`);
          break;
        case 'localSignal':
          this.local.push(`signal ${output.from} ${output.to} ${output.data}`);
      }
    }
    return this.sent.slice(from);
  }

  heard(session: string, action: string): Frame[] {
    return this.sent
      .filter(({ to, frame }) => to === session && frame.action === action)
      .map(({ frame }) => frame);
  }
}

describe('credentials for TURN', () => {
  it('come with the last joined, and are taken back with the place in the room', () => {
    const log: string[] = [];
    const turn = {
      grant: (session: string, room: string) => {
        log.push(`grant ${session} ${room[0]}`);
        return { username: `u-${session}`, password: 'p' };
      },
      revoke: (session: string, room: string) => void log.push(`revoke ${session} ${room[0]}`),
    };
    const bench = new Bench({ turn }).open('a', 'b');
    const signed = `${PEER('anna')} ${joinProofText(RECORD.nk, 'challenge2', ROOM, PEER('anna'))}`;
    const proofOfB = { key: keyOf(signed), signature: 'S'.repeat(JOIN_SIGNATURE_LENGTH) };
    const [joined] = bench.join('a', 'anna');
    assert.deepEqual(joined?.['turn'], { username: 'u-a', password: 'p' });
    bench.join('a', 'anna');
    bench.say('b', { action: 'join', room: ROOM, peer: 'anna'.padEnd(16, '_'), proof: proofOfB });
    bench.say('b', { action: 'leave', room: ROOM });
    bench.join('b', 'ben');
    bench.core.handleSessionClosed('b');
    const r = ROOM[0];
    assert.deepEqual(log, [
      `grant a ${r}`,
      `revoke a ${r}`,
      `grant b ${r}`,
      `revoke b ${r}`,
      `grant b ${r}`,
      `revoke b ${r}`,
    ]);
  });

  it('are not spoken of by a relay that does not forward', () => {
    const [joined] = new Bench().open('a').join('a', 'anna');
    assert.ok(joined !== undefined && !('turn' in joined));
  });
});

describe('rooms', () => {
  describe('a peer that proves its id', () => {
    const proofFor = (peer: string, challenge: string): Record<string, string> => ({
      key: keyOf(`${PEER(peer)} ${joinProofText(RECORD.nk, challenge, ROOM, PEER(peer))}`),
      signature: 'S'.repeat(JOIN_SIGNATURE_LENGTH),
    });
    const join = (peer: string, challenge: string): Record<string, unknown> => ({
      action: 'join',
      room: ROOM,
      peer: PEER(peer),
      presence: `of-${peer}`,
      proof: proofFor(peer, challenge),
    });

    it('takes its place from whoever stood there without, who hears no more of the room', () => {
      const bench = new Bench().open('watcher', 'impostor', 'bob');
      bench.join('watcher', 'watcher');
      bench.join('impostor', 'bob');
      bench.say('bob', join('bob', 'challenge3'));
      assert.equal(bench.heard('impostor', 'error').at(-1)?.['code'], 'PEER_ID_IN_USE');
      assert.equal(bench.heard('watcher', 'peer-joined').at(-1)?.['presence'], 'of-bob');
      assert.deepEqual(bench.heard('watcher', 'peer-left'), []);
      bench.say('watcher', { action: 'signal', room: ROOM, to: PEER('bob'), data: 'x' });
      assert.equal(bench.heard('bob', 'signal').length, 1);
      assert.equal(bench.heard('impostor', 'signal').length, 0);
      const refused = bench.join('impostor', 'bob');
      assert.equal(refused[0]?.['code'], 'PEER_ID_IN_USE');
    });

    it('that cannot join leaves everybody where they are', () => {
      const bench = new Bench().open('watcher', 'impostor', 'bob');
      bench.join('watcher', 'watcher');
      bench.join('impostor', 'bob');
      for (let i = 0; i < LIMITS.maxRoomsPerSession; i++)
        bench.join('bob', 'bob', `${i}`.padEnd(43, '_'));
      const said = bench.say('bob', join('bob', 'challenge3'));
      assert.equal(said[0]?.['code'], 'TOO_MANY_ROOMS');
      assert.deepEqual(bench.heard('impostor', 'error'), []);
      assert.equal(bench.core.counts.members, 2 + LIMITS.maxRoomsPerSession);
      bench.core.handleSessionClosed('impostor');
      bench.drain();
      assert.equal(bench.heard('watcher', 'peer-left').length, 1);
      assert.equal(bench.local.at(-1), `absent ${PEER('bob')}`);
    });

    it('has a place in a full room that others have taken under its id', () => {
      const bench = new Bench({ maxRoomSize: 2 }).open('watcher', 'impostor', 'bob');
      bench.join('watcher', 'watcher');
      bench.join('impostor', 'bob');
      assert.equal(bench.say('bob', join('bob', 'challenge3'))[0]?.action, 'joined');
      assert.equal(bench.core.counts.members, 2);
    });

    it('may do so over several sessions, as one that comes back does', () => {
      const bench = new Bench().open('one', 'two');
      bench.say('one', join('bob', 'challenge1'));
      assert.equal(bench.say('two', join('bob', 'challenge2'))[0]?.action, 'joined');
      assert.equal(bench.core.counts.members, 2);
    });

    it('is asked anew in each session: no proof serves twice, in another room or for another id', () => {
      const bench = new Bench().open('ada', 'mallory');
      const wrong = [
        join('bob', 'challenge1'),
        { ...join('bob', 'challenge2'), room: 'X'.repeat(43) },
        { ...join('bob', 'challenge2'), peer: PEER('ada') },
      ];
      for (const message of wrong)
        assert.equal(bench.say('mallory', message)[0]?.['code'], 'BAD_PROOF');
      for (const proof of [
        7,
        null,
        {},
        { key: 'a', signature: 'b' },
        { ...proofFor('bob', 'challenge2'), key: 'ä'.repeat(87) },
      ])
        assert.equal(
          bench.say('mallory', { ...join('bob', 'challenge2'), proof })[0]?.['code'],
          'BAD_FRAME',
        );
      assert.equal(bench.core.counts.members, 0);
    });
  });

  it('welcome with the record and the limits', () => {
    const bench = new Bench().open('a');
    const [welcome] = bench.heard('a', 'welcome');
    assert.deepEqual(welcome, {
      action: 'welcome',
      version: 1,
      node: RECORD,
      limits: {
        maxRoomSize: 5,
        maxRoomsPerSession: 48,
        maxFrameBytes: 65_536,
        maxPresenceLength: 2048,
        maxSignalLength: 32_768,
        joinsPerSecond: 1,
        joinsBurst: 64,
        framesPerSecond: 100,
        framesBurst: 1000,
      },
      challenge: 'challenge1',
    });
  });

  it('tell the newcomer who is there and the others who came, signal between two, and tell who left', () => {
    const bench = new Bench().open('a', 'b', 'c');
    assert.deepEqual(bench.join('a', 'ada'), [{ action: 'joined', room: ROOM, members: [] }]);
    assert.deepEqual(bench.join('b', 'bob'), [
      {
        action: 'joined',
        room: ROOM,
        members: [{ peer: 'ada_____________', presence: 'from-ada' }],
      },
    ]);
    assert.deepEqual(bench.heard('a', 'peer-joined'), [
      { action: 'peer-joined', room: ROOM, peer: 'bob_____________', presence: 'from-bob' },
    ]);
    bench.join('c', 'cyd');
    bench.say('a', { action: 'signal', room: ROOM, to: 'cyd_____________', data: 'sealed' });
    assert.deepEqual(bench.heard('c', 'signal'), [
      { action: 'signal', room: ROOM, from: 'ada_____________', data: 'sealed' },
    ]);
    assert.equal(bench.heard('b', 'signal').length, 0);
    bench.say('b', { action: 'leave', room: ROOM });
    assert.deepEqual(bench.heard('a', 'peer-left'), [
      { action: 'peer-left', room: ROOM, peer: 'bob_____________' },
    ]);
    bench.core.handleSessionClosed('c');
    bench.drain();
    assert.equal(bench.heard('a', 'peer-left').length, 2);
    bench.core.handleSessionClosed('a');
    bench.core.handleSessionClosed('b');
    assert.deepEqual(bench.core.counts, { sessions: 0, rooms: 0, members: 0 });
  });

  it('keep a peer that came back over a new session when the old one goes, and tell nobody that it left', () => {
    const bench = new Bench().open('a', 'b-old', 'b-new');
    bench.join('a', 'ada');
    bench.join('b-old', 'bob');
    bench.join('b-new', 'bob');
    bench.core.handleSessionClosed('b-old');
    bench.drain();
    assert.equal(bench.heard('a', 'peer-left').length, 0);
    bench.say('a', { action: 'signal', room: ROOM, to: 'bob_____________', data: 'x' });
    assert.equal(bench.heard('b-new', 'signal').length, 1);
  });

  it('do not let a session take a peer’s place, nor crowd it out', () => {
    const bench = new Bench().open('victim', 'x', 'y', 'z', 'friend');
    bench.join('victim', 'vic');
    for (const session of ['x', 'y', 'z']) bench.join(session, 'vic');
    assert.equal(bench.heard('z', 'error')[0]?.['code'], 'PEER_ID_IN_USE');
    bench.join('friend', 'fay');
    bench.say('friend', { action: 'signal', room: ROOM, to: 'vic_____________', data: 'x' });
    assert.equal(bench.heard('victim', 'signal').length, 1, 'the true one still hears');
  });

  it('join again: presence changes, another peer id leaves first', () => {
    const bench = new Bench().open('a', 'b');
    bench.join('a', 'ada');
    bench.join('b', 'bob');
    bench.say('b', { action: 'join', room: ROOM, peer: 'bob_____________', presence: 'changed' });
    assert.equal(bench.heard('a', 'peer-joined').at(-1)?.['presence'], 'changed');
    assert.equal(bench.core.counts.members, 2);
    bench.join('b', 'bea');
    assert.equal(bench.heard('a', 'peer-left').at(-1)?.['peer'], 'bob_____________');
    assert.equal(bench.core.counts.members, 2);
  });

  it('are bounded in members, in rooms for one session, and the relay in sessions', () => {
    const bench = new Bench({ maxSessions: 7 }).open('1', '2', '3', '4', '5', '6', '7', '8');
    assert.equal(bench.heard('8', 'error')[0]?.['code'], 'RELAY_FULL');
    assert.deepEqual(bench.closed, ['8']);
    for (let i = 1; i <= 6; i++) bench.join(`${i}`, `peer${i}`);
    assert.equal(bench.heard('6', 'error')[0]?.['code'], 'ROOM_FULL');
    assert.equal(bench.heard('6', 'error')[0]?.['room'], ROOM);
    for (let i = 0; i < LIMITS.maxRoomsPerSession + 1; i++)
      bench.join('7', 'p', `${i}`.padStart(20, 'r'));
    assert.equal(bench.heard('7', 'error').at(-1)?.['code'], 'TOO_MANY_ROOMS');
  });

  it('tell everybody to go elsewhere before the relay stops, and turn newcomers away', () => {
    const bench = new Bench().open('a', 'b');
    bench.join('a', 'ada');
    bench.core.handleClosing();
    bench.drain();
    for (const session of ['a', 'b'])
      assert.deepEqual(
        bench.heard(session, 'error').map(({ code }) => code),
        ['RELAY_CLOSING'],
      );
    assert.deepEqual(bench.closed, [], 'they go by themselves');
    bench.open('c');
    assert.deepEqual(
      [bench.heard('c', 'error')[0]?.['code'], bench.heard('c', 'welcome').length, bench.closed],
      ['RELAY_CLOSING', 0, ['c']],
    );
  });

  it('tell everybody to dial again where another process goes on, one after another where there are many', () => {
    for (const [sessions, withinMs] of [
      [1, 0],
      [250, 0],
      [251, 251],
      [2100, 2000],
    ] as const) {
      const bench = new Bench({
        maxSessions: 3000,
        maxSessionsPerHost: 3000,
        maxSessionsPerNetwork: 3000,
      });
      bench.open(...Array.from({ length: sessions }, (_, i) => `s${i}`));
      bench.core.handleClosing(true);
      bench.drain();
      const [said] = bench.heard('s0', 'error');
      assert.deepEqual([said?.['code'], said?.['successor']], ['RELAY_CLOSING', withinMs]);
      assert.ok(parseRelayMessage(JSON.stringify(said)).ok);
    }
  });

  it('take other limits while they run: nobody is put out, newcomers hear the new ones', () => {
    const bench = new Bench({ maxSessions: 2, maxRoomSize: 2 }).open('a', 'b', 'c');
    assert.deepEqual(bench.closed, ['c']);
    bench.join('a', 'ada');
    bench.join('b', 'bob');
    bench.core.setLimits({
      ...LIMITS_OF_CORE,
      maxSessions: 3,
      maxRoomSize: 3,
      messagesPerSecond: 1,
    });
    bench.open('d', 'e');
    assert.deepEqual(bench.closed, ['c', 'e']);
    assert.partialDeepStrictEqual(bench.heard('d', 'welcome')[0]?.['limits'], { maxRoomSize: 3 });
    assert.equal(bench.join('d', 'dee')[0]?.action, 'joined');
    bench.core.setLimits({
      ...LIMITS_OF_CORE,
      maxSessions: 1,
      maxRoomSize: 2,
      messagesPerSecond: 1,
    });
    assert.equal(bench.core.counts.sessions, 3);
    assert.deepEqual(bench.join('a', 'ada'), [], 'a member may say its presence again');
  });

  it('hand a large membership out in frames that fit', () => {
    const bench = new Bench({ maxRoomSize: 300, maxSessions: 300, deliveriesPerSecond: 1e5 });
    for (let i = 0; i < 200; i++) {
      bench.open(`s${i}`);
      bench.say(`s${i}`, {
        action: 'join',
        room: ROOM,
        peer: `peer${i}`.padEnd(22, '-'),
        presence: 'p'.repeat(2048),
      });
    }
    while (bench.core.deadline !== null) {
      bench.core.handleTimeout(bench.core.deadline);
      bench.drain();
    }
    const frames = bench.heard('s199', 'joined');
    assert.ok(frames.length > 5);
    for (const frame of frames) assert.ok(JSON.stringify(frame).length <= LIMITS.maxFrameBytes);
    assert.deepEqual(
      frames.map((frame) => frame['more'] === true),
      frames.map((_, i) => i < frames.length - 1),
    );
    assert.equal(frames.flatMap((frame) => frame['members'] as unknown[]).length, 199);
  });
});

describe('mistakes and attacks', () => {
  it('cost an error and a strike each, and the session only in the end', () => {
    const bench = new Bench().open('a', 'b');
    bench.join('b', 'bob');
    const cases: [unknown, string][] = [
      ['{', 'BAD_FRAME'],
      ['[]', 'BAD_FRAME'],
      ['"join"', 'BAD_FRAME'],
      ['{}', 'BAD_FRAME'],
      [{ action: 7 }, 'BAD_FRAME'],
      [{ action: 'dance' }, 'UNKNOWN_ACTION'],
      [{ action: 'join', room: 'short', peer: 'p'.repeat(16) }, 'BAD_FRAME'],
      [{ action: 'join', room: ROOM, peer: 'p'.repeat(44) }, 'BAD_FRAME'],
      [
        { action: 'join', room: ROOM, peer: 'p'.repeat(16), presence: 'x'.repeat(2049) },
        'BAD_FRAME',
      ],
      [{ action: 'signal', room: ROOM, to: 'p'.repeat(16), data: 'a b' }, 'BAD_FRAME'],
      [{ action: 'signal', room: ROOM, to: 'p'.repeat(16), data: 'x' }, 'NOT_IN_ROOM'],
      ['x'.repeat(70_000), 'FRAME_TOO_LARGE'],
      [{ action: 'nodes', limit: -1 }, 'BAD_FRAME'],
    ];
    for (const [message, code] of cases)
      assert.equal(
        bench.say('a', message)[0]?.['code'],
        code,
        JSON.stringify(message).slice(0, 60),
      );
    assert.deepEqual(bench.say('a', { action: 'ping' }), [{ action: 'pong' }], 'the session lives');
    for (let i = 0; i < 20; i++) bench.say('a', '{');
    assert.deepEqual(bench.closed, ['a']);
    assert.equal(bench.core.counts.members, 1, 'nobody else is touched');
    assert.deepEqual(bench.say('a', { action: 'ping' }), []);
  });

  it('are forgiven over time', () => {
    const bench = new Bench().open('a');
    for (let i = 0; i < 100; i++) {
      bench.say('a', '{');
      bench.now = instant(bench.now + 11_000);
    }
    assert.deepEqual(bench.closed, []);
  });

  it('too many frames are refused; signals to a peer that does not read are held back from it, not it from the room', () => {
    const bench = new Bench({ messagesPerSecond: 1 }).open('a');
    const answers = Array.from({ length: 12 }, () => bench.say('a', { action: 'ping' })[0]);
    assert.equal(answers.filter((frame) => frame?.action === 'pong').length, 10);
    assert.equal(answers.at(-1)?.['code'], 'RATE_LIMITED');

    const busy = new Bench().open('a', 'slow');
    busy.join('slow', 'sloth');
    busy.join('a', 'ada');
    busy.queued.set('slow', 300_000);
    assert.equal(
      busy.say('a', { action: 'signal', room: ROOM, to: 'sloth___________', data: 'x' })[0]?.[
        'code'
      ],
      'PEER_BUSY',
    );
    assert.deepEqual(busy.closed, []);
  });

  it('joining over and over is refused', () => {
    const bench = new Bench().open('a');
    const codes = Array.from({ length: 80 }, () => bench.join('a', 'ada')[0]?.['code']);
    assert.equal(codes.filter((code) => code === 'RATE_LIMITED').length, 16);
  });

  it('a signal to someone who just left is no strike', () => {
    const bench = new Bench().open('a');
    bench.join('a', 'ada');
    for (let i = 0; i < 90; i++)
      assert.equal(
        bench.say('a', { action: 'signal', room: ROOM, to: 'gone____________', data: 'x' })[0]?.[
          'code'
        ],
        'PEER_GONE',
      );
    assert.deepEqual(bench.closed, []);
  });

  it('ten thousand random events leave the books balanced', () => {
    const random = seededRandom(11);
    const pick = (below: number): number => Math.floor(random() * below);
    const bench = new Bench({ messagesPerSecond: 1e6, maxRoomSize: 4, maxSessions: 8 });
    for (let i = 0; i < 10_000; i++) {
      const session = `s${pick(10)}`;
      const room = `room${pick(3)}`.padEnd(16, '_');
      bench.now = instant(bench.now + 1500);
      switch (pick(5)) {
        case 0:
          bench.open(session);
          break;
        case 1:
          bench.core.handleSessionClosed(session);
          break;
        case 2:
          bench.say(session, { action: 'join', room, peer: `peer${pick(6)}`.padEnd(16, '_') });
          break;
        case 3:
          bench.say(session, { action: 'leave', room });
          break;
        default:
          bench.say(session, {
            action: 'signal',
            room,
            to: `peer${pick(6)}`.padEnd(16, '_'),
            data: 'x',
          });
      }
      bench.drain();
    }
    for (let i = 0; i < 10; i++) bench.core.handleSessionClosed(`s${i}`);
    assert.deepEqual(bench.core.counts, { sessions: 0, rooms: 0, members: 0 });
  });

  describe('with rooms that reach beyond it', () => {
    /** What a mesh would know and do, written by the test. */
    class OtherRelays implements RemoteRooms {
      members: RoomMember[] = [];
      homes: SignedRelayRecord[] = [];

      membersOf(): readonly RoomMember[] {
        return this.members;
      }
      has(_room: string, peer: string): boolean {
        return this.members.some((member) => member.peer === peer);
      }
      presencesOf(_room: string, peer: string): readonly string[] {
        return this.members
          .filter((member) => member.peer === peer)
          .map(({ presence }) => presence);
      }
      canReach(room: string, peer: string): boolean {
        return this.has(room, peer);
      }
      homesOf(): readonly SignedRelayRecord[] {
        return this.homes;
      }
      nodes(
        limit: number,
        after: string,
      ): { readonly nodes: readonly SignedRelayRecord[]; readonly next: string } {
        return { nodes: Array.from({ length: limit }, () => RECORD), next: `${after}+` };
      }
    }

    it('tells all versions of a presence over which relays differ, and that a room is not shared', () => {
      const remote = new OtherRelays();
      const bench = new Bench({}, remote).open('a');
      bench.join('a', 'ada');
      const versions = ['rubbish', 'true'].map((presence) => ({ peer: PEER('far'), presence }));
      remote.members = versions;
      const [member] = versions;
      assert.ok(member !== undefined);
      bench.core.handleRemoteRooms({ type: 'remotePresent', room: ROOM, member });
      bench.core.handleRemoteRooms({ type: 'remoteRefused', room: ROOM });
      bench.drain();
      const heard = bench.heard('a', 'peer-joined').map(({ presence }) => presence);
      assert.deepEqual(heard, ['rubbish', 'true']);
      assert.equal(bench.heard('a', 'error')[0]?.['code'], 'ROOM_NOT_SHARED');
    });

    it('shows members of other relays once, passes signals to them, and tells of its own only when they truly come and go', () => {
      const remote = new OtherRelays();
      remote.members = [{ peer: PEER('far'), presence: 'f' }];
      remote.homes = [RECORD];
      const bench = new Bench({}, remote).open('a', 'b', 'a2');
      const [joined] = bench.join('a', 'ada');
      assert.deepEqual(joined?.['members'], [{ peer: PEER('far'), presence: 'f' }]);
      assert.deepEqual(joined?.['homes'], [RECORD]);
      bench.join('a2', 'ada');
      bench.join('b', 'bob');
      assert.deepEqual(
        bench.say('a', { action: 'signal', room: ROOM, to: PEER('far'), data: 'x' }),
        [],
      );
      assert.equal(
        bench.say('a', { action: 'signal', room: ROOM, to: PEER('gone'), data: 'x' })[0]?.['code'],
        'PEER_GONE',
      );
      bench.core.handleSessionClosed('a');
      bench.core.handleSessionClosed('a2');
      bench.drain();
      assert.deepEqual(bench.local, [
        `present ${PEER('ada')} from-ada`,
        `present ${PEER('ada')} from-ada`,
        `present ${PEER('bob')} from-bob`,
        `signal ${PEER('ada')} ${PEER('far')} x`,
        `absent ${PEER('ada')}`,
      ]);
    });

    it('shows, beside a session that proves nothing, the peer of that id that other relays show', () => {
      const remote = new OtherRelays();
      remote.members = [{ peer: PEER('bob'), presence: 'true' }];
      const bench = new Bench({}, remote).open('a', 'mallory', 'late');
      bench.join('a', 'ada');
      bench.join('mallory', 'bob');
      const heard = bench.heard('a', 'peer-joined').map(({ presence }) => presence);
      assert.deepEqual(heard, ['from-bob', 'true']);
      const [joined] = bench.join('late', 'late');
      const members = (joined?.['members'] ?? []) as RoomMember[];
      assert.ok(members.some(({ presence }) => presence === 'true'));
      bench.say('a', { action: 'signal', room: ROOM, to: PEER('bob'), data: 'x' });
      assert.ok(bench.local.includes(`signal ${PEER('ada')} ${PEER('bob')} x`));
    });

    it('keeps who is still there elsewhere', () => {
      const remote = new OtherRelays();
      const bench = new Bench({}, remote).open('a', 'b');
      bench.join('a', 'ada');
      bench.join('b', 'bob');
      const heard = (): string[] =>
        bench
          .drain()
          .flatMap(({ to, frame }) =>
            to === 'a' ? [`${frame.action} ${String(frame['peer'] ?? frame['from'])}`] : [],
          );
      bench.core.handleRemoteRooms({
        type: 'remotePresent',
        room: ROOM,
        member: { peer: PEER('bob'), presence: 'other' },
      });
      bench.core.handleRemoteRooms({ type: 'remoteAbsent', room: ROOM, peer: PEER('bob') });
      assert.deepEqual(heard(), [`peer-joined ${PEER('bob')}`]);
      remote.members = [{ peer: PEER('bob'), presence: 'other' }];
      bench.core.handleSessionClosed('b');
      assert.deepEqual(heard(), []);
      remote.members = [];
      bench.core.handleRemoteRooms({ type: 'remoteAbsent', room: ROOM, peer: PEER('bob') });
      remote.members = [{ peer: PEER('far'), presence: 'f' }];
      bench.core.handleRemoteRooms({
        type: 'remotePresent',
        room: ROOM,
        member: { peer: PEER('far'), presence: 'f' },
      });
      bench.core.handleRemoteRooms({
        type: 'remoteSignal',
        relay: 'far',
        room: ROOM,
        from: PEER('far'),
        to: PEER('ada'),
        data: 'sealed',
      });
      bench.core.handleRemoteRooms({
        type: 'remoteSignal',
        relay: 'far',
        room: ROOM,
        from: PEER('far'),
        to: PEER('nobody'),
        data: 'sealed',
      });
      assert.deepEqual(heard(), [
        `peer-left ${PEER('bob')}`,
        `peer-joined ${PEER('far')}`,
        `signal ${PEER('far')}`,
      ]);
    });

    it('hands out nodes by pages, to one session and to all no faster than it can', () => {
      const bench = new Bench({}, new OtherRelays()).open('a');
      const [page] = bench.say('a', { action: 'nodes', limit: 2, after: 'here' });
      assert.deepEqual(
        [(page?.['nodes'] as unknown[] | undefined)?.length, page?.['next']],
        [2, 'here+'],
      );
      const codes = Array.from({ length: 60 }, () => bench.say('a', { action: 'nodes' })[0]);
      assert.ok(codes.some((answer) => answer?.['code'] === 'RATE_LIMITED'));
    });
  });
});

describe('a relay that asks to be dialled back', () => {
  const SIGNED = {
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip: '203.0.113.1',
    port: 3478,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: 'A'.repeat(43),
    sequence: 1,
    expires: 2,
    signature: 'A'.repeat(86),
  };

  it('is told what came of it, once, and not after it has gone', () => {
    const bench = new Bench().open('a', 'b');
    assert.deepEqual(bench.say('a', { action: 'dial-back', record: SIGNED }), []);
    assert.deepEqual(bench.local, ['dial a']);
    const answer = { result: 'reached', address: '203.0.113.1' } as const;
    bench.core.handleDialledBack('b', answer);
    bench.core.handleDialledBack('a', answer);
    bench.core.handleDialledBack('a', answer);
    assert.deepEqual(
      bench.drain().map(({ to, frame }) => [to, frame]),
      [['a', { action: 'dialled-back', ...answer }]],
    );
    bench.say('b', { action: 'dial-back', record: SIGNED });
    bench.core.handleSessionClosed('b');
    bench.core.handleDialledBack('b', answer);
    assert.deepEqual(bench.drain(), []);
    assert.equal(bench.core.counters.dialBacks.reached, 2);
  });

  it('is refused where the operator wants none, which is no mistake of its', () => {
    const bench = new Bench({ dialBacksPerMinute: 0 }).open('a');
    for (let i = 0; i < 50; i++) {
      const [frame] = bench.say('a', { action: 'dial-back', record: SIGNED });
      assert.equal(frame?.['code'], 'DIAL_BACK_OFF');
    }
    assert.deepEqual(bench.closed, []);
  });
});
