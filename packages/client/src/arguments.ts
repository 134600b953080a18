import { LumameshError, expectNumber, expectThat, expectType } from '@lumamesh/base';
import type { ConnectOptions, RoomOptions } from './api.ts';
import type { Platform } from './platform/platform.ts';

/* What `connect` and `joinRoom` are given by pages without type checks. Throws `BAD_ARGUMENT`. */

export function checkConnectOptions(options: ConnectOptions, { PeerConnection }: Platform): void {
  expectType('connect: options', options, 'object');
  const { iceServers, signal, storage, logger, onListenerError } = options;
  expectMethods('signal', signal ?? undefined, 'addEventListener');
  expectMethods('storage', storage ?? undefined, 'getItem', 'setItem');
  expectType('connect: logger', logger, 'object', 'undefined');
  for (const level of ['debug', 'info', 'warn'] as const)
    expectType(`connect: logger.${level}`, logger?.[level], 'function', 'undefined');
  expectType('connect: onListenerError', onListenerError, 'function', 'undefined');
  if (iceServers === undefined) return;
  expectThat(Array.isArray(iceServers), 'connect: iceServers', 'an array', iceServers);
  try {
    // The browser knows best, and says so here, where the page can see it, rather than later.
    if (PeerConnection !== null) new PeerConnection({ iceServers: [...iceServers] }).close();
  } catch (cause) {
    throw new LumameshError('BAD_ARGUMENT', `connect: iceServers: ${String(cause)}`, { cause });
  }
}

export function checkRoomOptions(name: unknown, options: RoomOptions): void {
  expectType('joinRoom: name', name, 'string');
  if (name === '') throw new LumameshError('BAD_ROOM_NAME', 'a room needs a name');
  expectType('joinRoom: options', options, 'object');
  expectType('joinRoom: nick', options.nick, 'string', 'undefined');
  expectType('joinRoom: password', options.password, 'string', 'undefined');
  expectNumber('joinRoom: maxPeers', options.maxPeers, 1, Infinity);
  const { role = 'member' } = options;
  expectThat(['member', 'observer'].includes(role), 'joinRoom: role', 'member or observer', role);
}

function expectMethods(parameter: string, value: object | undefined, ...names: string[]): void {
  const has = (name: string): boolean =>
    typeof (value as Record<string, unknown>)[name] === 'function';
  const allowed = `an object with ${names.join(' and ')}`;
  expectThat(value === undefined || names.every(has), `connect: ${parameter}`, allowed, value);
}
