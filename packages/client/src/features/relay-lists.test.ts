import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type LumameshError, instant } from '@lumamesh/base';
import { type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';
import type { NetHandle, NetPart } from '../feature.ts';
import { RelayBook } from '../net/relay-book.ts';
import { until } from '@lumamesh/testkit';
import { type RelayListsNet, relayLists } from './relay-lists.ts';
import { relayRecord } from '../net/relay-record.test-support.ts';

const URL_OF_LIST = 'https://example.org/relay.txt';

const textOf = (...relays: readonly SignedRelayRecord[]): string =>
  ['# relays', '', ...relays.map(encodeRecordLine)].join('\n');

/** A net with a book, a server with a list, and a clock. */
class World {
  now = 0;
  /** What the server has; `null`: it does not answer. */
  text: string | null = null;
  reads = 0;
  readonly caches: unknown[] = [];
  readonly warnings: string[] = [];
  /** Signatures that are none. */
  readonly forged = new Set<string>();
  readonly faults = new Map<string, LumameshError>();
  readonly book = new RelayBook(() => 0.5);
  readonly part: NetPart;

  constructor() {
    const net = {
      isClosed: false,
      book: this.book,
      options: { logger: { warn: (message: string) => this.warnings.push(message) } },
      platform: {
        now: () => instant(this.now),
        random: () => 0.5,
        verifyRecord: async ({ signature }: SignedRelayRecord) => !this.forged.has(signature),
        scope: { fetch: async (url: string, init: RequestInit) => this.#fetch(url, init) },
      },
      setSeeds: (source: string, relays: readonly SignedRelayRecord[]) =>
        this.book.setSeeds(source, relays),
      reportFault: (key: string, error: LumameshError | null) =>
        error === null ? this.faults.delete(key) : this.faults.set(key, error),
    };
    this.part = relayLists().net?.(net as unknown as NetHandle) ?? {};
  }

  get api(): RelayListsNet {
    return this.part.api as RelayListsNet;
  }

  get ips(): readonly string[] {
    return this.book.entries.map(({ record }) => record.ip).toSorted();
  }

  /** Seconds pass, with a tick each. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.now += 1000;
      this.part.onTick?.(instant(this.now));
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }

  async #fetch(_url: string, init: RequestInit): Promise<Response> {
    this.reads += 1;
    this.caches.push(init.cache);
    if (this.text === null) throw new TypeError('no network');
    return new Response(this.text);
  }
}

describe('lists of relays by URL', () => {
  it('are read again every ten minutes: new relays are known, those that are gone are not', async () => {
    const world = new World();
    world.text = textOf(relayRecord(1), relayRecord(2));
    assert.equal(world.part.takeSource?.(URL_OF_LIST), true);
    await world.pass(1);
    assert.deepEqual(world.ips, ['20.0.1.1', '20.0.2.1']);
    world.text = textOf(relayRecord(2), relayRecord(3));
    await world.pass(500);
    assert.equal(world.reads, 1);
    await world.pass(200);
    assert.equal(world.reads, 2);
    assert.deepEqual(world.ips, ['20.0.2.1', '20.0.3.1']);
    assert.deepEqual(new Set(world.caches), new Set(['no-cache']));
  });

  it('are read soon when no relay answers: a relay that was replaced is found again', async () => {
    const world = new World();
    world.text = textOf(relayRecord(1));
    world.part.takeSource?.(URL_OF_LIST);
    await world.pass(60);
    assert.equal(world.reads, 1);
    const [entry] = world.book.entries;
    assert.ok(entry !== undefined);
    Object.assign(entry, { failures: 4, retryAt: instant(Infinity) });
    // The same address, with another certificate; and one with another key.
    const renewed = relayRecord(1, { sequence: 2, fingerprint: `BB${':BB'.repeat(31)}` });
    world.text = textOf(renewed, relayRecord(9, { ip: '20.0.1.1' }));
    await world.pass(1);
    assert.deepEqual(world.ips, ['20.0.1.1', '20.0.1.1']);
    const known = world.book.get(renewed.nk);
    assert.equal(known?.record.fingerprint, renewed.fingerprint);
    assert.deepEqual([known.failures, known.retryAt], [0, 0], 'it is dialled at once');
  });

  it('are read when the page wakes up, and not over and over', async () => {
    const world = new World();
    world.text = textOf(relayRecord(1));
    world.part.takeSource?.(new URL(URL_OF_LIST));
    await world.pass(1);
    for (let i = 0; i < 10; i++) world.part.onWake?.();
    assert.equal(world.reads, 1);
    await world.pass(40);
    for (let i = 0; i < 10; i++) world.part.onWake?.();
    assert.equal(world.reads, 2);
  });

  it('that cannot be read leave what is known, are told of once they fail, and no longer when they are well', async () => {
    const world = new World();
    world.part.takeSource?.('/relay.txt');
    await world.pass(1);
    assert.equal(world.faults.get('/relay.txt')?.code, 'RELAY_LIST_FAILED');
    world.text = textOf(relayRecord(1));
    await world.pass(31);
    assert.deepEqual(world.ips, ['20.0.1.1']);
    assert.equal(world.faults.size, 0);
    for (const text of [null, '# nothing\n', '<html>', 'luma1.nonsense']) {
      world.text = text;
      await world.pass(700);
      assert.deepEqual(world.ips, ['20.0.1.1'], String(text));
      assert.equal(world.faults.get('/relay.txt')?.code, 'RELAY_LIST_FAILED', String(text));
    }
  });

  it('with a line that cannot be read have all others', async () => {
    const world = new World();
    world.text = `${textOf(relayRecord(1))}\nluma1.nonsense\n${textOf(relayRecord(2))}`;
    world.part.takeSource?.(URL_OF_LIST);
    await world.pass(1);
    assert.deepEqual(world.ips, ['20.0.1.1', '20.0.2.1']);
    assert.equal(world.warnings.length, 1);
    assert.match(world.warnings[0] ?? '', /line 4: /);
  });
});

describe('a hostile list', () => {
  it('puts out nothing that other lists say of a relay', async () => {
    const world = new World();
    world.book.setSeeds('', [relayRecord(1)]);
    const false_ = { ...relayRecord(1, { ip: '20.0.66.6', sequence: 2 ** 47 }) };
    const forged = { ...false_, signature: `${'B'.repeat(85)}A` };
    world.forged.add(forged.signature);
    world.text = textOf(forged, relayRecord(2));
    world.part.takeSource?.(URL_OF_LIST);
    await world.pass(1);
    assert.deepEqual(world.ips, ['20.0.1.1', '20.0.2.1']);
  });

  it('is read no further than any is long, and fills no log', async () => {
    const read = async (text: string): Promise<World> => {
      const world = new World();
      world.text = text;
      world.part.takeSource?.(URL_OF_LIST);
      await until(() => world.faults.size > 0 || world.ips.length > 0, 'it is not read');
      return world;
    };
    const good = textOf(relayRecord(1));
    for (const text of ['x\n'.repeat(5_000_000), `#${' '.repeat(2_000_000)}\n${good}`]) {
      const { faults, warnings } = await read(text);
      assert.match(faults.get(URL_OF_LIST)?.message ?? '', /more than 1 MB/);
      assert.deepEqual(warnings, []);
    }
    const { ips, warnings } = await read(`${'x\n'.repeat(400_000)}${good}`);
    assert.deepEqual(ips, ['20.0.1.1']);
    assert.equal(warnings.length, 16);
  });
});

describe('relays at run time', () => {
  it('are added and removed as records, lines, URLs and node keys', async () => {
    const world = new World();
    world.book.setSeeds('', [relayRecord(1), relayRecord(2)]);
    world.api.addRelays([relayRecord(3), encodeRecordLine(relayRecord(4))]);
    world.api.addRelays(encodeRecordLine(relayRecord(5)));
    assert.equal(world.book.entries.length, 5);
    world.api.removeRelays([relayRecord(3), relayRecord(4).nk, encodeRecordLine(relayRecord(1))]);
    assert.deepEqual(world.ips, ['20.0.2.1', '20.0.5.1']);
    world.text = textOf(relayRecord(1), relayRecord(5), relayRecord(6));
    world.api.addRelays('/relay.txt');
    await world.pass(1);
    assert.deepEqual(world.ips, ['20.0.2.1', '20.0.5.1', '20.0.6.1'], 'what was removed stays so');
    world.api.addRelays(relayRecord(1));
    assert.equal(world.book.entries.length, 4);
    world.api.removeRelays('/relay.txt');
    assert.deepEqual(world.ips, ['20.0.1.1', '20.0.2.1', '20.0.5.1']);
    await world.pass(2000);
    assert.equal(world.reads, 1, 'its list is not read any more');
  });

  it('are refused as a whole where one is none, and nothing happens', () => {
    const world = new World();
    const untyped = world.api as unknown as Record<
      'addRelays' | 'removeRelays',
      (x: unknown) => void
    >;
    for (const wrong of [42, null, undefined, [null], [relayRecord(1), {}], 'luma1.nonsense', [[]]])
      for (const method of ['addRelays', 'removeRelays'] as const)
        assert.throws(() => untyped[method](wrong), { code: 'BAD_RELAY' });
    assert.deepEqual(world.ips, []);
  });
});
