import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type HealthFacts, judgeHealth } from './judge-health.ts';

const WELL: HealthFacts = {
  isClosing: false,
  failedSelfChecks: 0,
  eventLoopP99Ms: 3,
  conflictAgeMs: null,
  aloneMs: 0,
  isUnreached: false,
  isResting: false,
  machine: [],
};

describe('the health of a relay', () => {
  it('is told by reasons, none while all is well', () => {
    assert.deepEqual(judgeHealth(WELL), []);
    const cases: [Partial<HealthFacts>, string[]][] = [
      [{ isClosing: true }, ['closing']],
      [{ isResting: true }, ['traffic.used']],
      [{ failedSelfChecks: 2 }, []],
      [{ failedSelfChecks: 3 }, ['udp.noAnswer']],
      [{ eventLoopP99Ms: 999 }, []],
      [{ eventLoopP99Ms: 1500 }, ['eventLoop.slow']],
      [{ conflictAgeMs: 1000 }, ['identity.conflict']],
      [{ conflictAgeMs: 2 * 3_600_000 }, []],
      [{ aloneMs: 299_000 }, []],
      [{ machine: ['disk.full'] }, ['disk.full']],
      [{ isUnreached: true }, ['outside.unreached']],
      [{ aloneMs: 301_000 }, ['mesh.alone']],
      [{ isClosing: true, failedSelfChecks: 9 }, ['closing', 'udp.noAnswer']],
    ];
    for (const [facts, reasons] of cases)
      assert.deepEqual(judgeHealth({ ...WELL, ...facts }), reasons, JSON.stringify(facts));
  });
});
