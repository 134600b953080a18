import assert from 'node:assert/strict';
import { it } from 'node:test';
import { mayBeDialled } from './record-address.ts';

it('a relay on the internet dials nothing that is not there (RFC 6890, 5737, 3849, 9637)', () => {
  const refused = [
    ...['127.0.0.1', '10.0.0.1', '169.254.1.1', '100.64.0.1', '224.0.0.1', '0.0.0.0'],
    ...['192.0.2.0', '198.51.100.255', '203.0.113.1'],
    ...['::1', '::', 'fd00::1', 'fe80::1', 'ff02::1', '64:ff9b::1', '2002:a00:1::1'],
    ...['2001:db8::1', '3fff::1', '3fff:fff::1', '::ffff:20.0.0.1', '::ffff:127.0.0.1', 'x'],
  ];
  for (const ip of refused) assert.ok(!mayBeDialled(ip, '20.9.9.9'), ip);
  const taken = ['192.0.3.1', '198.51.101.1', '203.0.112.1', '2001:db9::1', '3fff:1000::1'];
  for (const ip of taken) assert.ok(mayBeDialled(ip, '20.9.9.9'), ip);
});

it('a relay of a private network dials those of its kind', () => {
  assert.ok(mayBeDialled('10.0.0.1', '192.168.0.1') && mayBeDialled('203.0.113.1', '10.0.0.1'));
  assert.ok(!mayBeDialled('127.0.0.1', '10.0.0.1') && mayBeDialled('127.0.0.1', '127.0.0.2'));
  assert.ok(mayBeDialled('203.0.113.1', '198.51.100.1') && !mayBeDialled('::1', '2001:db8::1'));
});
