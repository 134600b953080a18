import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { type Instant, instant, later, toBase64Url } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import type { RecordOrigin } from './candidate.ts';
import { DIRECTORY_LIMITS } from './directory-limits.ts';
import type { CheckResult, DirectoryOutput } from './directory-output.ts';
import { RelayDirectory } from './relay-directory.ts';

const MESH = 'A'.repeat(22);
const SECONDS = 1_800_000_000;
let made = 0;

function record(
  name: string,
  ip: string,
  fields: Partial<SignedRelayRecord> = {},
): SignedRelayRecord {
  made += 1;
  return {
    nk: toBase64Url(createHash('sha256').update(name).digest()),
    ip,
    port: 3478,
    meshPort: 7402,
    ufrag: 'luma',
    pwd: '0'.repeat(32),
    fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
    sequence: SECONDS,
    expires: SECONDS + 1000,
    mesh: MESH,
    signature: toBase64Url(createHash('sha512').update(`${name} ${made}`).digest()),
    ...fields,
  };
}

class Bench {
  readonly directory: RelayDirectory;
  now: Instant = instant(0);
  answer: (checked: SignedRelayRecord) => CheckResult | 'later' = () => 'alive';
  readonly outputs: DirectoryOutput[] = [];

  constructor(ownIp = '20.9.9.9') {
    const hash = (algorithm: string, data: Uint8Array): Uint8Array =>
      createHash(algorithm).update(data).digest();
    this.directory = new RelayDirectory({
      nk: 'own',
      mesh: MESH,
      ownIp,
      checksPerSecond: 1000,
      hash,
      verify: ({ signature }) => signature !== 'forged',
      wallTime: { secondsAt: () => SECONDS },
      random: seededRandom(1),
    });
  }

  /** Offers a record. @returns The reason of its verdict, or `null` while there is none. */
  offer(
    offered: SignedRelayRecord,
    origin: RecordOrigin = 'gossip',
    from = 'neighbour',
    address: string | null = null,
  ): string | null {
    const id = this.directory.offer(this.now, offered, origin, from, address);
    this.drain();
    const verdict = this.outputs.findLast(
      (output) => output.type === 'verdict' && output.id === id,
    );
    return verdict?.type === 'verdict' ? verdict.reason : null;
  }

  run(ms: number): void {
    for (const end = later(this.now, ms); this.now < end; this.now = later(this.now, 250)) {
      this.directory.handleTimeout(this.now);
      this.drain();
    }
  }

  drain(): void {
    for (let output = this.directory.poll(); output !== null; output = this.directory.poll()) {
      this.outputs.push(output);
      const answer = output.type === 'check' ? this.answer(output.record) : 'later';
      if (output.type === 'check' && answer !== 'later')
        this.directory.handleChecked(this.now, output.id, answer);
    }
  }
}

