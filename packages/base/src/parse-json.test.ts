import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isIntricate, parseJson } from './parse-json.ts';

const nested = (depth: number, open = '[', close = ']'): string =>
  `${open.repeat(depth)}0${close.repeat(depth)}`;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('JSON of a stranger', () => {
  it('is what it says, as a text and as UTF-8', () => {
    for (const value of [null, 7, '', '☃[', [], {}, [[['x']]], { a: [{ '\\"[': 1 }] }]) {
      const json = JSON.stringify(value);
      assert.deepEqual(parseJson(json), value);
      assert.deepEqual(parseJson(utf8(json)), value);
      for (let end = 0; end < json.length; end++) parseJson(json.slice(0, end));
    }
  });

  it('is nothing, and throws nothing, when it is none', () => {
    for (const json of ['', '[', ']', '[1,]', 'undefined', '\\[', '"', null]) {
      assert.equal(parseJson(json), undefined);
      if (json !== null) assert.equal(parseJson(utf8(json)), undefined);
    }
    assert.equal(parseJson(Uint8Array.of(0x22, 0xff, 0x22)), undefined, 'no UTF-8');
  });

  it('is taken as deep as a value that can be sent may be, and no deeper', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"":', '}]'],
    ] as const)
      for (const form of [(text: string) => text, utf8]) {
        const levels = open.startsWith('[{') ? 2 : 1;
        assert.equal(isIntricate(form(nested(2048 / levels, open, close))), false, open);
        assert.notEqual(parseJson(form(nested(2048 / levels, open, close))), undefined, open);
        assert.equal(parseJson(form(nested(2049, open, close))), undefined, open);
      }
    // What is closed again, and what is in texts, does not count.
    const flat = JSON.stringify(Array.from({ length: 5000 }, () => ['[{"[[\\', {}]));
    for (const form of [(text: string) => text, utf8])
      assert.deepEqual(parseJson(form(flat)), JSON.parse(flat));
  });

  it('has a million parts at most', () => {
    const of = (parts: number): string => `[${'0,'.repeat(parts - 1)}0]`;
    assert.equal(isIntricate(of(1_000_000)), false);
    assert.equal(isIntricate(of(1_000_001)), true);
    assert.equal(isIntricate(`[${'{},'.repeat(600_000)}0]`), true);
  });

  it('is none where its keys are indices that engines make room for, however these are written', () => {
    const of = (objects: number, key: string): string => `[${`{"${key}":0},`.repeat(objects)}0]`;
    for (const key of ['999', '9\\u0039\\u0039', '\\u0039\\u0039\\u0039'])
      for (const form of [(text: string) => text, utf8]) {
        assert.equal(isIntricate(form(of(6000, key))), true, key);
        assert.equal(isIntricate(form(of(4000, key))), false, key);
      }
    // Larger ones are kept by name, and what is no index is only a key.
    for (const key of ['1000', '99 9', 'a99', '\\u00e9', ''])
      assert.equal(isIntricate(of(100_000, key)), false, key);
    // Of one object the largest counts, and texts that are no keys do not.
    const table = JSON.stringify(
      Array.from({ length: 400 }, () =>
        Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [i, i])),
      ),
    );
    assert.equal(isIntricate(table), false);
    assert.equal(isIntricate(JSON.stringify(Array.from({ length: 300_000 }, () => '999'))), false);
    assert.equal(isIntricate(of(4000, '999').replaceAll(':', '  :')), false);
    assert.equal(isIntricate(of(6000, '999').replaceAll(':', '  :')), true);
  });

  it('costs no more time than its length tells', () => {
    const timeOf = (json: string): number => {
      const times = Array.from({ length: 8 }, () => {
        const startedAt = performance.now();
        parseJson(json);
        return performance.now() - startedAt;
      });
      return Math.min(...times);
    };
    const flat = timeOf(`[${'[],'.repeat(20_000)}0]`);
    // As JSON.parse alone reads it, it takes some fifty times as long as the flat one.
    const deep = timeOf('['.repeat(60_000));
    assert.ok(deep < 2 * flat, `${deep} ms, and ${flat} ms for what is flat`);
  });
});
