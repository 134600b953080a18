import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import { type Logger, limitRepeats } from './log.ts';

interface Line {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

describe('the log', () => {
  it('keeps one kind of line from filling a disk, and counts what it left out', () => {
    const lines: Line[] = [];
    const write =
      (level: string) =>
      (fields: object, message: string): void =>
        void lines.push({ level, fields: fields as Line['fields'], message });
    const inner: Logger = {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    };
    let nowMs = 0;
    const log = limitRepeats(inner, () => instant(nowMs));
    for (let i = 0; i < 1000; i++) log.warn({ i }, 'somebody knocks');
    assert.equal(lines.length, 20);
    log.error({}, 'something else');
    assert.equal(lines.at(-1)?.message, 'something else');
    nowMs += 10_000;
    log.warn({ i: 1000 }, 'somebody knocks');
    assert.deepEqual(lines.at(-1), {
      level: 'warn',
      fields: { i: 1000, suppressed: 980 },
      message: 'somebody knocks',
    });
    nowMs += 10_000;
    log.warn({ i: 1001 }, 'somebody knocks');
    assert.deepEqual(lines.at(-1)?.fields, { i: 1001 });
    for (let i = 0; i < 100; i++) log.debug({ i }, 'asked for');
    assert.equal(lines.filter(({ level }) => level === 'debug').length, 100);
  });
});
