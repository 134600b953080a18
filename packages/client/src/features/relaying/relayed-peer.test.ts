import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Instant, instant } from '@lumamesh/base';
import { VirtualTime } from '@lumamesh/testkit';
import type { PeerHandle } from '../../feature.ts';
import { RelayedPeer } from './relayed-peer.ts';

/*
 * Two peers, the network between them, and relays that come and go, in virtual time. Browsers and
 * a relay that relays take part in tests/nat.
 */
const SIGNAL_MS = 50;
const CHECKS_MS = 300;

class Side {
  readonly world: World;
  readonly id: string;
  readonly isPolite: boolean;
  readonly part: RelayedPeer;
  other!: Side;
  /** Relays whose credentials it has. */
  held: string[] = [];
  known: string[] = [];
  servers: readonly RTCIceServer[] = [];
  /** By which the browser has gathered. */
  gathered: string[] = [];
  lacksUdp = false;
  mayBeForwarded = false;
  needsConnection = false;
  state = 'connecting';
  isOpen = false;
  /** `none`, `direct`, or by which relay. */
  path = 'none';
  connection: RTCPeerConnection | null = null;
  heardAt = 0;
  restarts = 0;
  reroutes = 0;
  hasOffered = false;
  neededChanges = 0;
  readonly told: string[] = [];
  #statusListener = (): void => undefined;

  constructor(world: World, id: string, isPolite: boolean) {
    this.world = world;
    this.id = id;
    this.isPolite = isPolite;
    const peer = this.#handle();
    this.part = new RelayedPeer(peer, {
      _relays: () => this.held,
      _serverOf: (nk) => (this.held.includes(nk) ? { urls: [nk] } : null),
      _known: () => this.known,
      _lacksUdp: () => this.lacksUdp,
      _mayBeForwarded: () => this.mayBeForwarded,
      _handleNeeds: () => (this.neededChanges += 1),
      _handleClosed: () => undefined,
    });
  }

  /** What the peer is to its part. */
  #handle(): PeerHandle {
    const { world, id, isPolite } = this;
    const live = {
      needsConnection: () => this.needsConnection,
      state: () => this.state,
      isOpen: () => this.isOpen,
      isDirect: () => this.path !== 'none',
      connection: () => this.connection,
    };
    const link = {
      ask: () => world.ask(this),
      wasHeardSince: (at: Instant) => this.heardAt > at,
      useServers: (servers: readonly RTCIceServer[], restarts: boolean) => {
        this.servers = servers;
        if (restarts) world.restart(this);
      },
    };
    Object.defineProperty(link, 'hasPath', { get: live.isDirect });
    Object.defineProperty(link, 'hasOffered', { get: () => this.hasOffered });
    const peer = {
      id,
      isPolite,
      link,
      platform: {
        now: () => world.time.now,
        setTimer: (ms: number, run: () => void) => {
          let isCancelled = false;
          world.time.after(ms, () => isCancelled || run());
          return () => (isCancelled = true);
        },
      },
      on: (_event: string, listener: () => void) => {
        this.#statusListener = listener;
        return () => undefined;
      },
      emit: (_event: string, path: string) => this.told.push(path),
      reroute: () => (this.reroutes += 1),
      onListenerError: (error: unknown) => assert.fail(String(error)),
    };
    for (const [name, get] of Object.entries(live)) Object.defineProperty(peer, name, { get });
    return peer as unknown as PeerHandle;
  }

  gather(): void {
    if (this.gathered.length === 0) this.servers = this.part.iceServers();
    this.gathered = this.servers.map(({ urls }) => String(urls));
  }

  connect(path: string): void {
    this.path = path;
    this.isOpen = true;
    this.state = 'open';
    this.heardAt = this.world.time.now;
    this.connection ??= new Connection(this) as unknown as RTCPeerConnection;
    this.part.onDirect(this.connection);
    this.#statusListener();
  }
}

class Connection extends EventTarget {
  readonly #side: Side;

  constructor(side: Side) {
    super();
    this.#side = side;
  }

  async getStats(): Promise<ReadonlyMap<string, object>> {
    const candidateType = this.#side.path === 'direct' ? 'srflx' : 'relay';
    return new Map<string, object>([
      ['p', { id: 'p', type: 'candidate-pair', selected: true, localCandidateId: 'l' }],
      ['l', { id: 'l', type: 'local-candidate', candidateType }],
    ]);
  }
}

