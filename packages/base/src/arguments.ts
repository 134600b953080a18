import { LumameshError } from './error.ts';

/*
 * What callers without type checks give. Each of these throws `BAD_ARGUMENT`, naming the parameter
 * (`joinRoom: name`) and what is allowed. For what may be left out `'undefined'` is a type as well.
 */

/** `expectThat(isId(id), 'room.peer: id', 'an id', id)`. */
export function expectThat(
  isRight: boolean,
  parameter: string,
  allowed: string,
  value: unknown,
): asserts isRight {
  if (isRight) return;
  const type = typeOf(value);
  // What objects and texts hold is nobody's business.
  const shown = type === 'number' ? String(value) : type;
  throw new LumameshError('BAD_ARGUMENT', `${parameter} must be ${allowed}, not ${shown}`);
}

/** `expectType('joinRoom: password', password, 'string', 'undefined')`. */
export function expectType(parameter: string, value: unknown, ...types: readonly string[]): void {
  expectThat(types.includes(typeOf(value)), parameter, types.join(' or '), value);
}

/** A number in `[min, max]`, or `undefined`; never NaN. */
export function expectNumber(
  parameter: string,
  value: unknown,
  min: number,
  max = Number.MAX_VALUE,
): void {
  const isRight = typeof value === 'number' && value >= min && value <= max;
  expectThat(isRight || value === undefined, parameter, `a number of ${min} to ${max}`, value);
}

function typeOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
