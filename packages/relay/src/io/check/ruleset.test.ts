import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import { judgeRuleset } from './ruleset.ts';

/** What `nft -j list ruleset` (nftables 1.0.6) said of rules that a kernel had taken, by what they are. */
const RULESETS = JSON.parse(
  readFileSync(new URL('../../../../../fixtures/nft-rulesets.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, unknown>>;
const UDP = { protocol: 'udp', port: 3478 } as const;

describe('what the rules of a firewall say of a port', () => {
  const expected = {
    nothing: 'none',
    'the example of the nftables wiki': 'closed',
    'the same with the port': 'open',
    'a range of ports': 'open',
    'a named set': 'open',
    'another port of the set only': 'closed',
    'some networks only': 'unsure',
    'a reject at the end': 'closed',
    'jumps by protocol': 'open',
    'jumps that return': 'closed',
    'two chains, one of which drops': 'closed',
    'a limit for floods': 'unsure',
    'everything but loopback is dropped': 'closed',
    'a named verdict map': 'unsure',
    'IPv6 only': 'none',
    'nat alone': 'none',
    'all but some ports': 'open',
  };

  for (const [name, verdict] of Object.entries(expected))
    it(`${name}: ${verdict}`, () => {
      assert.ok(name in RULESETS);
      assert.equal(judgeRuleset(RULESETS[name], UDP).verdict, verdict);
    });

  it('has an expectation for each', () => {
    assert.deepEqual(Object.keys(expected).toSorted(), Object.keys(RULESETS).toSorted());
  });

  it('names the chains that drop, and those only', () => {
    assert.deepEqual(judgeRuleset(RULESETS['two chains, one of which drops'], UDP).closedBy, [
      { family: 'ip', table: 'extra', chain: 'in' },
    ]);
  });

  it('judges TCP by its own rules', () => {
    const wiki = RULESETS['the example of the nftables wiki'];
    assert.equal(judgeRuleset(wiki, { protocol: 'tcp', port: 443 }).verdict, 'open');
    assert.equal(judgeRuleset(wiki, { protocol: 'tcp', port: 8443 }).verdict, 'closed');
  });

  it('throws at nothing, whatever is changed in it', () => {
    const random = seededRandom(5);
    const values = [null, [], {}, 'drop', 1, { jump: { target: 'input' } }, '@ports', -1];
    const mutate = (value: unknown): unknown => {
      if (random() < 0.04) return values[Math.floor(random() * values.length)];
      if (Array.isArray(value)) return value.map(mutate);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, mutate(one)] as const),
      );
    };
    for (const ruleset of Object.values(RULESETS))
      for (let i = 0; i < 200; i++) judgeRuleset(mutate(ruleset), UDP);
    for (const odd of [null, undefined, 3, [], { nftables: 5 }, { nftables: [null, 1] }])
      assert.equal(judgeRuleset(odd, UDP).verdict, 'none');
  });

  it('ends where chains jump to each other, which no kernel takes', () => {
    const table = { family: 'inet', table: 't' };
    const jump = (target: string): object => ({ expr: [{ jump: { target } }] });
    const ruleset = {
      nftables: [
        { chain: { ...table, name: 'a', type: 'filter', hook: 'input', policy: 'drop' } },
        { chain: { ...table, name: 'b' } },
        { rule: { ...table, chain: 'a', ...jump('b') } },
        { rule: { ...table, chain: 'b', ...jump('b') } },
        { rule: { ...table, chain: 'b', ...jump('a') } },
      ],
    };
    assert.equal(judgeRuleset(ruleset, UDP).verdict, 'closed');
  });
});
