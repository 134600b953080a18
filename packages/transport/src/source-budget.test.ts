import assert from 'node:assert/strict';
import { it } from 'node:test';
import { instant } from '@lumamesh/base';
import { SourceBudget } from './source-budget.ts';
import { sourceOf } from './source.ts';

const NOW = instant(0);

it('takes addresses of one subscriber for one source, and those of one network for neighbours', () => {
  assert.deepEqual(sourceOf('192.0.2.7'), { host: '192.0.2.7', network: '192.0.2.' });
  const home = sourceOf('2001:db8:1:200::1');
  assert.deepEqual(sourceOf('2001:db8:1:200:ffff::9'), home);
  const neighbour = sourceOf('2001:db8:1:2ff::1');
  assert.notEqual(neighbour.host, home.host);
  assert.equal(neighbour.network, home.network);
  assert.notEqual(sourceOf('2001:db8:1:300::1').network, home.network);
  assert.deepEqual(sourceOf('fe80::1%eth0'), sourceOf('fe80::2%eth1'));
  assert.deepEqual(sourceOf('nonsense:'), { host: 'nonsense:', network: 'nonsense:' });
});

it('gives every address its budget and every network four of them', () => {
  const budget = new SourceBudget({ perSecond: 1, burst: 10 });
  const taken = (address: string): number => {
    let count = 0;
    while (budget.take(NOW, sourceOf(address))) count += 1;
    return count;
  };
  assert.equal(taken('192.0.2.1'), 10);
  assert.equal(taken('198.51.100.1'), 10);
  const others = ['192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5'].map(taken);
  assert.ok(others.reduce((sum, count) => sum + count) <= 30, others.join());
  assert.ok(budget.take(instant(1000), sourceOf('192.0.2.1')), 'a second gives one more');
  assert.ok(budget.take(NOW, sourceOf('203.0.113.1'), 1000), 'a burst is the most that is asked');
  budget.setRate({ perSecond: 5, burst: 5 });
  assert.equal(taken('192.0.2.1'), 5);
});

it('remembers a bounded number of sources, those that were heard of last', () => {
  const budget = new SourceBudget({ perSecond: 0.001, burst: 1 });
  for (let i = 0; i < 20_000; i++) {
    budget.take(NOW, sourceOf(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`));
    if (i % 100 === 0) budget.take(NOW, sourceOf('192.0.2.1'));
  }
  assert.ok(budget.size <= 8192);
  assert.ok(!budget.take(NOW, sourceOf('192.0.2.1')));
});
