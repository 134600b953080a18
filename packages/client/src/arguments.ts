import { LumameshError, expectNumber, expectType } from '@lumamesh/base';
import type { ConnectOptions, RoomOptions } from './api.ts';
import { checkSignal, expectFields, expectOneOf } from './options.ts';
import { checkToken } from './net/relay-access.ts';
import type { Platform } from './platform/platform.ts';

/*
 * What `connect` and `joinRoom` are given by pages without type checks. Throws `BAD_ARGUMENT`, and
 * what the name of a room or an identity has codes of their own for.
 */

export function checkConnectOptions(options: ConnectOptions, { PeerConnection }: Platform): void {
  expectFields('connect: ', options, 'onListenerError', 'function', 'undefined');
  expectFields('connect: ', options, 'discover', 'boolean', 'undefined');
  expectFields('connect: ', options, 'rtcConfiguration', 'object', 'undefined');
  const { identity, iceServers = [], rtcConfiguration, storage, logger = {} } = options;
  expectFields('connect: logger.', logger, 'debug info warn', 'function', 'undefined');
  if (storage) expectFields('connect: storage.', storage, 'getItem setItem', 'function');
  checkToken(options.token);
  checkSignal('connect: ', options);
  if (identity !== undefined && typeof identity?.peerFor !== 'function')
    throw new LumameshError('BAD_IDENTITY', 'connect: identity must be of lumamesh/identity');
  try {
    // The browser knows best, and says so here, where the page can see it, rather than later.
    const configuration = {
      ...rtcConfiguration,
      iceServers: [...iceServers, ...(rtcConfiguration?.iceServers ?? [])],
    };
    const isGiven = rtcConfiguration !== undefined || iceServers.length > 0;
    if (isGiven && PeerConnection !== null) new PeerConnection(configuration).close();
  } catch (cause) {
    throw new LumameshError(
      'BAD_ARGUMENT',
      `connect: iceServers or rtcConfiguration: ${String(cause)}`,
      { cause },
    );
  }
}

export function checkRoomOptions(name: unknown, options: RoomOptions, call = 'joinRoom'): void {
  expectType(`${call}: name`, name, 'string');
  if (name === '') throw new LumameshError('BAD_ROOM_NAME', `${call}: a name is not empty`);
  expectFields(`${call}: `, options, 'nick password', 'string', 'undefined');
  expectNumber('joinRoom: maxPeers', options.maxPeers, 1, Infinity);
  const { role = 'member' } = options;
  expectOneOf('joinRoom: role', role, ['member', 'observer']);
}
