import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import {
  SAMPLE_ACCESS,
  SAMPLE_BANDWIDTH,
  SAMPLE_MONTHLY,
  sampleStats as stats,
} from '../io/relay-stats.test-support.ts';
import { drawStatus } from './status-view.ts';

describe('the status view', () => {
  it('shows rates between the last two answers, and what was dropped most first', () => {
    const before = { atMs: 1000, stats: stats() };
    const drops = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`kind.${i}`, i]));
    const after = {
      atMs: 3000,
      stats: stats({
        signals: 125,
        drops: { ...drops, 'ice.username': 203 },
        sessions: { established: 10, halfOpen: 0, max: 10 },
      }),
    };
    const text = drawStatus([before, after], 120, false).join('\n');
    assert.match(text, /1\.2\.3 \(abc\) {2}up 1 d 1 h {2}well/);
    assert.match(text, /signals +12\.5\/s, 125 in all/);
    assert.match(text, /sessions +10 of 10, 0 coming {2}▄█/);
    assert.match(text, /UDP in +0 B\/s, 0 datagrams\/s, 5 MB in all/);
    const rows = text.slice(text.indexOf('dropped, by reason')).split('\n');
    assert.match(rows[1] ?? '', /ice\.username +100\/s +203/);
    assert.match(rows.at(-1) ?? '', /and 9 more kinds/);
  });

  it('fits any terminal, colours included, and says when the relay is not well', () => {
    const sick = { atMs: 0, stats: stats({ health: ['udp.noAnswer'] }) };
    const wide = drawStatus([sick], 1000, true);
    assert.ok(wide[0]?.includes('\u001B[31mnot well: udp.noAnswer'));
    for (const columns of [1, 20, 80]) {
      for (const line of drawStatus([sick], columns, true)) {
        assert.ok(stripVTControlCharacters(line).length <= columns);
      }
    }
  });

  it('shows what of bandwidth and month is used, where they are bounded', () => {
    const monthly = { ...SAMPLE_MONTHLY, isResting: true };
    const draw = (change: Parameters<typeof stats>[0]) =>
      drawStatus([{ atMs: 0, stats: stats(change) }], 200, false).join('\n');
    const text = draw({ bandwidth: SAMPLE_BANDWIDTH, monthly });
    assert.match(text, /bandwidth +0 B\/s of 1 MB\/s; 4\.1 KB wait/);
    assert.match(text, /month +250 GB of 500 GB in 2026-11; USED: THE RELAY RESTS/);
    assert.doesNotMatch(draw({}), /bandwidth|month/);
  });

  it('shows who runs it, until when its record holds, and who is let in', () => {
    const now = 1_790_000_000_000 - 10 * 86_400_000;
    const draw = (change: Parameters<typeof stats>[0] = {}) =>
      drawStatus([{ atMs: 0, stats: stats(change) }], 200, false, now).join('\n');
    assert.match(draw(), /operator +Tea room · tea@example\.org/);
    assert.match(draw(), /record +valid for 125 days, signed anew every day; its line .* 10 days/);
    assert.doesNotMatch(draw(), /access/);
    assert.match(
      draw({ access: SAMPLE_ACCESS }),
      /access +private: 3 tokens; 1 sessions.*7 in all/,
    );
    const unlisted = draw({ record: { expires: 1_800_000_000, published: null } });
    assert.match(unlisted, /not in the public list of this version/);
    assert.doesNotMatch(unlisted, /operator/);
    const old = draw({ record: { expires: 1_800_000_000, published: 1_789_000_000 } });
    assert.match(old, /PUBLIC LIST HAS EXPIRED/);
  });

  it('does not count backwards when a relay was restarted, nor divide by nothing', () => {
    const text = drawStatus(
      [
        { atMs: 0, stats: stats() },
        { atMs: 1000, stats: stats({ signals: 0, joins: 0 }) },
      ],
      100,
      false,
    ).join('\n');
    assert.match(text, /signals +0\/s, 0 in all/);
    assert.deepEqual(drawStatus([], 100, false), ['waiting for the first answer …']);
    assert.match(
      drawStatus([{ atMs: 0, stats: stats() }], 100, false).join('\n'),
      /signals +0\/s, 100 in all/,
    );
  });
});
