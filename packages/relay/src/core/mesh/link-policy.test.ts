import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import type { DialTarget } from './dial-choice.ts';
import { LINK_LIMITS } from './link-limits.ts';
import { LinkPolicy, type PolicyLink } from './link-policy.ts';

const NONE: ReadonlySet<string> = new Set();

function record(name: string, ip: string): SignedRelayRecord {
  // Only what the policy looks at.
  return { nk: name, ip, meshPort: 7402 } as unknown as SignedRelayRecord;
}

function relays(count: number, perPrefix = 1): SignedRelayRecord[] {
  return Array.from({ length: count }, (_, i) =>
    record(`n${i}`, `20.0.${Math.floor(i / perPrefix)}.${1 + (i % perPrefix)}`),
  );
}

/** A policy with the links that it decides over. */
class Bench {
  readonly policy: LinkPolicy;
  readonly links = new Map<string, PolicyLink & { place: string | null }>();

  constructor(peers: readonly { readonly host: string; readonly port: number }[] = []) {
    this.policy = new LinkPolicy({ nk: 'own', peers, random: seededRandom(4) });
  }

  open(ms: number, nk: string, isOutbound: boolean, prefix: string, isReady = true): void {
    const openedAt = instant(ms);
    this.links.set(nk, {
      nk,
      isOutbound,
      prefix,
      isLocal: false,
      openedAt,
      isReady,
      isEnding: false,
      place: null,
    });
  }

  /** The dial reaches the relay that it is for. */
  connect(ms: number, target: DialTarget, isReady = true): void {
    const { nk, host, port } = target;
    assert.ok(nk !== null);
    this.open(ms, nk, true, host.replace(/\d+$/, '0/24'), isReady);
    const link = this.links.get(nk);
    if (link !== undefined) link.place = `${host}:${port}`;
    this.policy.dials.noteDialed(instant(ms), target, nk);
  }

  /** Asks the policy; who is to be hung up on goes. */
  decide(
    ms: number,
    known: readonly SignedRelayRecord[] = [],
    wanted = NONE,
    isConverging = false,
  ): ReturnType<LinkPolicy['decide']> {
    const decision = this.policy.decide(
      instant(ms),
      this.links.values(),
      known,
      wanted,
      isConverging,
    );
    for (const { nk } of decision.hangUps) this.links.delete(nk);
    return decision;
  }

  /** Lets the policy dial for a while. @returns The names that it linked to. */
  grow(known: readonly SignedRelayRecord[], wanted = NONE, steps = 200): string[] {
    const linked: string[] = [];
    for (let step = 0; step < steps; step++) {
      for (const target of this.decide(step * 500, known, wanted).dials) {
        if (target.nk === null) continue;
        linked.push(target.nk);
        this.connect(step * 500, target);
      }
    }
    return linked;
  }
}

describe('the links a relay keeps', () => {
  it('are a few outbound ones, into as many networks as there are', () => {
    const linked = new Bench().grow(relays(200, 10));
    assert.equal(linked.length, LINK_LIMITS.minOutbound);
    assert.equal(
      new Set(linked.map((name) => Math.floor(Number(name.slice(1)) / 10))).size,
      LINK_LIMITS.minOutbound,
    );
    assert.equal(new Bench().grow(relays(4, 10)).length, 4, 'one network, where there is no other');
  });

  it('are made slowly, and later while others are still being found', () => {
    const bench = new Bench();
    const known = relays(50);
    let dials = 0;
    for (let ms = 0; ms < 5000; ms += 250) {
      for (const target of bench.decide(ms, known, NONE, true).dials) {
        if (target.nk === null) continue;
        dials += 1;
        bench.connect(ms, target, false);
      }
    }
    assert.equal(dials, 2);
  });

  it('to homes of rooms come besides, at once', () => {
    const wanted = new Set(['n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9']);
    const dialled = new Bench().decide(0, relays(50), wanted).dials.map(({ nk }) => nk);
    for (const name of wanted) assert.ok(dialled.includes(name), name);
  });

  it('to the places that the operator named are tried first, with waits that grow, and never to oneself twice in a row', () => {
    const bench = new Bench([{ host: 'first.example.org', port: 7402 }]);
    const dials: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 250) {
      const decision = bench.decide(ms);
      assert.deepEqual(decision.hangUps, []);
      for (const target of decision.dials) {
        dials.push(ms);
        bench.policy.dials.noteDialed(instant(ms), target, null);
      }
    }
    assert.ok(dials.length >= 5 && dials.length <= 12, dials.join(' '));
    const own = new Bench([{ host: 'me.example.org', port: 7402 }]);
    const [target] = own.decide(0).dials;
    assert.ok(target !== undefined);
    own.policy.dials.noteDialed(instant(0), target, 'own');
    for (let ms = 0; ms < 120_000; ms += 250)
      assert.deepEqual(own.decide(ms), { hangUps: [], dials: [] });
  });

  it('of relays that show no record in half a minute end', () => {
    const bench = new Bench();
    bench.open(0, 'silent', false, '20.0.0.0/24', false);
    bench.open(0, 'proven', false, '20.0.1.0/24');
    assert.deepEqual(bench.decide(29_000), { hangUps: [], dials: [] });
    assert.deepEqual(bench.decide(31_000), {
      hangUps: [{ nk: 'silent', reason: 'noRecord' }],
      dials: [],
    });
  });

  it('that are ending already are not ended again', () => {
    const bench = new Bench();
    bench.open(0, 'silent', false, '20.0.0.0/24', false);
    const links = [...bench.links.values()].map((link) => ({ ...link, isEnding: true }));
    assert.deepEqual(bench.policy.decide(instant(31_000), links, [], NONE).hangUps, []);
  });

  it('inbound are trimmed by network, newcomers first; who has been there stays', () => {
    const bench = new Bench();
    for (let i = 0; i < 60; i++) bench.open(i, `crowd${i}`, false, '66.6.6.0/24');
    for (let i = 0; i < 90; i++) bench.open(1000 + i, `n${i}`, false, `20.0.${i}.0/24`);
    const ended = bench.decide(2000).hangUps.map(({ nk }) => nk);
    assert.ok(ended.every((name) => name.startsWith('crowd')));
    assert.ok(!ended.includes('crowd0'));
    assert.equal(bench.links.size, LINK_LIMITS.maxInbound);
  });

  it('are changed for others now and then', () => {
    const bench = new Bench();
    const known = relays(100);
    bench.grow(known);
    let rotated = 0;
    for (let ms = 100_000; ms < 3 * 3_600_000; ms += 10_000) {
      const { hangUps, dials } = bench.decide(ms, known);
      rotated += hangUps.length;
      for (const target of dials) bench.connect(ms, target);
    }
    assert.ok(rotated >= 6 && rotated <= 30, `${rotated} in three hours`);
  });
});
