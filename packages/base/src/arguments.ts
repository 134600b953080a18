import { LumameshError } from './error.ts';

/*
 * What callers without type checks give. Each of these throws `BAD_ARGUMENT`, naming the parameter
 * (`joinRoom: name`) and what is allowed. For what may be left out `'undefined'` is a type as well.
 */
export type ArgumentType =
  | 'string'
  | 'number'
  | 'boolean'
  | 'function'
  | 'object'
  | 'undefined'
  | 'null';

/** `expectThat(isId(id), 'room.peer: id', 'an id', id)`. */
export function expectThat(
  isRight: boolean,
  parameter: string,
  allowed: string,
  value: unknown,
): asserts isRight {
  if (isRight) return;
  const seen =
    typeof value === 'number' || typeof value === 'string' ? JSON.stringify(value) : typeOf(value);
  // NaN and Infinity are `null` in JSON.
  const shown = seen === 'null' && typeof value === 'number' ? String(value) : seen.slice(0, 40);
  throw new LumameshError('BAD_ARGUMENT', `${parameter} must be ${allowed}, not ${shown}`);
}

/** `expectType('joinRoom: password', password, 'string', 'undefined')`. */
export function expectType(
  parameter: string,
  value: unknown,
  ...types: readonly ArgumentType[]
): void {
  expectThat(
    (types as readonly string[]).includes(typeOf(value)),
    parameter,
    types.join(' or '),
    value,
  );
}

/** A whole number or a fraction in `[min, max]`, or `undefined`; never NaN. */
export function expectNumber(
  parameter: string,
  value: unknown,
  min: number,
  max = Number.MAX_VALUE,
): void {
  const isRight = typeof value === 'number' && value >= min && value <= max;
  const range =
    max === Number.MAX_VALUE ? `a number of at least ${min}` : `a number of ${min} to ${max}`;
  expectThat(isRight || value === undefined, parameter, range, value);
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
