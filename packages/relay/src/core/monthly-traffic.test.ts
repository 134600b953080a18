import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mutate, seededRandom } from '@lumamesh/testkit';
import { MonthlyTraffic, decodeMonthCount, encodeMonthCount, monthOf } from './monthly-traffic.ts';

const MADE = Date.UTC(2026, 10, 1);
const NOW = Date.UTC(2026, 10, 20, 12);
const DAY = 86_400_000;
const GB = 1e9;

describe('the traffic of a month', () => {
  it('is counted until 95 % of it are used, and from zero when the month of UTC turns', () => {
    const traffic = new MonthlyTraffic(NOW, null, MADE);
    traffic.handleTotal(NOW, 94 * GB);
    assert.equal(traffic.isUsed(100 * GB), false);
    traffic.handleTotal(NOW + DAY, 95 * GB);
    assert.equal(traffic.isUsed(100 * GB), true);
    assert.equal(traffic.isUsed(undefined), false);
    assert.equal(traffic.isUsed(200 * GB), false, 'the operator allows more');
    const lastMoment = Date.UTC(2026, 11, 1) - 1;
    traffic.handleTotal(lastMoment, 95 * GB);
    assert.equal(traffic.isUsed(100 * GB), true);
    traffic.handleTotal(lastMoment + 1, 95 * GB + 7);
    assert.equal(traffic.isUsed(100 * GB), false);
    assert.deepEqual(traffic.count, { month: '2026-12', bytes: 7 });
  });

  it('goes on where another process ended', () => {
    const saved = decodeMonthCount(encodeMonthCount({ month: '2026-11', bytes: 90 * GB }));
    const traffic = new MonthlyTraffic(NOW, saved, MADE);
    traffic.handleTotal(NOW, 5 * GB);
    assert.deepEqual(traffic.count, { month: '2026-11', bytes: 95 * GB });
    const later = new MonthlyTraffic(NOW, { month: '2026-10', bytes: 90 * GB }, MADE);
    later.handleTotal(NOW, 5);
    assert.deepEqual(later.count, { month: '2026-11', bytes: 5 });
  });

  it('is not lost to a clock that begins in another year, nor to one that was ahead', () => {
    const saved = { month: '2026-11', bytes: 95 * GB };
    const traffic = new MonthlyTraffic(Date.UTC(2020, 0), saved, MADE);
    traffic.handleTotal(Date.UTC(2020, 0), 1);
    traffic.handleTotal(NOW, 2);
    assert.deepEqual(traffic.count, { month: '2026-11', bytes: 95 * GB + 2 });
    const ahead = new MonthlyTraffic(NOW, { month: '2031-01', bytes: 5 }, MADE);
    ahead.handleTotal(NOW, 1);
    assert.deepEqual(ahead.count, { month: '2026-11', bytes: 6 });
    assert.equal(new MonthlyTraffic(0, null, MADE).count.month, '2026-11');
  });

  it('does not count backwards', () => {
    const traffic = new MonthlyTraffic(NOW, null, MADE);
    traffic.handleTotal(NOW, 10);
    traffic.handleTotal(NOW, 4);
    traffic.handleTotal(NOW, 6);
    assert.equal(traffic.count.bytes, 12);
  });
});

describe('the file of it', () => {
  it('is read as it was written, and as nothing when it is damaged', () => {
    const count = { month: monthOf(NOW), bytes: 123_456_789_012 };
    const text = encodeMonthCount(count);
    assert.deepEqual(decodeMonthCount(text), count);
    for (let end = 0; end < text.length - 2; end++)
      assert.equal(decodeMonthCount(text.slice(0, end)), null, `cut at ${end}`);
    for (const damaged of [
      '\0'.repeat(40),
      'null',
      '7',
      '[]',
      '{}',
      '{"month":"2026-13","bytes":1}',
      '{"month":"2026-11","bytes":-1}',
      '{"month":"2026-11","bytes":"1"}',
      '{"month":"2026-11","bytes":1.5}',
      '{"month":"2026-11","bytes":1e400}',
      '{"month":{"a":1},"bytes":1}',
      `{"month":"2026-11","bytes":${'9'.repeat(30)}}`,
    ])
      assert.equal(decodeMonthCount(damaged), null, damaged);
    const random = seededRandom(7);
    const pick = (below: number): number => Math.floor(random() * below);
    for (let i = 0; i < 2000; i++) {
      const read = decodeMonthCount(
        new TextDecoder().decode(mutate(new TextEncoder().encode(text), pick)),
      );
      if (read !== null) assert.ok(Number.isSafeInteger(read.bytes) && read.bytes >= 0);
    }
  });
});
