import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatIp, isCanonicalIp, parseIp, unmapIpv4, withoutZone } from './ip-address.ts';

it('reads and writes addresses (RFC 5952 §4)', () => {
  const canonical: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:db8::', '2001:db8::'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
  ];
  for (const [text, expected] of canonical) {
    const ip = parseIp(text);
    assert.ok(ip !== null, text);
    assert.equal(formatIp(ip), expected);
  }
});

it('refuses what is no address', () => {
  for (const bad of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.x',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    'g::1',
    '12345::',
    '::1.2.3',
    'localhost',
    'fe80::1%eth0',
    '192.0.2.1%\r\na=candidate:1',
  ]) {
    assert.equal(parseIp(bad), null, bad);
  }
});

it('tells the canonical spelling', () => {
  for (const text of ['192.0.2.1', '2001:db8::1', '::']) assert.ok(isCanonicalIp(text));
  for (const text of ['::ffff:192.0.2.1', '2001:DB8::1', '2001:db8:0::1', '0::', 'x'])
    assert.ok(!isCanonicalIp(text), text);
  assert.equal(withoutZone('fe80::1%eth0'), 'fe80::1');
});

it('unmaps what a dual-stack socket reports', () => {
  assert.equal(unmapIpv4('::ffff:198.51.100.7'), '198.51.100.7');
  assert.equal(unmapIpv4('2001:db8::1'), '2001:db8::1');
});
