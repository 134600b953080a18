import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { VirtualTime } from '@lumamesh/testkit';
import type { PeerCloseReason } from '../api.ts';
import type { Feature } from '../feature.ts';
import { directSignaling } from '../features/direct-signaling.ts';
import type { Platform } from '../platform/platform.ts';
import { Peer, type PeerHost } from './peer.ts';
import { LANES, UNORDERED, VALUES } from './peer-frame.ts';
import { type PeerSignal, parsePeerSignal } from './signal.ts';

/* A peer whose connections the test plays: what comes by them, and when they open. */

const [ADA, BOB, ROOM] = ['ada', 'bob', 'room'];
const BOUND = `i${BOB} ${ADA} ${ROOM}`;

class Channel extends EventTarget {
  readyState = 'connecting';
  bufferedAmount = 0;
  binaryType = '';
  bufferedAmountLowThreshold = 0;
  readonly sent: unknown[] = [];

  send(frame: unknown): void {
    this.sent.push(frame);
  }

  hear(data: unknown): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
}

class Connection extends EventTarget {
  static readonly all: Connection[] = [];
  readonly channels: Channel[] = [];
  readonly candidates: unknown[] = [];
  connectionState = 'new';
  iceGatheringState = 'new';
  iceConnectionState = 'new';
  signalingState = 'stable';
  localDescription: { readonly type: string; readonly sdp: string } | null = null;
  remoteDescription: { readonly type: string } | null = null;

  /** Whether the browser makes no more. */
  static isRefused = false;

  constructor() {
    super();
    if (Connection.isRefused) throw new Error('so many connections and no more');
    Connection.all.push(this);
  }

  createDataChannel(): Channel {
    const channel = new Channel();
    this.channels.push(channel);
    return channel;
  }

  setLocalDescription(): Promise<void> {
    this.localDescription = { type: this.remoteDescription === null ? 'offer' : 'answer', sdp: '' };
    return Promise.resolve();
  }

  refusesAnswers = false;

  setRemoteDescription(description: { readonly type: string }): Promise<void> {
    if (this.refusesAnswers && description.type === 'answer')
      return Promise.reject(new Error('the DTLS role has changed'));
    this.remoteDescription = description;
    return Promise.resolve();
  }

  addIceCandidate(candidate: unknown): Promise<void> {
    this.candidates.push(candidate);
    return Promise.resolve();
  }

  restarts = 0;

  restartIce(): void {
    this.restarts += 1;
  }

  bytesReceived = 0;

  getStats(): Promise<Map<string, object>> {
    const { bytesReceived } = this;
    return Promise.resolve(
      new Map<string, object>([
        ['P', { type: 'candidate-pair', bytesReceived }],
        ['C', { type: 'certificate' }],
      ]),
    );
  }

  close(): void {
    this.connectionState = 'closed';
  }

  open(): void {
    this.connectionState = 'connected';
    for (const channel of this.channels) {
      channel.readyState = 'open';
      channel.dispatchEvent(new Event('open'));
    }
  }

  bind(said = BOUND): void {
    for (const lane of LANES) this.channels[lane]?.hear(said);
  }
}

class World {
  readonly time = new VirtualTime();
  readonly peer: Peer;
  readonly signals: PeerSignal[] = [];
  readonly closed: PeerCloseReason[] = [];
  readonly data: unknown[] = [];
  readonly connections = Connection.all;

  constructor(offersFirst = false, feature: Feature = { name: 'none' }) {
    Connection.all.length = 0;
    Connection.isRefused = false;
    const platform = {
      PeerConnection: Connection,
      crypto: { getRandomValues: (bytes: Uint8Array) => bytes.map(() => Math.random() * 256) },
      now: () => this.time.now,
      setTimer: (ms: number, run: () => void) => {
        let isCancelled = false;
        this.time.after(ms, () => isCancelled || run());
        return () => (isCancelled = true);
      },
    } as unknown as Platform;
    const host: PeerHost = {
      platform,
      _codec: undefined,
      selfId: ADA,
      roomId: ROOM,
      onListenerError: (error) => assert.fail(String(error)),
      _configuration: () => ({}),
      _unroute: () => undefined,
      _sendSignal: (_to, signal) => this.signals.push(signal),
      _mayConnect: () => true,
      _settle: () => undefined,
      _handlePeerEnded: (_peer, reason) => this.closed.push(reason),
    };
    this.peer = new Peer(BOB, 'Bob', 'member', true, host);
    this.peer.on('data', (value) => this.data.push(value));
    const part = feature.peer?.(this.peer);
    this.peer._start(part === undefined ? [] : [part], offersFirst);
  }

