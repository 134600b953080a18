import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodeRecordLine, encodeSignedList, listToSign } from '@lumamesh/protocol';
import { type RelayConfig, readConfig } from '../config/config.ts';
import { type Identity, identityFiles, loadIdentity } from '../identity.ts';
import { makeRecord, recordPlace } from '../record.ts';
import type { HealthStats } from '../relay-stats.ts';
import { accessEntry } from '../access-tokens.ts';
import { checkAccess } from './access-check.ts';
import type { Finding } from './finding.ts';
import { checkPublished, checkRecord } from './published-check.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 10, 28);
const TOKEN = 'a-token-of-enough-letters';

let folder: string;
let identity: Identity;

const settings = (more: Record<string, string> = {}): RelayConfig =>
  readConfig({ environment: { PUBLIC_IP: '203.0.113.1', ...more }, home: folder });

async function lineOf(config: RelayConfig, madeMs: number): Promise<string> {
  return encodeRecordLine(await makeRecord(config, identity, await recordPlace(config), madeMs));
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lumamesh-published-'));
  identity = await loadIdentity(identityFiles(settings()));
});
after(() => rm(folder, { recursive: true }));

describe('the line of a relay in a list', () => {
  const look = (text: string, config = settings()): readonly Finding[] => [
    ...checkPublished(config, identity, { name: 'the list', text }, NOW),
  ];
  const verdicts = (findings: readonly Finding[]): readonly string[] =>
    findings.map(({ name, verdict }) => `${name}: ${verdict}`);

  it('is good, expires soon, has expired, or is not there', async () => {
    const cases = [
      [0, 'ok', /good until 2027-11-28 \(365 days\)/],
      [335, 'ok', /\(30 days\)/],
      [336, 'warn', /expires on 2026-12-27, in 29 days/],
      [366, 'fail', /expired on 2026-11-27/],
    ] as const;
    for (const [ageDays, verdict, detail] of cases) {
      const line = await lineOf(settings(), NOW - ageDays * DAY_MS);
      const [found, ...others] = look(`# relays\nnonsense\n${line}\n`);
      assert.deepEqual([found?.verdict, others], [verdict, []], JSON.stringify(found));
      assert.match(found?.detail ?? '', detail);
    }
    const [absent] = look('# relays\n');
    assert.equal(absent?.verdict, 'skip');
    assert.match(absent.detail, /encode/);
  });

  it('leads to where the relay is, and says whom it lets in', async () => {
    const line = await lineOf(settings({ PUBLIC_IP6: '2001:db8::1' }), NOW);
    const token = { ACCESS_TOKENS: TOKEN };
    const cases: readonly (readonly [Record<string, string>, RegExp | null])[] = [
      [{ PUBLIC_IP6: '2001:db8::1' }, null],
      [{ PUBLIC_IP6: '2001:db8::1', TCP_PORT: '443' }, null],
      [{}, /PUBLIC_IP6 2001:db8::1 \(here none\)/],
      [{ PUBLIC_IP: '203.0.113.2', PUBLIC_IP6: '2001:db8::1' }, /PUBLIC_IP 203\.0\.113\.1 \(here/],
      [{ UDP_PORT: '443', PUBLIC_IP6: '2001:db8::1' }, /UDP_PORT 3478 \(here 443\)/],
      [{ ICE_UFRAG: 'other', PUBLIC_IP6: '2001:db8::1' }, /ICE_UFRAG luma \(here other\)/],
      [{ ...token, PUBLIC_IP6: '2001:db8::1' }, /lets in everybody, and it asks for a token/],
    ];
    for (const [environment, detail] of cases) {
      const [found] = look(line, settings(environment));
      assert.equal(found?.verdict, detail === null ? 'ok' : 'fail', JSON.stringify(found));
      if (detail !== null) assert.match(found.detail, detail);
    }
    const restored = { ...identity, fingerprint: 'other', icePassword: 'other' };
    const list = { name: 'the list', text: line };
    const [found] = checkPublished(settings({ PUBLIC_IP6: '2001:db8::1' }), restored, list, NOW);
    assert.match(found?.detail ?? '', /another certificate, another ICE password/);
    assert.ok(!found?.detail.includes(identity.icePassword));
    // A private relay stands in lists of its own pages, if anywhere.
    const own = await lineOf(settings(token), NOW);
    assert.deepEqual(verdicts(look(own, settings(token))), ['published line: ok']);
    assert.match(look(own)[0]?.detail ?? '', /that it asks for a token/);
    const [absent] = look('', settings(token));
    assert.doesNotMatch(absent?.detail ?? '', /encode/);
  });

  it('is good no longer than the signature of its list', async () => {
    const line = await lineOf(settings(), NOW);
    const signed = (days: number): string =>
      encodeSignedList(
        listToSign([line], NOW / 1000 - 20 * 86_400, NOW / 1000 + days * 86_400),
        'A'.repeat(86),
      );
    for (const [days, verdict] of [
      [10, 'ok'],
      [7, 'ok'],
      [6, 'warn'],
      [-1, 'fail'],
    ] as const)
      assert.deepEqual(verdicts(look(signed(days))), [
        `signed list: ${verdict}`,
        'published line: ok',
      ]);
    const cut = look(signed(10).slice(0, -40));
    assert.deepEqual(verdicts(cut), ['signed list: fail', 'published line: ok']);
  });

  it('may name a time that no calendar has', async () => {
    const record = await makeRecord(settings(), identity, { port: 3478 }, NOW);
    const [found] = look(encodeRecordLine({ ...record, expires: 2 ** 48 - 1 }));
    assert.match(found?.detail ?? '', /good until after all days/);
  });
});

it('the record of a running relay is signed every day, or something is wrong', () => {
  const shown = (days: number): string =>
    checkRecord({ record: { expires: NOW / 1000 + days * 86_400 } } as HealthStats, NOW).verdict;
  assert.deepEqual([365, 30, 29, -3].map(shown), ['ok', 'ok', 'fail', 'fail']);
});

describe('who is let in', () => {
  const stats = (tokens: number | null): HealthStats =>
    ({ ...(tokens === null ? {} : { access: { tokens } }) }) as HealthStats;

  it('is everybody, who has one of so many tokens, or nobody', () => {
    const everybody = checkAccess(settings(), identity, null);
    assert.deepEqual([everybody.verdict, /everybody/.test(everybody.detail)], ['ok', true]);
    // A token and its key let in the same.
    const both = settings({
      ACCESS_TOKENS: [TOKEN, accessEntry(TOKEN, identity.nk), `${TOKEN}-2`].join(),
    });
    const some = checkAccess(both, identity, stats(2));
    assert.equal(some.verdict, 'ok');
    assert.match(some.detail, /one of 2 tokens\. The public list takes no private relay/);
    assert.ok(!some.detail.includes(TOKEN));
    const nobody = checkAccess({ ...settings(), accessTokens: [] }, identity, null);
    assert.deepEqual([nobody.verdict, /lets nobody in/.test(nobody.detail)], ['warn', true]);
  });

  it('is warned of where the running relay has read other settings', () => {
    const one = settings({ ACCESS_TOKENS: TOKEN });
    const cases = [
      [settings(), 1, /has 1 token, and its settings name no tokens/],
      [one, null, /lets in everybody, and its settings name 1 token/],
      [one, 3, /has 3 tokens, and its settings name 1 token$/],
    ] as const;
    for (const [config, running, detail] of cases) {
      const found = checkAccess(config, identity, stats(running));
      assert.equal(found.verdict, 'warn');
      assert.match(found.detail, detail);
      assert.match(found.mend ?? '', /reload/);
    }
  });
});
