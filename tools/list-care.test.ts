import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';
import { type CaredList, type ListHistory, careForList, readHistory } from './list-care.ts';
import { type DialResult, checkRelayList } from './relay-list.ts';

const NOW = 1_800_000_000;
const DAY = 86_400;

function record(letter: string, i: number, expires = NOW + 300 * DAY): SignedRelayRecord {
  return {
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip: `8.8.${i}.8`,
    port: 3478,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: letter.repeat(42) + 'A',
    sequence: NOW - DAY,
    expires,
    signature: 'A'.repeat(86),
  };
}

const [A, B, C, D] = [record('A', 1), record('B', 2), record('C', 3), record('D', 4)];

function care(
  records: readonly SignedRelayRecord[],
  results: Readonly<Record<string, DialResult>>,
  history: ListHistory = {},
  now = NOW,
): CaredList & { readonly kept: string[] } {
  const text = `# relays\n${records.map((one) => `${encodeRecordLine(one)}\n# next\n`).join('')}`;
  const { relays } = checkRelayList(new TextEncoder().encode(text), {
    // An expired line is a fault of the list; here it is what is looked for.
    nowUnixMs: 0,
    maxSequenceSeconds: Infinity,
    isSigned: () => true,
    allowedScopes: ['public'],
  });
  assert.equal(relays.length, records.length);
  const cared = careForList(text, relays, new Map(Object.entries(results)), history, now);
  return { ...cared, kept: cared.text.split('\n').filter((line) => line.startsWith('luma1.')) };
}

describe('the care for a list of relays', () => {
  it('takes out those that have been silent for a week, and have been asked often enough', () => {
    let history: ListHistory = {};
    let cared = care([A, B, C], { [B.nk]: 'dead' });
    for (let day = 0; day <= 7; day++) {
      cared = care(
        [A, B, C],
        { [A.nk]: 'alive', [B.nk]: 'dead', [C.nk]: 'full' },
        history,
        NOW + day * DAY,
      );
      ({ history } = cared);
      assert.equal(cared.kept.length, day < 7 ? 3 : 2, `day ${day}`);
    }
    assert.match(cared.removed.join(), /8\.8\.2\.8.*not answered for 7 days/);
    assert.ok(!cared.text.includes(encodeRecordLine(B)));
    // Comments stay.
    assert.equal(cared.text.split('# next').length, 4);
  });

  it('forgives one that answers again, and does not count what could not be asked', () => {
    const old = { [A.nk]: { since: NOW - 6 * DAY, failures: 20 } };
    assert.deepEqual(care([A, B, C], { [A.nk]: 'alive' }, old).history, {});
    assert.deepEqual(care([A, B, C], { [A.nk]: 'unknown' }, old).history, old);
    // A week in which it was asked twice says little.
    const rare = { [A.nk]: { since: NOW - 30 * DAY, failures: 1 } };
    assert.equal(care([A, B, C], { [A.nk]: 'dead' }, rare).kept.length, 3);
  });

  it('does nothing where most are silent: it is this machine that is cut off', () => {
    const old = Object.fromEntries(
      [A, B, C].map(({ nk }) => [nk, { since: NOW - 30 * DAY, failures: 30 }]),
    );
    const results = { [A.nk]: 'dead', [B.nk]: 'dead', [C.nk]: 'dead', [D.nk]: 'alive' } as const;
    const cared = care([A, B, C, D], results, old);
    assert.deepEqual([cared.isCutOff, cared.kept.length, cared.history], [true, 4, old]);
  });

  it('takes out what has expired, and reminds a month before', () => {
    const cared = care([record('A', 1, NOW - 1), record('B', 2, NOW + 10 * DAY), C], {
      [C.nk]: 'alive',
    });
    assert.equal(cared.kept.length, 2);
    assert.match(cared.removed.join(), /8\.8\.1\.8.*has expired/);
    assert.match(cared.reminders.join(), /8\.8\.2\.8.*expires in 10 days/);
  });

  it('forgets a history that is none', () => {
    for (const text of ['', 'null', '[]', '{"a":1}', '{"a":{"since":"1"}}', '{"a":null}'])
      assert.deepEqual(readHistory(text), {});
    const kept = { a: { since: 1, failures: 2 } };
    assert.deepEqual(readHistory(JSON.stringify(kept)), kept);
  });
});
