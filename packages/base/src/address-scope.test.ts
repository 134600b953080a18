import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type AddressScope, scopeOf } from './address-scope.ts';
import { addressPrefix } from './ip-address.ts';

it('tells how far an address reaches (RFC 6890), at both ends of each range', () => {
  const cases: Record<AddressScope, string[]> = {
    loopback: ['127.0.0.1', '127.255.255.255', '::1'],
    private: [
      '10.0.0.0',
      '10.255.255.255',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.0.1',
      '100.64.0.1',
      '100.127.255.255',
      '169.254.1.1',
      'fc00::1',
      'fdff::1',
      'fe80::1',
    ],
    public: [
      '1.1.1.1',
      '9.255.255.255',
      '11.0.0.0',
      '172.15.255.255',
      '172.32.0.0',
      '100.63.255.255',
      '100.128.0.0',
      '223.255.255.255',
      '203.0.113.10',
      '2001:db8::1',
      '2606:4700::1',
    ],
    unusable: [
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      'ff02::1',
      '64:ff9b::1',
      '2002:a00:1::1',
      'localhost',
      '::ffff:10.0.0.1',
      '010.0.0.1',
    ],
  };
  for (const [scope, texts] of Object.entries(cases))
    for (const text of texts) assert.equal(scopeOf(text), scope, text);
});

it('counts addresses under their network: /24 and /48', () => {
  const prefixes: [string, string][] = [
    ['203.0.113.10', '203.0.113.0/24'],
    ['2001:db8:1:2::5', '2001:db8:1::/48'],
    ['2001:db8::5', '2001:db8::/48'],
    ['2001::5', '2001::/48'],
    ['2001:0:1:2:3:4:5:6', '2001:0:1::/48'],
    ['2001:db8:0:1::', '2001:db8::/48'],
  ];
  for (const [address, prefix] of prefixes) assert.equal(addressPrefix(address), prefix);
});
