import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { mutations, seededRandom } from '@lumamesh/testkit';
import { STRUCTURED_VALUES } from './structured-codec.ts';

async function roundTrip(value: unknown): Promise<unknown> {
  const { body } = STRUCTURED_VALUES.encode(value);
  const bytes = await body;
  assert.ok(bytes instanceof Uint8Array);
  return STRUCTURED_VALUES.decode(bytes.slice());
}

/** A value of all that can be sent, as it comes. */
function randomValue(random: () => number, depth = 0): unknown {
  const pick = Math.floor(random() * (depth > 3 ? 9 : 17));
  const inner = (): unknown => randomValue(random, depth + 1);
  const many = (): unknown[] => Array.from({ length: random() * 4 }, inner);
  const name = ['a', '$', '__proto__', '7', 'é', 'constructor'][Math.floor(random() * 6)] ?? '';
  const bytes = Uint8Array.from({ length: Math.floor(random() * 4) * 8 }, () => random() * 256);
  const values: readonly (() => unknown)[] = [
    () => undefined,
    () => null,
    () => [Number.NaN, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5][pick % 5],
    () => random() * 1e9,
    () => ['', 'text', '\ud800', '\u0000"\\'][Math.floor(random() * 4)],
    () => BigInt(Math.floor(random() * 1e15)) * (random() < 0.5 ? -1n : 123_456_789_012_345_678n),
    () => new Date(random() < 0.1 ? Number.NaN : Math.floor(random() * 1e12)),
    () => random() < 0.5,
    () => bytes,
    () => bytes.buffer,
    () => new Float64Array(bytes.buffer.slice(0)),
    () => new DataView(bytes.buffer.slice(0)),
    () => new BigInt64Array(bytes.buffer.slice(0)),
    () => new Map(many().map((value) => [inner(), value])),
    () => new Set(many()),
    many,
    () => Object.fromEntries([[name, inner()], ...many().map((value, i) => [`k${i}`, value])]),
  ];
  return values[pick]?.();
}

describe('structured values', () => {
  it('arrive when they are as deep as may be sent', async () => {
    // Of all values a map takes the most levels of JSON.
    let maps: unknown = 1n;
    for (let i = 0; i < 500; i++) maps = new Map([[i, maps]]);
    assert.deepEqual(await roundTrip(maps), maps);
    assert.throws(() => STRUCTURED_VALUES.encode([[maps]]), { code: 'NOT_SENDABLE' });
  });

  it('hold as many blobs as a browser makes in a moment, and no more', async () => {
    const some = Array.from({ length: 4096 }, () => new Blob([]));
    assert.equal(((await roundTrip(some)) as readonly unknown[]).length, 4096);
    assert.throws(() => STRUCTURED_VALUES.encode([...some, new Blob([])]), {
      code: 'MESSAGE_TOO_LARGE',
    });
    const json = new TextEncoder().encode(`[${'{"$":["f","",0,null,0]},'.repeat(150_000)}0]`);
    const bytes = new Uint8Array([0, 0, 0, 0, ...json]);
    new DataView(bytes.buffer).setUint32(0, json.length);
    assert.equal(STRUCTURED_VALUES.decode(bytes), undefined);
  });

  it('arrive as they were', async () => {
    const values: readonly unknown[] = [
      new Date(0),
      new Date(Number.NaN),
      new Map<unknown, unknown>([['a', new Map([[Number.NaN, undefined]])]]),
      new Set([1n, -255n, 0n, -0]),
      { undefined: undefined, list: [undefined, Number.POSITIVE_INFINITY, -0] },
      { $: 1, inner: { $: ['u'] }, twice: { $: { $: 'x' } } },
      JSON.parse('{"__proto__":{"a":null},"b":{"$":"x"}}'),
      { bytes: new Uint8Array([1, 2]), view: new DataView(new ArrayBuffer(3), 1) },
      [new Float32Array([1.5]), new Uint8ClampedArray([300]), new BigUint64Array([7n])],
      new ArrayBuffer(5),
      new Uint16Array([1, 2, 3]).subarray(1),
    ];
    for (const value of values) {
      const arrived = await roundTrip(value);
      assert.deepStrictEqual(arrived, value);
    }
    // An offset of its own, so that other views of it can be made.
    const floats = (await roundTrip({ a: Uint8Array.of(1), f: new Float32Array(2) })) as {
      readonly f: Float32Array;
    };
    assert.deepEqual([floats.f.byteOffset, floats.f.buffer.byteLength], [0, 8]);
  });

  it('may have files in them', async () => {
    const file = new File(['abc'], 'a.txt', { type: 'text/plain', lastModified: 7 });
    const arrived = (await roundTrip({ file, blob: new Blob(['xy']), rest: 1 })) as {
      readonly file: File;
      readonly blob: Blob;
      readonly rest: number;
    };
    assert.ok(arrived.file instanceof File && !(arrived.blob instanceof File));
    const { name, type, lastModified } = arrived.file;
    assert.deepEqual(
      [name, type, lastModified, await arrived.file.text(), await arrived.blob.text()],
      ['a.txt', 'text/plain', 7, 'abc', 'xy'],
    );
    assert.throws(
      () => STRUCTURED_VALUES.encode({ big: new Blob([new Uint8Array(17_000_000)]) }),
      (error) => error instanceof LumameshError && error.code === 'MESSAGE_TOO_LARGE',
    );
  });

  it('of a thousand shapes arrive as they were', async () => {
    const random = seededRandom(11);
    for (let i = 0; i < 1000; i++) {
      const value = [randomValue(random)];
      assert.deepStrictEqual(await roundTrip(value), value);
    }
  });

  it('of a stranger throw nothing, and grow to no more than was sent', async () => {
    const random = seededRandom(5);
    for (let round = 0; round < 200; round++) {
      const bytes = await STRUCTURED_VALUES.encode([randomValue(random)]).body;
      assert.ok(bytes instanceof Uint8Array);
      for (const mutated of mutations(bytes, 20, round)) STRUCTURED_VALUES.decode(mutated.slice());
    }
    const of = (json: string, tail = 0): Uint8Array<ArrayBuffer> => {
      const text = new TextEncoder().encode(json);
      const bytes = new Uint8Array(4 + text.length + tail);
      new DataView(bytes.buffer).setUint32(0, text.length);
      bytes.set(text, 4);
      return bytes;
    };
    const hostile = [
      '{"$":["b","ArrayBuffer",1e9]}',
      '{"$":["b","ArrayBuffer",-1]}',
      '[{"$":["b","ArrayBuffer",8]},{"$":["b","ArrayBuffer",8]}]',
      '{"$":["b","Float64Array",7]}',
      '{"$":["b","Function",1]}',
      '{"$":["i","zz"]}',
      '{"$":["i","1n"]}',
      '{"$":["m",[1]]}',
      '{"$":["o",null]}',
      '{"$":["x"]}',
      '{"$":[]}',
      '{"$":["f","",9e15,"",0]}',
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
    ];
    for (const json of hostile) assert.equal(STRUCTURED_VALUES.decode(of(json, 8)), undefined);
    const views = `[${'{"$":["b","ArrayBuffer",1000]},'.repeat(20_000)}0]`;
    assert.equal(STRUCTURED_VALUES.decode(of(views, 1000)), undefined);
    const startedAt = performance.now();
    STRUCTURED_VALUES.decode(of(`{"$":["i","${'f'.repeat(1_000_000)}"]}`));
    assert.ok(performance.now() - startedAt < 3000);
  });
});