  get connection(): Connection {
    const connection = this.connections.at(-1);
    assert.ok(connection !== undefined);
    return connection;
  }

  offer(attempt: string, counter: number): void {
    this.peer.receiveSignal({ attempt, description: { type: 'offer', sdp: '' } }, counter);
  }

  /** Lets time pass; the page's clock ticks. */
  async run(ms: number): Promise<void> {
    const end: Instant = instant(this.time.now + ms);
    while (this.time.now < end) {
      this.time.runUntil(() => false, 100);
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    this.peer._handleTick(this.time.now);
  }

  static async connected(feature?: Feature): Promise<World> {
    const world = new World(false, feature);
    world.offer('first', 10);
    await world.run(100);
    world.connection.open();
    world.connection.bind();
    await world.run(1100);
    assert.equal(world.peer.state, 'open');
    return world;
  }
}

describe('a connection that is open', () => {
  it('is not ended by an offer from before it, which a relay has kept', async () => {
    const world = await World.connected();
    world.offer('older', 9);
    await world.run(10_000 - 3000);
    assert.equal(world.connections.length, 1);
    const asked = world.connection.channels[UNORDERED]?.sent ?? [];
    assert.ok(asked.length > 0);
  });

  it('is not ended by a later offer while it answers', async () => {
    const world = await World.connected();
    const unordered = world.connection.channels[UNORDERED];
    for (let counter = 20; counter < 24; counter++) {
      world.offer(`attempt ${counter}`, counter);
      await world.run(300);
      unordered?.hear('q1');
      await world.run(2000);
    }
    assert.equal(world.connections.length, 1);
    assert.equal(world.peer.state, 'open');
  });

  it('gives way to a later offer when it does not answer, and no candidate is lost meanwhile', async () => {
    const world = await World.connected();
    world.offer('second', 20);
    const candidate = { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 };
    world.peer.receiveSignal({ attempt: 'second', candidates: [candidate] }, 21);
    await world.run(1000);
    assert.equal(world.connections.length, 1, 'it is asked first');
    await world.run(1000);
    assert.equal(world.connections.length, 2);
    assert.equal(world.connections[0]?.connectionState, 'closed');
    assert.deepEqual(world.connection.candidates, [candidate]);
    world.connection.open();
    world.connection.bind();
    await world.run(100);
    assert.equal(world.peer.state, 'open');
    assert.deepEqual(world.closed, []);
  });
});

describe('candidates that overtake their offer', () => {
  it('are those of the connection that it begins, however long it was on its way', async () => {
    const world = await World.connected();
    const candidate = { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 };
    for (let i = 0; i < 40; i++)
      world.peer.receiveSignal({ attempt: `late ${i}`, candidates: [candidate] }, 12);
    world.peer.receiveSignal({ attempt: 'second', candidates: [candidate, candidate] }, 21);
    await world.run(1000);
    world.peer.receiveSignal({ attempt: 'first', candidates: [candidate] }, 22);
    await world.run(1000);
    world.offer('second', 20);
    await world.run(2000);
    assert.equal(world.connections.length, 2);
    assert.deepEqual(world.connection.candidates, [candidate, candidate]);
  });
});

describe('a connection that was begun without a network', () => {
  it('is begun anew as soon as the peer is heard of, which was told nothing; one with addresses says its offer again', async () => {
    for (const [sdp, connections] of [
      ['', 2],
      ['a=candidate:1 1 udp 1 192.0.2.1 9 typ host', 1],
    ] as const) {
      const world = new World(true);
      await world.run(100);
      world.connection.iceGatheringState = 'complete';
      world.connection.localDescription = { type: 'offer', sdp };
      await world.run(3000);
      world.peer._handleSeen('Bob', true);
      await world.run(2000);
      assert.deepEqual([world.connections.length, world.closed], [connections, []]);
    }
  });
});

describe('a connection that was never open', () => {
  it('and that the other side gives up for another one is followed by that one: nobody has left', async () => {
    const world = new World();
    world.offer('first', 10);
    await world.run(100);
    for (const channel of world.connection.channels) channel.dispatchEvent(new Event('close'));
    await world.run(100);
    assert.deepEqual([world.closed, world.connections.length], [[], 2]);
    world.offer('second', 20);
    await world.run(100);
    world.connection.open();
    world.connection.bind();
    await world.run(100);
    assert.deepEqual([world.peer.state, world.closed], ['open', []]);
  });
});

describe('a connection that the other side says it gives up for another one', () => {
  it('is followed by that one: nobody has left, and values go on', async () => {
    const world = await World.connected();
    world.connection.channels[UNORDERED]?.hear('r');
    assert.equal(world.peer.state, 'reconnecting');
    world.offer('second', 20);
    await world.run(100);
    world.connection.open();
    world.connection.bind();
    await world.run(100);
    assert.deepEqual(
      [world.peer.state, world.closed, world.connections.length],
      ['open', [], 2],
      'that one, and no other',
    );
  });

  it('is offered for by this side soon, where the other one says nothing more', async () => {
    const world = await World.connected();
    world.connection.channels[UNORDERED]?.hear('r');
    const before = world.signals.length;
    await world.run(400);
    assert.equal(world.signals.length, before, 'the other one is the first to offer');
    // Its clock ticks once a second.
    await world.run(1000);
    assert.deepEqual(
      world.signals.slice(before).map(({ description }) => description?.type),
      ['offer'],
    );
  });

  it('as soon as it is open, again and again, is given up', async () => {
    const world = await World.connected();
    for (let i = 0; i < 20 && world.closed.length === 0; i++) {
      world.connection.channels[UNORDERED]?.hear('r');
      world.offer(`another ${i}`, 20 + i);
      await world.run(50);
      world.connection.open();
      world.connection.bind();
    }
    assert.deepEqual(world.closed, ['failed']);
    assert.ok(world.connections.length <= 5, String(world.connections.length));
  });

  it('is told by this side when it does so', async () => {
    const world = await World.connected();
    const [connection] = world.connections;
    const unordered = connection?.channels[UNORDERED];
    // A browser whose queue is full.
    assert.ok(connection !== undefined && unordered !== undefined);
    for (const lane of LANES)
      Object.assign(connection.channels[lane] ?? {}, {
        send: () => assert.fail('the queue is full'),
      });
    void world.peer.send('too much');
    await world.run(100);
    assert.equal(world.peer.state, 'reconnecting');
    assert.equal(unordered.sent.at(-1), 'r');
  });
});

describe('a large value that comes before this side has noticed that all channels are open', () => {
  const begin = async (feature?: Feature): Promise<World> => {
    const world = new World(false, feature);
    world.offer('first', 10);
    await world.run(100);
    world.connection.bind();
    const lane = world.connection.channels[VALUES];
    for (const frame of ['rsession', 'n0', 'fb\n10', new ArrayBuffer(10)]) lane?.hear(frame);
    return world;
  };

  it('is heard as soon as it has, and ends nobody', async () => {
    const world = await begin();
    assert.deepEqual([world.closed, world.data], [[], []]);
    world.connection.open();
    await world.run(100);
    assert.deepEqual(world.data, [new Uint8Array(10)]);
  });

  it('ends who was not let in yet, where there is a gate', async () => {
    const never = new Promise<void>(() => undefined);
    const world = await begin({ name: 'gate', peer: () => ({ admit: async () => never }) });
    assert.deepEqual(world.closed, ['failed']);
  });
});

describe('a connection in the place of which the browser makes no other', () => {
  it('has failed, and nothing is thrown, when the other side begins anew', async () => {
    const world = await World.connected();
    await world.run(3000);
    Connection.isRefused = true;
    world.offer('second', 11);
    await world.run(2000);
    assert.deepEqual(world.closed, ['failed']);
    // What comes after that is for nobody.
    world.offer('third', 12);
    await world.run(2000);
  });

  it('has failed when it ends', async () => {
    const world = await World.connected();
    Connection.isRefused = true;
    world.connection.channels[UNORDERED]?.hear('r');
    await world.run(1000);
    assert.deepEqual(world.closed, ['failed']);
  });
});

describe('a page that says nothing', () => {
  /** So many seconds pass, in each of which so many bytes come. */
  const pass = async (world: World, seconds: number, bytes: number): Promise<void> => {
    for (let second = 0; second < seconds && world.closed.length === 0; second++) {
      world.connection.bytesReceived += bytes;
      await world.run(1000);
    }
  };

  it('and whose browser acknowledges nothing has left within eight seconds; a restart was tried', async () => {
    const world = await World.connected();
    await pass(world, 6, 0);
    assert.deepEqual([world.closed, world.connection.restarts], [[], 1]);
    await pass(world, 1, 0);
    assert.deepEqual(world.closed, ['lost']);
  });

  it('but whose browser lives is busy, for half a minute', async () => {
    const world = await World.connected();
    await pass(world, 28, 100);
    assert.deepEqual(world.closed, []);
    assert.ok(world.connection.restarts <= 1, `${world.connection.restarts} restarts`);
    await pass(world, 2, 100);
    assert.deepEqual(world.closed, ['lost']);
  });

  it('after it was busy and answered has left as soon as any other', async () => {
    const world = await World.connected();
    await pass(world, 12, 100);
    world.connection.channels[UNORDERED]?.hear('p1');
    await pass(world, 6, 0);
    assert.deepEqual(world.closed, []);
    await pass(world, 2, 0);
    assert.deepEqual(world.closed, ['lost']);
  });

  it('while its browser dies has left eight seconds after that', async () => {
    const world = await World.connected();
    await pass(world, 12, 100);
    await pass(world, 6, 0);
    assert.deepEqual(world.closed, []);
    await pass(world, 3, 0);
    assert.deepEqual(world.closed, ['lost']);
  });

  it('where nothing is counted has left as before', async () => {
    const world = await World.connected();
    world.connection.getStats = () => Promise.reject(new Error('not here'));
    await pass(world, 8, 100);
    assert.deepEqual(world.closed, ['lost']);
  });
});

describe('a connection whose round trips are known', () => {
  it('gives way to a later offer sooner', async () => {
    const world = await World.connected();
    const unordered = world.connection.channels[UNORDERED];
    unordered?.hear(`q${world.time.now - 50}`);
    world.offer('second', 20);
    await world.run(400);
    assert.equal(world.connections.length, 1, 'it has time to answer');
    await world.run(100);
    assert.equal(world.connections.length, 2);
  });
});

describe('signals without end', () => {
  it('make the browser negotiate and check addresses no more than so often', async () => {
    const world = await World.connected();
    const { connection } = world;
    let descriptions = 0;
    connection.setRemoteDescription = (description) => {
      descriptions += 1;
      connection.remoteDescription = description;
      return Promise.resolve();
    };
    const before = connection.candidates.length;
    const candidate = { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 };
    const [first] = world.signals;
    for (let i = 0; i < 2000; i++) {
      const candidates = Array.from({ length: 64 }, () => candidate);
      const description = { type: 'offer', sdp: '' } as const;
      const to = first?.attempt ?? '';
      world.peer.receiveSignal({ attempt: 'first', to, description, candidates }, 100 + i);
      if (i % 20 === 0) await world.run(0);
    }
    await world.run(1000);
    assert.ok(descriptions > 0 && descriptions <= 60, `${descriptions} descriptions`);
    const added = connection.candidates.length - before;
    assert.ok(added > 0 && added <= 300, `${added} candidates`);
    assert.equal(world.connections.length, 1);
  });

  it('count the candidates that descriptions name, and leave the rest of them as it is', async () => {
    const world = await World.connected();
    const { connection } = world;
    const applied: string[] = [];
    connection.setRemoteDescription = (description) => {
      applied.push((description as { readonly sdp?: string }).sdp ?? '');
      connection.remoteDescription = description;
      return Promise.resolve();
    };
    const [first] = world.signals;
    const line = 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n';
    const sdp = `v=0\r\na=mid:0\r\n${line.repeat(500)}a=end-of-candidates\r\n`;
    for (let i = 0; i < 40; i++) {
      const to = first?.attempt ?? '';
      world.peer.receiveSignal(
        { attempt: 'first', to, description: { type: 'offer', sdp } },
        100 + i,
      );
      await world.run(0);
    }
    const named = applied.reduce((sum, text) => sum + text.split(line).length - 1, 0);
    assert.ok(named > 100 && named <= 300, `${named} candidates`);
    assert.equal(applied.at(-1), 'v=0\r\na=mid:0\r\na=end-of-candidates\r\n');
  });

  it('of too many sections or of endless candidates are none', () => {
    const sdp = `v=0\n${'m=audio 9 RTP 0\n'.repeat(600)}`;
    assert.equal(parsePeerSignal({ attempt: 'a', description: { type: 'offer', sdp } }), null);
    const candidates = [{ candidate: 'x'.repeat(2000), sdpMid: null, sdpMLineIndex: 0 }];
    assert.equal(parsePeerSignal({ attempt: 'a', candidates }), null);
    const whole = { attempt: 'a', description: { type: 'offer', sdp: sdp.slice(0, 2000) } };
    assert.equal(parsePeerSignal(whole), whole);
  });

  it('are none where browsers would be held up by them, and twice the largest of our own is not', () => {
    const isTaken = (...lines: readonly string[]): boolean =>
      // However lines end.
      ['\r\n', '\n', '\r'].some((end) => {
        const description = { type: 'offer', sdp: lines.join(end) };
        return parsePeerSignal({ attempt: 'a', description }) !== null;
      });
    const section = (lines: number, codecs: number): string[] => [
      'm=video 9 UDP/TLS/RTP/SAVPF 96',
      ...Array.from({ length: codecs }, (_, i) => `a=rtpmap:${i} x/90000`),
      ...Array<string>(lines - codecs).fill('a=x:1'),
    ];
    const sections = (count: number, lines: number, codecs: number): string[] => [
      'v=0',
      `a=group:BUNDLE ${Array.from({ length: count }, (_, i) => i).join(' ')}`,
      ...Array.from({ length: count }, () => section(lines, codecs)).flat(),
    ];
    // Chromium describes 64 of video with 126 lines and 24 codecs each.
    assert.ok(isTaken(...sections(130, 126, 24)));
    // What Chrome with all of its codecs might.
    assert.ok(isTaken(...sections(64, 180, 45)));
    // Each of these held a page up for half a second to a minute.
    assert.ok(!isTaken(...sections(300, 20, 1)));
    assert.ok(!isTaken(...sections(10, 1000, 1)));
    assert.ok(!isTaken(...sections(1, 500, 450)));
    assert.ok(!isTaken(...section(3, 1), ...section(3000, 1)));
    assert.ok(!isTaken('v=0', `a=group:BUNDLE ${'1 '.repeat(5000)}`, ...section(3, 1)));
    assert.ok(!isTaken('v=0', ...Array<string>(3000).fill('a=x:1')));
    assert.ok(!isTaken(...sections(200, 20, 1).map((line) => line.replace('a=x:', 'a=msid:'))));
    const shouted = sections(1, 500, 450).map((line) => line.replace('rtpmap', 'RTPMAP'));
    assert.ok(!isTaken(...shouted));
  });
});

describe('a peer that relays announce again and again', () => {
  it('is offered to once a second at most, and not given up for that', async () => {
    const world = new World();
    world.offer('first', 10);
    await world.run(100);
    const before = world.signals.length;
    for (let i = 0; i < 200; i++) {
      world.peer._handleSeen('Bob', true);
      world.peer._handleSeen('Bob', false);
    }
    await world.run(100);
    assert.ok(world.signals.length - before <= 1, `${world.signals.length - before} signals`);
    assert.equal(world.peer.state, 'connecting');
    assert.deepEqual(world.closed, []);
    world.connection.open();
    world.connection.bind();
    await world.run(100);
    assert.equal(world.peer.state, 'open');
  });
});

describe('a connection is bound to who is at its ends', () => {
  it('is of no use before the other side has said whom it takes us for, on every lane', async () => {
    const world = new World();
    world.offer('first', 1);
    await world.run(100);
    world.connection.open();
    for (const lane of LANES)
      assert.deepEqual(world.connection.channels[lane]?.sent, [`i${ADA} ${BOB} ${ROOM}`]);
    for (const lane of LANES.slice(1)) world.connection.channels[lane]?.hear(BOUND);
    await world.run(100);
    assert.equal(world.peer.isOpen, false);
    world.connection.channels[LANES[0] ?? 0]?.hear(BOUND);
    await world.run(100);
    assert.equal(world.peer.isOpen, true);
  });

  it('ends where the other side is somebody else, or takes us for somebody else, before anything is said', async () => {
    for (const said of [
      `imallory ${ADA} ${ROOM}`,
      `i${BOB} mallory ${ROOM}`,
      `i${BOB} ${ADA} another`,
      `i${ADA} ${BOB} ${ROOM}`,
      'rsession',
      'j"value"',
      new ArrayBuffer(8),
    ]) {
      const world = new World();
      world.offer('first', 1);
      await world.run(100);
      const { connection } = world;
      connection.open();
      connection.channels[LANES[2] ?? 0]?.hear(said);
      connection.bind();
      await world.run(100);
      assert.equal(connection.connectionState, 'closed');
      assert.equal(world.peer.isOpen, false);
      assert.deepEqual(world.data, []);
      assert.ok(
        connection.channels.every(({ sent }) => sent.length <= 1),
        'only who we are was said',
      );
    }
  });

  it('passes over what overtakes that on the unordered channel', async () => {
    const world = new World();
    world.offer('first', 1);
    await world.run(100);
    world.connection.open();
    world.connection.channels[UNORDERED]?.hear('j"early"');
    world.connection.bind();
    await world.run(100);
    assert.equal(world.peer.isOpen, true);
    assert.deepEqual(world.data, []);
  });
});

describe('an answer that the browser refuses', () => {
  it('begins a connection anew that was never open, a few times, and costs an open one nothing', async () => {
    const world = new World();
    world.offer('first', 10);
    await world.run(100);
    const answer = (): void => {
      const { attempt } = world.signals.at(-1) ?? { attempt: '' };
      const description = { type: 'answer', sdp: '' } as const;
      world.connection.refusesAnswers = true;
      world.peer.receiveSignal({ attempt: 'first', to: attempt, description }, 11);
    };
    answer();
    await world.run(100);
    assert.equal(world.connections.length, 2);
    assert.equal(world.connections[0]?.connectionState, 'closed');
    assert.deepEqual(world.closed, []);
    const open = await World.connected();
    open.connection.refusesAnswers = true;
    const { attempt } = open.signals.at(-1) ?? { attempt: '' };
    open.peer.receiveSignal(
      { attempt: 'first', to: attempt, description: { type: 'answer', sdp: '' } },
      11,
    );
    await open.run(500);
    assert.equal(open.connections.length, 1);
    assert.equal(open.peer.state, 'open');
  });
});

describe('a connection of which no way becomes known', () => {
  it('has none seven seconds after both have said how they are reached, though the browser still checks', async () => {
    const world = new World();
    await world.run(20_000);
    assert.ok(!world.peer.link.hasNoDirectPath, 'the other side has said nothing');
    world.offer('first', 10);
    await world.run(5900);
    assert.ok(!world.peer.link.hasNoDirectPath, 'checks have their time');
    await world.run(1000);
    assert.ok(world.peer.link.hasNoDirectPath);
    world.connection.iceConnectionState = 'connected';
    assert.ok(!world.peer.link.hasNoDirectPath, 'late, and yet a way');
  });

  it('has none either where one that came to nothing was begun anew, and nothing was said since', async () => {
    const world = new World();
    world.offer('first', 10);
    await world.run(5000);
    world.peer.restartConnection();
    assert.equal(world.connections.length, 2);
    assert.ok(!world.peer.link.hasNoDirectPath);
    await world.run(1300);
    assert.equal(world.connection.remoteDescription, null);
    assert.ok(world.peer.link.hasNoDirectPath);
  });
});

describe('a peer that is sent away', () => {
  it('has no connection any more, and what its browser still finds out is told to nobody', async () => {
    const world = await World.connected(directSignaling());
    const candidate = { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host' };
    world.connection.dispatchEvent(Object.assign(new Event('icecandidate'), { candidate }));
    void world.peer.close();
    assert.deepEqual([world.peer.isOpen, world.peer.isDirect], [false, false]);
    const said = world.signals.length;
    await world.run(500);
    assert.equal(world.connection.connectionState, 'connected', 'it lingers');
    assert.equal(world.signals.length, said);
    await world.run(1000);
    assert.equal(world.connection.connectionState, 'closed');
  });
});

describe('a goodbye', () => {
  it('from before the connection that is there ends nothing', async () => {
    const world = await World.connected();
    world.peer.receiveSignal({ attempt: '', bye: true }, 9);
    assert.equal(world.peer.state, 'open');
    world.peer.receiveSignal({ attempt: '', bye: true }, 11);
    assert.deepEqual(world.closed, ['refused-by-peer']);
  });
});
