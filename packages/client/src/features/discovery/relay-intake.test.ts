import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { RelayBook } from '../../net/relay-book.ts';
import { loadRelays, serialiseRelays } from './relay-cache.ts';
import { takeRelay, wantsRelay } from './relay-intake.ts';
import { relayRecord } from '../../net/relay-record.test-support.ts';

const NOW = 1_800_000_000;
const MESH = 'AAECAwQFBgcICQoLDA0ODw';

/**
 * A record that looks signed: the book leaves signatures to its caller. In a /24 with its neighbours.
 */
const record = (i: number, change: Partial<SignedRelayRecord> = {}): SignedRelayRecord =>
  relayRecord(i, {
    ip: `20.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
    expires: NOW + 1000,
    mesh: MESH,
    meshPort: 7402,
    ...change,
  });

/** Relays of networks of their own. */
const relay = (i: number, change: Partial<SignedRelayRecord> = {}): SignedRelayRecord =>
  record(i * 256, change);

function book(seeds: readonly SignedRelayRecord[] = [relay(1)]): RelayBook {
  const made = new RelayBook(seededRandom(1));
  made.setSeeds('', seeds);
  return made;
}

const names = (known: RelayBook): string[] => known.entries.map(({ record: { nk } }) => nk);

describe('what a page knows of relays', () => {
  it('grows by what relays tell of their own mesh, while it is fresh, and of addresses that they may speak for', () => {
    const known = book([relay(1), relay(2, { mesh: 'other' }), relay(3, { ip: '10.0.0.1' })]);
    const [announcer, other, local] = [relay(1).nk, relay(2).nk, relay(3).nk];
    assert.ok(wantsRelay(known, relay(9), announcer, NOW));
    assert.ok(!wantsRelay(known, relay(9), other, NOW), 'of another mesh than its announcer');
    assert.ok(!wantsRelay(known, relay(9), relay(8).nk, NOW), 'a announcer that nobody knows');
    assert.ok(!wantsRelay(known, relay(9, { expires: NOW - 1 }), announcer, NOW));
    assert.ok(
      !wantsRelay(known, relay(9, { ip: '10.0.0.2' }), announcer, NOW),
      'a public relay on our own network',
    );
    assert.ok(!wantsRelay(known, relay(9, { ip: '127.0.0.1' }), local, NOW));
    assert.ok(wantsRelay(known, relay(9, { ip: '10.0.0.2' }), local, NOW));
    assert.ok(!wantsRelay(known, relay(9, { ip: '224.0.0.1' }), announcer, NOW));
  });

  it('grows by no relay whose other address is of our own network', () => {
    const known = book();
    for (const ip6 of ['fd00::1', '::1', 'fe80::1', '::ffff:10.0.0.1', 'ff02::1'])
      assert.ok(!wantsRelay(known, relay(9, { ip6 }), relay(1).nk, NOW), ip6);
    assert.ok(wantsRelay(known, relay(9, { ip6: '2a00:1450::1' }), relay(1).nk, NOW));
  });

  it('does not let relays move into a network that is full', () => {
    const known = book();
    const announcer = relay(1).nk;
    for (let i = 0; i < 4; i++) takeRelay(known, record(5 * 65_536 + i), announcer, NOW);
    takeRelay(known, relay(50), announcer, NOW);
    const moved = { ...relay(50), sequence: 2, ip: record(5 * 65_536 + 99).ip };
    takeRelay(known, moved, announcer, NOW);
    assert.equal(known.get(relay(50).nk)?.record.ip, relay(50).ip);
    takeRelay(known, { ...relay(50), sequence: 3, port: 4000 }, announcer, NOW);
    assert.equal(known.get(relay(50).nk)?.record.port, 4000);
  });

  it('takes a newer record for an older one, seeds included, and never an older one', () => {
    const known = book();
    const nk = relay(1).nk;
    takeRelay(known, relay(1, { sequence: 5, port: 4000 }), nk, NOW);
    assert.equal(known.get(nk)?.record.port, 4000);
    assert.ok(known.get(nk)?.isSeed);
    takeRelay(known, relay(1, { sequence: 4, port: 5000 }), nk, NOW);
    assert.equal(known.get(nk)?.record.port, 4000);
  });

  it('is not changed by 5 000 Sybils that one relay tells of, in as many networks', () => {
    const known = book();
    const announcer = relay(1).nk;
    const helper = relay(2).nk;
    for (let i = 2; i < 32; i++) {
      takeRelay(known, relay(i), announcer, NOW);
      takeRelay(known, relay(i), helper, NOW);
      const entry = known.get(relay(i).nk);
      assert.ok(entry !== undefined);
      entry.isProven = true;
    }
    const before = names(known);
    let wanted = 0;
    for (let i = 1000; i < 6000; i++) {
      if (wantsRelay(known, relay(i), helper, NOW)) wanted += 1;
      takeRelay(known, relay(i), helper, NOW);
    }
    assert.ok(wanted <= 32, `${wanted} signatures were worth checking`);
    assert.deepEqual(names(known).slice(0, before.length), before, 'nobody was pushed out');
    assert.ok(known.entries.length <= before.length + 32);
  });

  it('holds few of one network, and few in all, and makes place only for what was tried and did not answer', () => {
    const known = book();
    const announcer = relay(1).nk;
    for (let i = 0; i < 10; i++) takeRelay(known, record(5 * 65_536 + i), announcer, NOW);
    assert.equal(known.entries.length, 5);
    const [failed] = known.entries.filter(({ isSeed }) => !isSeed);
    assert.ok(failed !== undefined);
    assert.ok(!wantsRelay(known, record(5 * 65_536 + 77), announcer, NOW));
    failed.failures = 2;
    takeRelay(known, record(5 * 65_536 + 77), announcer, NOW);
    assert.ok(
      known.get(record(5 * 65_536 + 77).nk) !== undefined &&
        known.get(failed.record.nk) === undefined,
    );
    for (let i = 100; i < 2000; i++) {
      takeRelay(known, relay(i), announcer, NOW);
      const entry = known.get(relay(i).nk);
      if (entry !== undefined) entry.isProven = true;
    }
    assert.equal(known.entries.length, 256);
    const seed = known.get(announcer);
    assert.ok(seed !== undefined);
    seed.failures = 100;
    takeRelay(known, relay(3000), announcer, NOW);
    assert.ok(known.get(announcer) !== undefined, 'the page\u2019s own relays stay');
  });
});

describe('what a page remembers of relays', () => {
  it('comes back on the next visit: proven ones first, with a dead seed and without', () => {
    const known = book();
    for (let i = 2; i < 90; i++) takeRelay(known, relay(i), relay(i % 2 === 0 ? 1 : 2).nk, NOW);
    const entry = known.get(relay(20).nk);
    assert.ok(entry !== undefined);
    entry.isProven = true;
    entry.connectMs = 41.7;
    entry.isTcp = true;
    const text = serialiseRelays(known);
    const again = book();
    loadRelays(again, text, NOW);
    assert.ok(again.entries.length > 30 && again.entries.length <= 48);
    assert.deepEqual(
      [
        again.get(relay(20).nk)?.isProven,
        again.get(relay(20).nk)?.connectMs,
        again.get(relay(20).nk)?.isSeed,
        again.entries.filter(({ isTcp }) => isTcp).map(({ record }) => record.nk),
      ],
      [true, 42, false, [relay(20).nk]],
    );
    const alone = new RelayBook(seededRandom(2));
    loadRelays(alone, text, NOW);
    assert.ok(alone.entries.length > 30, 'a page that names no relay lives on what it remembers');
  });

  it('is never more than half of what one relay has told', () => {
    const known = book();
    for (let i = 2; i < 60; i++) {
      takeRelay(known, relay(i), relay(1).nk, NOW);
      const entry = known.get(relay(i).nk);
      if (entry !== undefined) entry.isProven = true;
    }
    const again = new RelayBook(seededRandom(2));
    loadRelays(again, serialiseRelays(known), NOW);
    assert.equal(again.entries.length, 1 + 24);
  });

  it('is of the meshes of the page\u2019s own relays only, and not what has expired', () => {
    const known = book();
    takeRelay(known, relay(2), relay(1).nk, NOW);
    const elsewhere = book([relay(7, { mesh: 'other' })]);
    loadRelays(elsewhere, serialiseRelays(known), NOW);
    assert.equal(elsewhere.entries.length, 1);
    const later = book();
    loadRelays(later, serialiseRelays(known), NOW + 5000);
    assert.equal(later.entries.length, 1);
  });

  it('is poisoned by nobody: no addresses of our own network, few of one network, and never in the place of the page\u2019s own', () => {
    const poison = [
      ...Array.from({ length: 20 }, (_, i) => record(9 * 65_536 + i)),
      relay(300, { ip: '10.0.0.7' }),
      relay(301, { ip: '127.0.0.1' }),
    ];
    const known = book();
    loadRelays(known, JSON.stringify(poison.map((one) => [encodeRecordLine(one), 0])), NOW);
    assert.equal(known.entries.length, 1 + 4);
    assert.ok(known.get(relay(1).nk)?.isSeed);
  });

  it('may be any rubbish', () => {
    for (const text of [
      '',
      '{',
      'null',
      '7',
      '[]',
      '[1]',
      '[["x",1]]',
      '[["luma1.AAAA",-1],null,["a"]]',
      '{"length":3}',
      JSON.stringify([[{}, 1]]),
    ]) {
      const known = book();
      loadRelays(known, text, NOW);
      assert.equal(known.entries.length, 1);
    }
  });
});
