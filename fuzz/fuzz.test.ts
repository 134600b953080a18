import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadCorpus, loadFinds } from './corpora.ts';
import { instrumentSources } from './coverage.ts';
import type { Target } from './target.ts';

instrumentSources();
const { TARGETS } = await import('./targets/index.ts');
const { Search, faultOf, minimise } = await import('./search.ts');
const { Negotiation } = await import('../packages/relay/src/core/mesh/wire-budget.ts');

describe('what fuzzing has learned', () => {
  for (const target of TARGETS)
    it(`${target.name} takes its seeds, its corpus and all that was ever found`, () => {
      const inputs = [
        ...target.seeds().map((bytes) => ['seed', bytes.slice()] as const),
        ...loadCorpus(target.name).map((input) => ['corpus', input] as const),
        ...loadFinds(target.name),
      ];
      for (const [name, input] of inputs) {
        const fault = faultOf(target, input);
        assert.equal(fault, null, `${name}, ${Buffer.from(input).toString('base64')}: ${fault}`);
      }
    });
});

describe('the search', () => {
  /** A fault that needs seven line feeds: each is a branch taken once more. */
  const faulty: Target = {
    name: 'faulty',
    maxBytes: 40,
    seeds: () => [new Uint8Array(12)],
    run: (input) => {
      if (new Negotiation().take(input) !== null) throw new Error('seven lines');
    },
  };

  it('finds step by step what chance would not, and makes it small', () => {
    const search = new Search(faulty, [], 1);
    const find = search.run(() => search.runs > 500_000);
    assert.match(find?.error ?? '', /seven lines/);
    assert.deepEqual(find?.input, new Uint8Array(7).fill(10));
  });

  it('keeps of many inputs those that do something of their own', () => {
    const [less, more] = [new Uint8Array(3), new Uint8Array(3).fill(10)];
    const kept = minimise(faulty, [less, more, less, more, new Uint8Array(0)]);
    assert.deepEqual(kept, [new Uint8Array(0), less, more]);
  });

  it('calls slow what takes too long each time', () => {
    const slow: Target = {
      ...faulty,
      run: ([first = 0]) => {
        const startedAt = process.cpuUsage();
        while (first === 7 && process.cpuUsage(startedAt).user < 300_000);
      },
    };
    const search = new Search(slow, [], 1);
    assert.match(search.run(() => search.runs > 100_000)?.error ?? '', /ms of CPU/);
  });
});
