import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { fromBase64Url, toBase64Url } from '@lumamesh/base';
import { mutations, truncations } from '@lumamesh/testkit';
import {
  RECORD_LINE_PREFIX,
  type RelayRecord,
  decodeRecordLine,
  encodeRecordLine,
  findRecordFault,
  parseRecordJson,
  signRecord,
  verifyRecord,
} from './relay-record.ts';
import { type WebCryptoSubtle, verifyEd25519 } from './web-crypto.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const RECORD: RelayRecord = {
  fingerprint: Array.from({ length: 32 }, (_, i) => (i + 160).toString(16).toUpperCase()).join(':'),
  ip: '203.0.113.10',
  ip6: '2001:db8::10',
  host: 'relay.example.org',
  port: 3478,
  ufrag: 'luma',
  pwd: '0123456789abcdef0123456789abcdef',
  nk: publicKey.export({ format: 'jwk' }).x ?? '',
  sequence: 1_700_000_000,
  expires: 1_800_000_000,
  mesh: 'AAECAwQFBgcICQoLDA0ODw',
  meshPort: 7402,
  tcpPort: 443,
  turn: 2_000_000,
};
const signed = await signRecord(RECORD, async (data) => sign(null, data, privateKey));
const verify = (
  key: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer>,
): Promise<boolean | null> =>
  verifyEd25519(crypto.subtle as unknown as WebCryptoSubtle, key, signature, data);

