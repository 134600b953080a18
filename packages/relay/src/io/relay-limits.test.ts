import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readConfig } from './config/config.ts';
import { tcpLimits, turnLimits } from './relay-limits.ts';

function configOf(environment: Record<string, string>) {
  return readConfig({ environment });
}

describe('what is forwarded within a bandwidth', () => {
  it('is a quarter of it at most, parts included, and off where TURN_RATE says so', () => {
    const cases: [Record<string, string>, number | null][] = [
      [{ TURN_RATE: '2000000' }, 2_000_000],
      [{ TURN_RATE: '2000000', MAX_BANDWIDTH: '1000000' }, 250_000],
      [{ TURN_RATE: '100000', MAX_BANDWIDTH: '1000000' }, 100_000],
      [{ TURN_RATE: '1', MAX_BANDWIDTH: '10000' }, 1],
      [{ MAX_BANDWIDTH: '1000000' }, null],
    ];
    for (const [environment, rate] of cases) {
      const limits = turnLimits(configOf(environment));
      assert.equal(limits?.bytesPerSecond ?? null, rate, JSON.stringify(environment));
      if (rate !== null) assert.equal(limits?.bytesPerSecondOfHost, Math.ceil(rate / 4));
    }
  });

  it('has its connections where there is TCP', () => {
    const environment = { TURN_RATE: '2000000', MAX_BANDWIDTH: '10000', TCP_PORT: '443' };
    assert.ok((tcpLimits(configOf(environment))?.maxSockets ?? 0) > 1000 + 1024);
  });
});
