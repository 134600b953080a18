import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@lumamesh/testkit';
import { BUILD } from '../build-info.ts';
import { readConfig } from '../config/config.ts';
import { silentLogger } from '../log.ts';
import { type MachineFacts, MachineWatch, judgeMachine } from './machine-watch.ts';

const WELL: MachineFacts = {
  freeBytes: 5e9,
  nowUnixSeconds: BUILD.madeUnixSeconds + 1,
  publicIp6: '2001:db8::7',
  addresses: ['203.0.113.1', '2001:db8::7'],
};

describe('the machine that a relay runs on', () => {
  it('is well, or says what has gone', () => {
    const cases: [Partial<MachineFacts>, string[]][] = [
      [{}, []],
      [{ freeBytes: 0 }, ['disk.full']],
      [{ freeBytes: 50e6 }, ['disk.low']],
      // A file system that does not tell is no full one.
      [{ freeBytes: null }, []],
      [{ nowUnixSeconds: Date.UTC(2020, 0) / 1000 }, ['clock.past']],
      [{ addresses: ['203.0.113.1'] }, ['ip6.gone']],
      [{ addresses: [], publicIp6: undefined }, []],
    ];
    for (const [facts, faults] of cases)
      assert.deepEqual(judgeMachine({ ...WELL, ...facts }), faults, JSON.stringify(facts));
  });

  it('is looked at: an address that is not there is told once, and is a reason not to be well', async () => {
    const warnings: string[] = [];
    const log = {
      ...silentLogger,
      warn: (_fields: object, text: string) => void warnings.push(text),
    };
    const config = readConfig({ environment: { PUBLIC_IP6: '2001:db8::dead' } });
    const watch = new MachineWatch(() => config, log);
    await until(() => watch.reasons.length > 0, 'nothing is seen');
    assert.deepEqual(watch.reasons, ['ip6.gone']);
    assert.match(warnings.join(), /PUBLIC_IP6 is no address of this machine any more/);
    watch.stop();
  });
});