describe('a relay record', () => {
  it('goes through a line and through JSON unchanged, and verifies', async () => {
    const line = encodeRecordLine(signed);
    assert.ok(line.startsWith(RECORD_LINE_PREFIX) && !/\s/.test(line));
    assert.deepEqual(decodeRecordLine(`  ${line}\n`), { ok: true, value: signed });
    assert.deepEqual(parseRecordJson(JSON.parse(JSON.stringify(signed))), {
      ok: true,
      value: signed,
    });
    assert.ok(await verifyRecord(signed, verify));
    const { ip6, host, mesh, meshPort, tcpPort, turn, ...least } = RECORD;
    const small = await signRecord(least, async (data) => sign(null, data, privateKey));
    assert.ok([ip6, host, mesh, meshPort, tcpPort, turn].every((field) => field !== undefined));
    assert.deepEqual(decodeRecordLine(encodeRecordLine(small)), { ok: true, value: small });
  });

  it('stops verifying when any field changes', async () => {
    const changes: Partial<RelayRecord>[] = [
      { ip: '203.0.113.11' },
      { port: 3479 },
      { ufrag: 'lumb' },
      { pwd: 'f'.repeat(32) },
      { sequence: 1 },
      { expires: 1 },
      { host: 'relay.example.com' },
      { mesh: 'AAAA' },
      { tcpPort: 444 },
      { turn: 2_000_001 },
      { fingerprint: RECORD.fingerprint.replace('A0', 'A1') },
    ];
    for (const change of changes)
      assert.ok(!(await verifyRecord({ ...signed, ...change }, verify)), JSON.stringify(change));
  });

  it('has one spelling only: what a page will use as text is what was signed', () => {
    const spellings: Partial<Record<keyof RelayRecord, string>>[] = [
      { ip: '203.0.113.10%\r\na=candidate:1 1 udp 1 198.51.100.1 9 typ host' },
      { ip: '::ffff:203.0.113.10' },
      { ip6: '2001:DB8::10' },
      { ip6: '2001:db8:0::10' },
      { ip6: '203.0.113.10' },
      { fingerprint: RECORD.fingerprint.toLowerCase() },
      { host: 'relay.example.org\r\n' },
    ];
    for (const spelling of spellings)
      assert.ok(!parseRecordJson({ ...signed, ...spelling }).ok, JSON.stringify(spelling));
  });

  it('names its fault', () => {
    const faults: [Partial<RelayRecord>, RegExp][] = [
      [{ fingerprint: 'AA:BB' }, /^fingerprint/],
      [{ ip: 'x' }, /^ip /],
      [{ port: 0 }, /^port/],
      [{ port: 65_536 }, /^port/],
      [{ port: 1.5 }, /^port/],
      [{ ufrag: 'abc' }, /^ufrag/],
      [{ pwd: 'short' }, /^pwd/],
      [{ nk: 'AAAA' }, /^nk/],
      [{ sequence: -1 }, /^sequence/],
      [{ expires: Number.NaN }, /^expires/],
      [{ mesh: '!' }, /^mesh/],
      [{ host: '-x' }, /^host/],
      [{ tcpPort: 0 }, /^tcpPort/],
      [{ tcpPort: 65_536 }, /^tcpPort/],
      [{ turn: 0 }, /^turn/],
      [{ turn: 2 ** 48 }, /^turn/],
      [{ access: '' }, /^access/],
      [{ access: 'Token' }, /^access/],
      [{ access: `t${'o'.repeat(32)}` }, /^access/],
    ];
    for (const [change, pattern] of faults)
      assert.match(findRecordFault({ ...RECORD, ...change }) ?? '', pattern);
    assert.equal(findRecordFault(RECORD), null);
  });

  it('keeps fields of a newer version, so that its signature still verifies', async () => {
    const record = { ...RECORD, region: 'eu', weight: 7 };
    const newer = await signRecord(record, async (data) => sign(null, data, privateKey));
    const decoded = decodeRecordLine(encodeRecordLine(newer));
    assert.ok(decoded.ok);
    assert.deepEqual(decoded.value, newer);
    assert.ok(await verifyRecord(decoded.value, verify));
    assert.ok(!(await verifyRecord({ ...newer, weight: 8 } as typeof newer, verify)));
    for (const stray of [
      { Up: 'x' },
      { list: [] },
      { half: 0.5 },
      { no: null },
      { ['__proto__x']: 'x' },
    ])
      assert.ok(!parseRecordJson({ ...newer, ...stray }).ok);
    assert.ok(!parseRecordJson({ ...newer, long: 'x'.repeat(1000) }).ok);
    assert.ok(!parseRecordJson(JSON.parse('{"__proto__":{"port":1}}')).ok);
  });

  it('refuses lines that are cut, longer, mutated or not canonical, without throwing', async () => {
    const bytes = fromBase64Url(encodeRecordLine(signed).slice(RECORD_LINE_PREFIX.length));
    assert.ok(bytes !== null);
    const line = (data: Uint8Array): string => RECORD_LINE_PREFIX + toBase64Url(data);
    for (const cut of truncations(bytes)) {
      // Without its last field a record may still be one, but not one that its node has signed.
      const result = decodeRecordLine(line(cut));
      assert.ok(!result.ok || !(await verifyRecord(result.value, verify)));
    }
    for (const mutated of mutations(bytes, 3000, 9)) {
      const result = decodeRecordLine(line(mutated));
      // A mutation that decodes has one line only: its own.
      if (result.ok) assert.equal(encodeRecordLine(result.value), line(mutated));
    }
    for (const bad of ['', 'luma1.', 'luma2.AAAA', 'luma1.!!!!', `luma1.${'A'.repeat(4000)}`])
      assert.ok(!decodeRecordLine(bad).ok);
  });

  it('refuses JSON of every other shape', () => {
    for (const bad of [
      null,
      7,
      'x',
      [],
      {},
      { ...signed, port: '3478' },
      { ...signed, nk: 7 },
      { ...signed, signature: 'AAAA' },
      { ...signed, ip6: null },
      { ...signed, ip: { toString: 1 } },
      { ...signed, ip6: { toString: 1 } },
      { ...signed, nk: { toString: 1 } },
    ])
      assert.ok(!parseRecordJson(bad).ok);
    const withMore = (more: string): unknown =>
      JSON.parse(`${JSON.stringify(signed).slice(0, -1)},${more}}`);
    assert.ok(!parseRecordJson(withMore('"__proto__":{"port":1}')).ok);
    assert.ok(
      parseRecordJson(withMore('"more":1')).ok,
      'a field of a newer version; whether it was signed the signature tells',
    );
  });
});