describe('the directory of relays', () => {
  it('looks at mesh, address, time and signature before it dials, and dials before it takes', () => {
    const bench = new Bench();
    const reasons: [SignedRelayRecord, string][] = [
      [record('a', '20.0.0.1', { mesh: `${'B'.repeat(21)}A` }), 'otherMesh'],
      [record('a', '10.0.0.1'), 'address'],
      [record('a', '20.0.0.1', { ip6: '::1' }), 'address'],
      [record('a', '20.0.0.1', { sequence: SECONDS + 901 }), 'fromTheFuture'],
      [record('a', '20.0.0.1', { sequence: SECONDS - 8 * 86_400 }), 'stale'],
      [record('a', '20.0.0.1', { expires: SECONDS - 901 }), 'stale'],
      [record('a', '20.0.0.1', { signature: 'forged' }), 'signature'],
    ];
    for (const [offered, reason] of reasons) assert.equal(bench.offer(offered), reason);
    assert.ok(!bench.outputs.some(({ type }) => type === 'check'));
    assert.equal(bench.offer(record('a', '20.0.0.1')), 'checked');
    assert.equal(bench.outputs.filter(({ type }) => type === 'check').length, 1);
    assert.equal(bench.directory.alive().length, 1);
  });

  it('takes private addresses in a private network, and loopback on loopback', () => {
    assert.equal(new Bench('10.0.0.9').offer(record('a', '10.0.0.1')), 'checked');
    assert.equal(new Bench('10.0.0.9').offer(record('a', '127.0.0.1')), 'address');
    assert.equal(new Bench('127.0.0.9').offer(record('a', '127.0.0.1')), 'checked');
  });

  it('takes a later record of the same place without a second look, and of another place with one', () => {
    const bench = new Bench();
    bench.offer(record('a', '20.0.0.1'));
    assert.equal(bench.offer(record('a', '20.0.0.1', { sequence: SECONDS + 1 })), 'renewed');
    assert.equal(bench.offer(record('a', '20.0.0.1', { sequence: SECONDS })), 'older');
    bench.answer = () => 'dead';
    assert.equal(bench.offer(record('a', '20.0.9.9', { sequence: SECONDS + 2 })), 'unreachable');
    assert.deepEqual(
      bench.directory.alive().map(({ ip }) => ip),
      ['20.0.0.1'],
    );
  });

  it('holds few of a prefix, of an address, and of an IPv6 provider', () => {
    const bench = new Bench();
    const { maxPerPrefix, maxPerAddress, maxPerSlash32 } = DIRECTORY_LIMITS;
    const offerSlowly = (name: string, ip: string, port: number): void => {
      bench.offer(record(name, ip, { port }));
      bench.run(1000);
    };
    for (let i = 0; i < 40; i++) offerSlowly(`p${i}`, `20.0.0.${i}`, 3478);
    assert.equal(bench.directory.size, maxPerPrefix);
    for (let i = 0; i < 20; i++) offerSlowly(`q${i}`, '20.0.1.1', 4000 + i);
    assert.equal(bench.directory.size, maxPerPrefix + maxPerAddress);
    for (let i = 0; i < 80; i++) offerSlowly(`r${i}`, `2606:4700:${(i + 1).toString(16)}::1`, 3478);
    assert.equal(bench.directory.size, maxPerPrefix + maxPerAddress + maxPerSlash32);
  });

  it('takes in a newcomer of a full network for one of its most crowded part', () => {
    const bench = new Bench();
    const isKnown = ({ nk }: SignedRelayRecord): boolean => bench.directory.isAlive(nk);
    for (let i = 0; i < 32; i++) {
      bench.offer(record(`p${i}`, `20.0.0.${i >> 2}`, { port: 4000 + i }));
      bench.run(1000);
    }
    const newcomer = record('new', '20.0.0.99');
    bench.offer(newcomer);
    assert.ok(isKnown(newcomer) && bench.directory.size === 32);
    for (let i = 0; i < 64; i++) {
      bench.offer(record(`r${i}`, `2606:4700:${(i >> 3).toString(16)}::${i}`));
      bench.run(1000);
    }
    const another = record('another', '2606:4700:99::1');
    bench.offer(another);
    assert.ok(isKnown(another));
  });

  it('dials a place once in ten seconds and a network seldom, whatever records of however many keys say', () => {
    const bench = new Bench();
    bench.answer = () => 'dead';
    for (let i = 0; i < 600; i++) {
      const place = { ip: '20.0.0.1', port: 4000 + (i % 2) };
      bench.offer(record(`a${i}`, place.ip, place), 'gossip', `neighbour ${i % 30}`);
      bench.run(250);
    }
    const dials = bench.outputs.filter(({ type }) => type === 'check').length;
    assert.ok(dials <= 2 * 16, `${dials} in 150 s`);
    for (let i = 0; i < 1200; i++) {
      bench.offer(record(`b${i}`, `20.0.1.${i % 250}`), 'gossip', `neighbour ${i % 30}`);
      bench.run(250);
    }
    const more = bench.outputs.filter(({ type }) => type === 'check').length - dials;
    assert.ok(more <= 330, `${more} in 300 s`);
  });

  it('does not dial a relay that lives for records of other keys that point at it, also by IPv6', () => {
    const bench = new Bench();
    bench.offer(record('bob', '20.0.0.1', { ip6: '2606:4700::1' }));
    const isCheck = ({ type }: DirectoryOutput): boolean => type === 'check';
    const before = bench.outputs.filter(isCheck).length;
    for (let i = 0; i < 50; i++) {
      assert.equal(bench.offer(record(`a${i}`, '20.0.0.1')), 'endpointTaken');
      const other = record(`b${i}`, '20.0.9.1', { ip6: '2606:4700::1' });
      assert.equal(bench.offer(other), 'endpointTaken');
    }
    bench.run(20_000);
    assert.ok(bench.outputs.filter(isCheck).length - before <= 3);
    // Once it is gone, whoever came in its place is looked at.
    bench.answer = ({ nk }) => (nk === record('new', '').nk ? 'alive' : 'dead');
    bench.offer(record('new', '20.0.0.1'));
    bench.run(11_000);
    assert.equal(bench.offer(record('new', '20.0.0.1')), 'checked');
  });

  it('lets a relay say hello from its own address while strangers’ records name its place', () => {
    const bench = new Bench();
    bench.answer = () => 'later';
    for (let i = 0; i < 30; i++)
      bench.offer(record(`a${i}`, '20.0.0.1'), 'gossip', `neighbour ${i}`);
    bench.answer = () => 'alive';
    assert.equal(bench.offer(record('bob', '20.0.0.1'), 'hello', 'bob', '20.0.0.1'), 'checked');
  });

  it('takes addresses of documents only where it has one itself, and none that no relay may have', () => {
    for (const ip of ['192.0.2.1', '198.51.100.1', '203.0.113.1']) {
      assert.equal(new Bench().offer(record('a', ip)), 'address', ip);
      assert.equal(new Bench('203.0.113.9').offer(record('a', ip)), 'checked', ip);
    }
    const ip6s = ['fd00::1', '::1', 'fe80::1', 'ff02::1', '2001:db8::1', '::', '64:ff9b::1'];
    for (const ip6 of [...ip6s, '::ffff:20.0.0.1', '2002:a00:1::1', '3fff::1'])
      assert.equal(new Bench().offer(record('a', '20.0.0.1', { ip6 })), 'address', ip6);
  });

  it('takes a relay without a free session by the link that it said hello on, if that comes from its address', () => {
    const bench = new Bench();
    bench.answer = () => 'full';
    assert.equal(bench.offer(record('a', '20.0.0.1')), 'unproven');
    assert.equal(bench.offer(record('b', '20.0.1.1'), 'hello', 'b', '20.0.9.9'), 'unproven');
    assert.equal(bench.offer(record('c', '20.0.2.1'), 'hello', 'c', '20.0.2.1'), 'checked');
  });

  it('suspects who does not answer, says so once, drops it after four tries, and asks again in the end', () => {
    const bench = new Bench();
    bench.offer(record('a', '20.0.0.1'));
    bench.run(2000);
    bench.answer = () => 'dead';
    const nk = bench.directory.alive()[0]?.nk ?? '';
    bench.directory.suspect(bench.now, nk);
    bench.run(1000);
    assert.ok(!bench.directory.isAlive(nk) && bench.directory.get(nk) !== null);
    bench.run(100_000);
    assert.equal(bench.directory.get(nk), null);
    const kinds = bench.outputs.map(({ type }) => type);
    assert.equal(kinds.filter((type) => type === 'suspect').length, 1);
    assert.equal(kinds.filter((type) => type === 'dead').length, 1);
    bench.answer = () => 'alive';
    bench.run(10_000);
    assert.ok(bench.directory.isAlive(nk));
  });

  it('blames nobody when this machine could not ask', () => {
    const bench = new Bench();
    bench.offer(record('a', '20.0.0.1'));
    bench.run(2000);
    bench.answer = () => 'unknown';
    const nk = bench.directory.alive()[0]?.nk ?? '';
    bench.directory.suspect(bench.now, nk);
    bench.run(60_000);
    assert.ok(bench.directory.isAlive(nk));
  });

  it('asks known relays again within half an hour', () => {
    const bench = new Bench();
    for (let i = 0; i < 20; i++) bench.offer(record(`a${i}`, `20.0.${i}.1`));
    const before = bench.outputs.filter(({ type }) => type === 'check').length;
    bench.run(1_800_000);
    assert.ok(bench.outputs.filter(({ type }) => type === 'check').length >= before + 20);
  });

  it('gives up on a check whose answer never comes', () => {
    const bench = new Bench();
    bench.answer = () => 'later';
    assert.equal(bench.offer(record('a', '20.0.0.1')), null);
    bench.run(31_000);
    assert.ok(
      bench.outputs.some((output) => output.type === 'verdict' && output.reason === 'unreachable'),
    );
  });

  it('says when somebody shows a newer record of its own key', () => {
    const bench = new Bench();
    const own = record('x', '20.0.0.1', { nk: 'own' });
    bench.directory.setOwn(own);
    bench.offer({ ...record('x', '20.0.5.1', { nk: 'own' }), sequence: SECONDS + 5 });
    assert.ok(bench.outputs.some(({ type }) => type === 'ownRecord'));
    assert.equal(bench.directory.size, 0);
  });
});
