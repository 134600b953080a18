import { expectThat, expectType } from '@lumamesh/base';
import { LANE_BY_NAME, type SendOptions } from './peer/peer-frame.ts';

/*
 * Options as pages without type checks give them. Each throws `BAD_ARGUMENT` before anything is
 * done: what is half done with wrong options may never end.
 */

export function checkSendOptions(options: SendOptions): void {
  expectFields('send: ', options, 'reliable', 'boolean', 'undefined');
  expectFields('send: ', options, 'onProgress', 'function', 'undefined');
  checkSignal('send: ', options);
  const { lane = 'values', delivery = 'sent' } = options;
  expectOneOf('send: lane', lane, Object.keys(LANE_BY_NAME));
  expectOneOf('send: delivery', delivery, ['received', 'sent']);
}

/** Of a peer, a room or a net: refused before anything of it is ended. */
export function checkCloseOptions(options: { readonly flush?: boolean } = {}): void {
  expectFields('close: ', options, 'flush', 'boolean', 'undefined');
}

/** An AbortSignal, or none. */
export function checkSignal(
  where: string,
  options: { readonly signal?: AbortSignal | undefined },
): void {
  expectType(`${where}options`, options, 'object');
  const signal: unknown = options.signal ?? null;
  const isRight =
    signal === null || typeof (signal as Partial<AbortSignal>).addEventListener === 'function';
  expectThat(isRight, `${where}signal`, 'an AbortSignal', signal);
}

export function expectOneOf(parameter: string, value: string, allowed: readonly string[]): void {
  expectThat(allowed.includes(value), parameter, allowed.join(' or '), value);
}

/** An object, and the types of some of its fields. */
export function expectFields(
  where: string,
  value: object,
  names: string,
  ...types: readonly string[]
): void {
  expectType(`${where}options`, value, 'object');
  for (const name of names.split(' '))
    expectType(where + name, (value as Record<string, unknown>)[name], ...types);
}
