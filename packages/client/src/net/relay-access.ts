import { LumameshError, expectThat } from '@lumamesh/base';
import { ACCESS_BY_TOKEN, isAccessToken, isOpenToAll } from '@lumamesh/protocol';
import type { ConnectOptions } from '../api.ts';
import type { KnownRelay } from './relay-source.ts';

/** Whether a page may come in at a relay, by what that says of itself. */
export function mayEnter(relay: KnownRelay, { token }: ConnectOptions): boolean {
  return isOpenToAll(relay) || (relay.access === ACCESS_BY_TOKEN && token !== undefined);
}

/** The page's token for a private relay. Rejects with `RELAY_PRIVATE` where it has none. */
export async function tokenFor(relay: KnownRelay, { token }: ConnectOptions): Promise<string> {
  let cause: unknown;
  try {
    const given = typeof token === 'function' ? await token(relay) : token;
    if (isAccessToken(given)) return given;
  } catch (error) {
    cause = error;
  }
  throw noToken(relay, cause);
}

/** Why a page cannot come in. */
export function noToken({ ip, port }: KnownRelay, cause?: unknown): LumameshError {
  return new LumameshError(
    'RELAY_PRIVATE',
    `this relay is private, and connect({ token }) has no token of its operator (relay ${ip}:${port})`,
    { cause },
  );
}

/** Throws `BAD_ARGUMENT`. */
export function checkToken(token: unknown): void {
  const isRight = token === undefined || typeof token === 'function' || isAccessToken(token);
  const allowed = '16 to 128 printable characters without blanks and commas, or a function';
  expectThat(isRight, 'connect: token', allowed, token);
}
