import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';
import { silentLogger } from '../log.ts';
import { publishedRecord, warnOfExpiry } from './published.ts';

const DAY_MS = 86_400_000;
const RECORD: SignedRelayRecord = {
  fingerprint: `AA${':AA'.repeat(31)}`,
  ip: '203.0.113.1',
  port: 3478,
  ufrag: 'luma',
  pwd: 'x'.repeat(22),
  nk: 'A'.repeat(43),
  sequence: 1,
  expires: 2_000_000_000,
  signature: 'A'.repeat(86),
};

it('the line of a relay in the public list is found, and its operator told a month before it expires', () => {
  const list = (): string => `# relays\nnonsense\n${encodeRecordLine(RECORD)}\n`;
  const found = publishedRecord(RECORD.nk, list);
  assert.equal(found?.expires, RECORD.expires);
  assert.equal(publishedRecord('B'.repeat(43), list), null);
  const told: string[] = [];
  const log = { ...silentLogger, warn: (_fields: object, text: string) => void told.push(text) };
  const expiresMs = RECORD.expires * 1000;
  warnOfExpiry(null, log, expiresMs);
  warnOfExpiry(found, log, expiresMs - 40 * DAY_MS);
  assert.deepEqual(told, []);
  warnOfExpiry(found, log, expiresMs - 20 * DAY_MS);
  assert.match(told[0] ?? '', /expires soon/);
  warnOfExpiry(found, log, expiresMs + DAY_MS);
  assert.match(told[1] ?? '', /has expired/);
});
