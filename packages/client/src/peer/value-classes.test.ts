import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { STRUCTURED_VALUES, isBlob } from '../features/structured-codec.ts';
import { encodeValue } from './plain-values.ts';
import { isUint8Array } from './value-classes.ts';

/* Another context has classes of its own, as another frame of a page has. */
const frame = createContext({});

async function roundTrip(value: unknown): Promise<unknown> {
  const { kind, body } = encodeValue(value, STRUCTURED_VALUES);
  const sent = await body;
  if (kind === 'j') return JSON.parse(String(sent)) as unknown;
  assert.ok(sent instanceof Uint8Array);
  return kind === 'b' ? sent : STRUCTURED_VALUES.decode(sent.slice());
}

function isNotSendable(value: unknown, message = /cannot be sent/): void {
  assert.throws(() => encodeValue(value, STRUCTURED_VALUES), { code: 'NOT_SENDABLE', message });
}

describe('values of another frame', () => {
  const all: readonly (readonly [source: string, expected: unknown])[] = [
    ['({ a: [1, { b: null }] })', { a: [1, { b: null }] }],
    ['new Date(7)', new Date(7)],
    ['new Map([["a", new Set([1n])]])', new Map([['a', new Set([1n])]])],
    ['new Set([new Date(NaN)])', new Set([new Date(Number.NaN)])],
    ['new Uint8Array([1, 2])', Uint8Array.of(1, 2)],
    ['[new Uint8Array([1, 2]).subarray(1)]', [Uint8Array.of(2)]],
    ['new Float64Array([1.5])', Float64Array.of(1.5)],
    ['new BigInt64Array([-1n])', BigInt64Array.of(-1n)],
    ['new Uint8Array([3]).buffer', Uint8Array.of(3).buffer],
    ['new DataView(new ArrayBuffer(3), 1)', new DataView(new ArrayBuffer(2))],
  ];
  for (const [source, expected] of all)
    it(`arrive: ${source}`, async () => {
      const arrived = await roundTrip(runInContext(source, frame));
      assert.deepStrictEqual(arrived, expected);
    });

  it('are sent by the kernel alone where they are bytes', () => {
    const bytes = runInContext('new Uint8Array([1, 2])', frame) as Uint8Array;
    assert.deepEqual(encodeValue(bytes, undefined).body, Uint8Array.of(1, 2));
  });
});

describe('what only says that it is something', () => {
  for (const tag of ['Date', 'Map', 'Set', 'Blob', 'File', 'ArrayBuffer', 'Uint8Array', 'DataView'])
    it(`is not sent as ${tag}`, () => {
      const value = Object.create({ [Symbol.toStringTag]: tag }, {}) as object;
      assert.equal(isBlob(value), false);
      assert.equal(isUint8Array(value), false);
      isNotSendable(Object.create(Object.create({ [Symbol.toStringTag]: tag })));
    });
});

describe('bytes that were given away', () => {
  const detached = <T extends { readonly buffer: ArrayBufferLike } | ArrayBuffer>(value: T): T => {
    const buffer = value instanceof ArrayBuffer ? value : value.buffer;
    structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    return value;
  };
  const made: Readonly<Record<string, () => unknown>> = {
    ArrayBuffer: () => detached(new ArrayBuffer(8)),
    Uint8Array: () => detached(new Uint8Array(8)),
    Float32Array: () => detached(new Float32Array(2)),
    DataView: () => detached(new DataView(new ArrayBuffer(8))),
    'a view longer than its buffer is now': () => {
      const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
      const view = new Uint8Array(buffer, 4, 4);
      buffer.resize(2);
      return view;
    },
  };
  for (const [name, make] of Object.entries(made))
    it(`are refused, alone and within a value: ${name}`, () => {
      isNotSendable(make(), /value, whose buffer is detached/);
      isNotSendable({ list: [make()] }, /value\.list\.0, whose buffer is detached/);
    });

  it('are not mistaken for empty ones', async () => {
    assert.deepEqual(await roundTrip(new Uint8Array(0)), new Uint8Array(0));
    assert.deepEqual(await roundTrip([new ArrayBuffer(0)]), [new ArrayBuffer(0)]);
  });
});