class World {
  readonly time = new VirtualTime();
  readonly ada = new Side(this, 'ada', true);
  readonly bob = new Side(this, 'bob', false);
  readonly dead = new Set<string>();
  isDirectPossible = false;

  constructor(held: readonly string[] = ['r1', 'r2']) {
    for (const side of [this.ada, this.bob]) {
      side.other = side === this.ada ? this.bob : this.ada;
      side.held = [...held];
      side.known = [...held];
    }
  }

  /** A side offers (again): the other one answers, and then both check. */
  restart(side: Side): void {
    side.restarts += 1;
    side.hasOffered = true;
    side.other.hasOffered = false;
    side.gather();
    const said = (from: Side): Readonly<Record<string, unknown>> =>
      JSON.parse(JSON.stringify(from.part.describe())) as Record<string, unknown>;
    const offer = said(side);
    this.time.after(SIGNAL_MS, () => {
      side.other.part.onDescription(offer);
      side.other.gather();
      const answer = said(side.other);
      this.time.after(SIGNAL_MS, () => {
        side.part.onDescription(answer);
        this.time.after(CHECKS_MS, () => this.check());
      });
    });
  }

  check(): void {
    const relay = this.ada.gathered.find(
      (nk) => this.bob.gathered.includes(nk) && !this.dead.has(nk),
    );
    const path = this.isDirectPossible ? 'direct' : relay;
    if (path === undefined) return;
    this.ada.connect(path);
    this.bob.connect(path);
  }

  ask(side: Side): void {
    if (this.dead.has(side.path)) return;
    this.time.after(20, () => {
      side.heardAt = side.other.heardAt = this.time.now;
    });
  }

  async run(ms: number, tick = 100): Promise<void> {
    for (const end: Instant = instant(this.time.now + ms); this.time.now < end;) {
      this.time.runUntil(() => false, tick);
      for (let i = 0; i < 10; i++) await Promise.resolve();
      for (const { part } of [this.ada, this.bob]) part.onTick();
    }
  }

  begin(): void {
    this.restart(this.bob);
  }
}

