import { LumameshError } from '@lumamesh/base';

/** Puts a feature's methods on the page's object. Throws `BAD_FEATURE` at a name that is there. */
export function extend(target: object, api: object = {}): void {
  for (const name of Object.keys(api)) refuseTwice(name, name in target);
  Object.defineProperties(target, Object.getOwnPropertyDescriptors(api));
}

/** Two features that claim one thing are the page's mistake. Throws `BAD_FEATURE`. */
export function refuseTwice(what: string, isThere: boolean): void {
  if (isThere) throw new LumameshError('BAD_FEATURE', `two features have "${what}"`);
}

/** Everything that a page hears of is a LumameshError. */
export function toError(cause: unknown, code = 'PEER_FAILED'): LumameshError {
  return cause instanceof LumameshError
    ? cause
    : new LumameshError(code, cause instanceof Error ? cause.message : String(cause), { cause });
}
