import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { CheckResult } from '../../core/mesh/directory-output.ts';
import type { ProbeReport } from '../check/relay-probe.ts';
import { RecordCheck } from './record-check.ts';

const RECORD = { ip: '20.0.0.1', ip6: '2606:4700::1' } as unknown as SignedRelayRecord;
const ICE: ProbeReport['stages'] = [{ stage: 'ice', atMs: 1 }];

it('a record whose IPv6 address is another relay, or nobody where IPv6 works, is not taken', async () => {
  let atIpv6: { result: CheckResult; stages: ProbeReport['stages'] } = {
    result: 'dead',
    stages: [],
  };
  const dialled: (string | undefined)[] = [];
  const check = new RecordCheck(async (_record, options) => {
    dialled.push(options.address);
    return options.address === undefined ? { result: 'alive', stages: ICE } : atIpv6;
  });
  // Nobody has ever answered by IPv6: it may be this machine that has none.
  assert.equal(await check.check(RECORD, true), 'alive');
  atIpv6 = { result: 'dead', stages: ICE };
  assert.equal(await check.check(RECORD, true), 'dead');
  atIpv6 = { result: 'alive', stages: ICE };
  assert.equal(await check.check(RECORD, true), 'alive');
  atIpv6 = { result: 'dead', stages: [] };
  assert.equal(await check.check(RECORD, true), 'dead');
  assert.deepEqual(dialled, Array.from({ length: 4 }, () => [undefined, RECORD.ip6]).flat());
  // A relay that is known is asked at its first place.
  assert.equal(await check.check(RECORD, false), 'alive');
  assert.equal(dialled.length, 9);
});