describe('two peers', () => {
  it('that find a direct path are not relayed: no relay is asked for anything', async () => {
    const world = new World();
    world.isDirectPossible = true;
    world.begin();
    await world.run(60_000);
    assert.deepEqual([world.ada.servers, world.bob.servers], [[], []]);
    assert.equal(world.ada.part.api.path, 'direct');
    assert.deepEqual(world.ada.told, ['direct']);
    assert.equal(world.bob.restarts, 1);
  });

  it('without one are relayed within a second and a half by a relay that both hold', async () => {
    const world = new World();
    world.bob.held = ['r9', 'r2', 'r1'];
    world.begin();
    await world.run(1500);
    assert.deepEqual([world.ada.path, world.bob.path], ['r2', 'r2']);
    assert.equal(world.ada.part.api.path, 'relayed');
    assert.deepEqual([world.ada.restarts, world.bob.restarts], [0, 2], 'one of the two began');
    await world.run(60_000);
    assert.equal(world.bob.restarts, 2, 'and it stays so');
  });

  it('without UDP are relayed at once, or after one restart where only who answers knows', async () => {
    for (const [offers, answers, restarts] of [
      [true, true, 1],
      [true, false, 1],
      [false, true, 2],
    ] as const) {
      const world = new World();
      world.bob.lacksUdp = offers;
      world.ada.lacksUdp = answers;
      world.begin();
      await world.run(500 * restarts);
      assert.deepEqual([world.ada.path, world.bob.path], ['r1', 'r1']);
      await world.run(30_000);
      assert.deepEqual([world.ada.restarts, world.bob.restarts], [0, restarts]);
    }
  });

  it('are relayed by another within three seconds when the relay vanishes', async () => {
    const world = new World();
    world.begin();
    await world.run(2000);
    const vanished = world.ada.path;
    world.dead.add(vanished);
    await world.run(3000);
    assert.ok(world.ada.path !== vanished && world.ada.path !== 'none', world.ada.path);
    assert.ok(world.ada.reroutes + world.bob.reroutes > 0, 'signals go by all relays');
  });

  it('are so by a relay, too, that either came to hold after they had last described themselves', async () => {
    const world = new World(['r1']);
    world.begin();
    await world.run(2000);
    for (const side of [world.ada, world.bob]) side.held = side.known = ['r1', 'r2'];
    world.dead.add('r1');
    await world.run(3000);
    assert.equal(world.ada.path, 'r2');
  });

  it('are relayed by another when the first one makes no path', async () => {
    const world = new World();
    world.dead.add('r1');
    world.begin();
    await world.run(12_000);
    assert.equal(world.bob.path, 'r2');
  });

  it('go back to a direct path when there is one, and let the relay go', async () => {
    const world = new World();
    world.begin();
    await world.run(2000);
    world.isDirectPossible = true;
    world.ada.part._handleWake();
    await world.run(3000);
    assert.equal(world.ada.part.api.path, 'direct');
    assert.deepEqual(world.ada.told, ['relayed', 'direct']);
    await world.run(20_000);
    assert.deepEqual([world.ada.servers, world.bob.servers], [[], []]);
    const { restarts } = world.bob;
    await world.run(100_000);
    assert.equal(world.bob.restarts, restarts);
  });

  it('who hold no relay together look for each other at one that both know', async () => {
    const world = new World([]);
    for (const side of [world.ada, world.bob]) side.known = ['r5', 'r6'];
    world.begin();
    await world.run(3000);
    assert.deepEqual([...world.ada.part._needs], ['r5', 'r6']);
    for (const side of [world.bob, world.ada]) {
      side.held = ['r5'];
      side.part._handleOffered('r5');
      await world.run(100);
    }
    await world.run(2000);
    assert.equal(world.ada.path, 'r5');
  });

  it('of whom one has no relay that relays, and knows none, stay as they are', async () => {
    const world = new World();
    world.ada.held = world.ada.known = [];
    world.begin();
    await world.run(60_000);
    assert.equal(world.ada.path, 'none');
    assert.ok(world.bob.restarts < 20, `${world.bob.restarts} offers in a minute`);
  });

  it('leave it to members who forward for a while, unless there is more to say', async () => {
    for (const needsConnection of [false, true]) {
      const world = new World();
      for (const side of [world.ada, world.bob])
        Object.assign(side, { mayBeForwarded: true, needsConnection });
      world.begin();
      await world.run(3000);
      assert.equal(world.ada.path !== 'none', needsConnection);
      // The one is forwarded for: nothing more is asked of relays.
      if (!needsConnection) for (const side of [world.ada, world.bob]) side.isOpen = true;
      await world.run(20_000);
      assert.equal(world.ada.path !== 'none', needsConnection);
    }
  });

  it('hand new credentials to a connection that is relayed by them', async () => {
    const world = new World();
    world.begin();
    await world.run(2000);
    const { restarts } = world.bob;
    world.bob.part._handleOffered('r1');
    await world.run(1000);
    assert.equal(world.bob.restarts, restarts + 1);
    assert.equal(world.bob.path, 'r1');
  });

  it('need nothing any more when they part', async () => {
    const world = new World([]);
    world.ada.known = ['r5'];
    world.begin();
    await world.run(3000);
    assert.equal(world.ada.part._needs.size, 1);
    world.ada.state = 'closed';
    world.ada.part.onClose();
    assert.equal(world.ada.part._needs.size, 0);
    const { restarts } = world.ada;
    await world.run(30_000);
    assert.equal(world.ada.restarts, restarts);
  });
});

describe('what a stranger says of relays', () => {
  it('is taken as far as it names relays, and costs no connection', async () => {
    const world = new World();
    for (const said of [
      { relays: 7, relay: {} },
      { relays: Array.from({ length: 10_000 }, (_, i) => `x${i}`), relay: 'y'.repeat(100_000) },
      { relays: [null, {}, ['r1']], relay: 'unknown' },
      { relays: undefined },
    ]) {
      world.ada.part.onDescription(said);
      await world.run(100);
    }
    assert.equal(world.ada.part._needs.size, 0);
    assert.deepEqual(world.ada.servers, []);
  });
});
