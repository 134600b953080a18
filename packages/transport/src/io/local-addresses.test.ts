import assert from 'node:assert/strict';
import { it } from 'node:test';
import { rivalAddresses } from './local-addresses.ts';

function info(address: string, internal = false) {
  const common = { address, internal, mac: '', netmask: '', cidr: null };
  return address.includes(':')
    ? ({ ...common, family: 'IPv6', scopeid: 0 } as const)
    : ({ ...common, family: 'IPv4' } as const);
}

it('names the addresses of a family that has several, and no others', () => {
  const lo = [info('127.0.0.1', true), info('::1', true)];
  const single = [info('192.0.2.1'), info('2001:db8::1'), info('fe80::1')];
  assert.deepEqual(rivalAddresses({ lo, eth0: single }), []);
  assert.deepEqual(rivalAddresses({ lo, eth0: single, eth1: [info('2001:db8::2')] }), [
    '2001:db8::1',
    '2001:db8::2',
  ]);
  assert.deepEqual(rivalAddresses({ lo, eth0: [...single, info('192.0.2.2')], eth1: undefined }), [
    '192.0.2.1',
    '192.0.2.2',
  ]);
});
