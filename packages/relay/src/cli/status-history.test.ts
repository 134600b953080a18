import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sampleStats } from '../io/relay-stats.test-support.ts';
import { History, drawHistory, plainHeader, plainRow } from './status-history.ts';

const plain = (_style: string, text: string): string => text;

/** A relay in virtual time: every second one more session, ten joins, 2 KB in. */
function watched(seconds: number, skip: (second: number) => boolean = () => false): History {
  const history = new History();
  for (let second = 0; second <= seconds; second++)
    if (!skip(second))
      history.add({
        atMs: second * 1000,
        stats: sampleStats({
          uptimeSeconds: second,
          sessions: { established: second, halfOpen: 0, max: 1000 },
          joins: second * 10,
          traffic: {
            datagramsIn: 0,
            datagramsOut: 0,
            bytesIn: second * 2000,
            bytesOut: 0,
            sendErrors: 0,
          },
        }),
      });
  return history;
}

const graphOf = (lines: readonly string[], name: string): string =>
  /^.{10}(.*?)  now/u.exec(lines.find((line) => line.startsWith(name)) ?? '')?.[1] ?? '';

describe('the history of a relay', () => {
  it('is a graph for each figure, with what it is now and at most', () => {
    const lines = drawHistory(watched(30).points, 104, plain);
    assert.match(lines[0] ?? '', /the last 0 min 30 s; a column is 1 s/);
    assert.deepEqual(
      lines.slice(1).map((line) => line.slice(0, 10).trim()),
      ['sessions', 'joins', 'signals', 'UDP in', 'UDP out', 'dropped', 'memory', 'held up'],
    );
    const sessions = lines.find((line) => line.startsWith('sessions')) ?? '';
    assert.match(sessions, /now 30 +most 30$/);
    const graph = graphOf(lines, 'sessions').trimStart();
    assert.equal(graph.length, 30);
    assert.ok(graph.startsWith('▁') && graph.endsWith('█'));
    assert.equal(graph.split('').toSorted().join(''), graph, 'it only rises');
    assert.match(lines.find((line) => line.startsWith('joins')) ?? '', /now 10\/s +most 10\/s$/);
    assert.match(
      lines.find((line) => line.startsWith('UDP in')) ?? '',
      /now 2 KB\/s +most 2 KB\/s$/,
    );
    // Nothing happened: no graph of noise.
    assert.equal(graphOf(lines, 'signals').trim(), '');
  });

  it('fits the terminal: more time in as many columns, each with the most that was', () => {
    for (const columns of [60, 80, 200]) {
      const lines = drawHistory(watched(900).points, columns, plain);
      const width = columns - 44;
      for (const line of lines.slice(1)) assert.ok(line.length <= columns, line);
      const graph = graphOf(lines, 'sessions').trimStart();
      assert.ok(graph.length <= width && graph.length > width / 3, `${graph.length} of ${width}`);
      assert.ok(graph.endsWith('█'));
    }
    // A burst of a second is seen in an hour.
    const history = watched(3000);
    const burst = { ...sampleStats({ uptimeSeconds: 3001, joins: 30_000 + 500 }) };
    history.add({ atMs: 3_001_000, stats: burst });
    const joins = drawHistory(history.points, 80, plain).find((line) => line.startsWith('joins'));
    assert.match(joins ?? '', /most 500\/s$/);
    assert.deepEqual(drawHistory([], 80, plain), []);
  });

  it('has a gap where the relay did not answer, and does not count backwards when it begins anew', () => {
    const gap = drawHistory(watched(30, (second) => second > 10 && second < 20).points, 104, plain);
    assert.match(graphOf(gap, 'sessions').trimStart(), /^[▁-█]+ {9}[▁-█]+$/u);
    const history = watched(10);
    const anew = sampleStats({ uptimeSeconds: 1, joins: 3, signals: 0, drops: {} });
    history.add({ atMs: 11_000, stats: anew });
    const joins = drawHistory(history.points, 104, plain).find((line) => line.startsWith('joins'));
    assert.match(joins ?? '', /now 3\/s +most 10\/s$/);
  });

  it('keeps an hour, and no more', () => {
    assert.equal(watched(5000).points.length, 3600);
  });

  it('is a table where there is no terminal: a line each time, in columns', () => {
    const header = plainHeader();
    const row = plainRow(watched(5).points, new Date('2026-11-28T20:15:07Z'), []);
    assert.match(row, /^20:15:07 +5 +10 +0 +2KB +0B +0 +90MB +2\.5ms {2}well$/);
    assert.equal(row.indexOf('well'), header.indexOf('health'));
    for (const name of ['joins/s', 'in/s', 'memory']) {
      const end = header.indexOf(name) + name.length;
      // Right-aligned under its name.
      assert.match(row.slice(0, end), /\S$/);
      assert.match(row[end] ?? '', / /);
    }
    const sick = plainRow(watched(1).points, new Date(0), ['udp.noAnswer', 'eventLoop.slow']);
    assert.ok(sick.endsWith('udp.noAnswer,eventLoop.slow'));
  });
});
