import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { LINK_LIMITS, LinkPolicy } from './link-policy.ts';

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

function policyWith(
  peers: readonly { readonly host: string; readonly port: number }[] = [],
): LinkPolicy {
  return new LinkPolicy({ nk: 'own', peers, random: seededRandom(4) });
}

/** Lets the policy dial for a while, and answers the names that it linked to. */
function grow(
  policy: LinkPolicy,
  known: readonly SignedRelayRecord[],
  wanted = NONE,
  fromMs = 0,
  steps = 200,
): string[] {
  const linked: string[] = [];
  for (let step = 0; step < steps; step++) {
    const now = instant(fromMs + step * 500);
    for (const output of policy.decide(now, known, wanted)) {
      if (output.type !== 'dial' || output.target.nk === null) continue;
      const { nk, host } = output.target;
      linked.push(nk);
      policy.handleOpen(now, nk, {
        isOutbound: true,
        prefix: host.replace(/\d+$/, '0/24'),
        isLocal: false,
      });
      policy.handleDialed(now, output.target, nk);
      policy.handleProven(nk);
    }
  }
  return linked;
}

describe('the links a relay keeps', () => {
  it('are a few outbound ones, into as many networks as there are', () => {
    const linked = grow(policyWith(), relays(200, 10));
    assert.equal(linked.length, LINK_LIMITS.minOutbound);
    assert.equal(
      new Set(linked.map((name) => Math.floor(Number(name.slice(1)) / 10))).size,
      LINK_LIMITS.minOutbound,
    );
    assert.equal(
      grow(policyWith(), relays(4, 10)).length,
      4,
      'one network, where there is no other',
    );
  });

  it('are made slowly, and later while others are still being found', () => {
    const policy = policyWith();
    const known = relays(50);
    let dials = 0;
    for (let ms = 0; ms < 5000; ms += 250) {
      const now = instant(ms);
      for (const output of policy.decide(now, known, NONE, true)) {
        if (output.type !== 'dial' || output.target.nk === null) continue;
        dials += 1;
        policy.handleOpen(now, output.target.nk, {
          isOutbound: true,
          prefix: output.target.host,
          isLocal: false,
        });
        policy.handleDialed(now, output.target, output.target.nk);
      }
    }
    assert.equal(dials, 2);
  });

  it('to homes of rooms come besides, at once', () => {
    const known = relays(50);
    const wanted = new Set(['n3', 'n4', 'n5', 'n6', 'n7', 'n8', 'n9']);
    const outputs = policyWith().decide(instant(0), known, wanted);
    const dialled = outputs.flatMap((output) =>
      output.type === 'dial' ? [output.target.nk ?? ''] : [],
    );
    for (const name of wanted) assert.ok(dialled.includes(name), name);
  });

  it('to the places that the operator named are tried first, with waits that grow, and never to oneself twice in a row', () => {
    const policy = policyWith([{ host: 'first.example.org', port: 7402 }]);
    const dials: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 250) {
      for (const output of policy.decide(instant(ms), [], NONE)) {
        assert.equal(output.type, 'dial');
        dials.push(ms);
        if (output.type === 'dial') policy.handleDialed(instant(ms), output.target, null);
      }
    }
    assert.ok(dials.length >= 5 && dials.length <= 12, dials.join(' '));
    const own = policyWith([{ host: 'me.example.org', port: 7402 }]);
    const [output] = own.decide(instant(0), [], NONE);
    assert.ok(output?.type === 'dial');
    own.handleDialed(instant(0), output.target, 'own');
    for (let ms = 0; ms < 120_000; ms += 250)
      assert.deepEqual(own.decide(instant(ms), [], NONE), []);
  });

  it('of relays that show no record in half a minute end', () => {
    const policy = policyWith();
    policy.handleOpen(instant(0), 'silent', {
      isOutbound: false,
      prefix: '20.0.0.0/24',
      isLocal: false,
    });
    policy.handleOpen(instant(0), 'proven', {
      isOutbound: false,
      prefix: '20.0.1.0/24',
      isLocal: false,
    });
    policy.handleProven('proven');
    assert.deepEqual(policy.decide(instant(29_000), [], NONE), []);
    assert.deepEqual(policy.decide(instant(31_000), [], NONE), [
      { type: 'hangUp', nk: 'silent', reason: 'noRecord' },
    ]);
  });

  it('inbound are trimmed by network, newcomers first; who has been there stays', () => {
    const policy = policyWith();
    for (let i = 0; i < 60; i++) {
      policy.handleOpen(instant(i), `crowd${i}`, {
        isOutbound: false,
        prefix: '66.6.6.0/24',
        isLocal: false,
      });
      policy.handleProven(`crowd${i}`);
    }
    for (let i = 0; i < 90; i++) {
      policy.handleOpen(instant(1000 + i), `n${i}`, {
        isOutbound: false,
        prefix: `20.0.${i}.0/24`,
        isLocal: false,
      });
      policy.handleProven(`n${i}`);
    }
    const ended = policy
      .decide(instant(2000), [], NONE)
      .flatMap((output) => (output.type === 'hangUp' ? [output.nk] : []));
    assert.ok(ended.every((name) => name.startsWith('crowd')));
    assert.ok(!ended.includes('crowd0'));
    assert.equal(policy.counts.inbound, LINK_LIMITS.maxInbound);
  });

  it('are changed for others now and then', () => {
    const policy = policyWith();
    const known = relays(100);
    grow(policy, known);
    let rotated = 0;
    for (let ms = 100_000; ms < 3 * 3_600_000; ms += 10_000) {
      for (const output of policy.decide(instant(ms), known, NONE)) {
        if (output.type === 'hangUp') rotated += 1;
        else if (output.target.nk !== null) {
          policy.handleOpen(instant(ms), output.target.nk, {
            isOutbound: true,
            prefix: output.target.host,
            isLocal: false,
          });
          policy.handleDialed(instant(ms), output.target, output.target.nk);
          policy.handleProven(output.target.nk);
        }
      }
    }
    assert.ok(rotated >= 6 && rotated <= 30, `${rotated} in three hours`);
  });
});
