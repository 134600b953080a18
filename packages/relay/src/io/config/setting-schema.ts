import * as v from 'valibot';
import { parseIp } from '@lumamesh/base';
import { isIcePassword, isIceUfrag } from '@lumamesh/transport';
import {
  automatic,
  dialable,
  file,
  hostName,
  hostPort,
  ipv4,
  ipv6,
  port,
  wholeNumber,
} from './setting-values.ts';

/** What each setting may hold, by its name in `SETTINGS`. */
export const SCHEMA = v.object({
  publicIp: ipv4,
  publicIp6: v.optional(ipv6),
  publicHost: v.optional(hostName),
  udpPort: port,
  listenIp: v.optional(
    v.pipe(
      v.string(),
      v.check((text) => parseIp(text) !== null),
    ),
  ),
  iceUfrag: v.pipe(v.string(), v.check(isIceUfrag)),
  icePwd: v.optional(v.pipe(v.string(), v.check(isIcePassword))),
  certFile: file,
  keyFile: file,
  nodeKey: file,
  meshSalt: v.optional(v.string()),
  meshListen: v.optional(hostPort),
  meshPeers: v.optional(
    v.pipe(
      v.string(),
      v.transform((text) => text.split(',').map((part) => part.trim())),
      v.array(dialable),
    ),
  ),
  meshFile: file,
  meshMemoryMb: wholeNumber(8, 65_536),
  meshChecksPerSecond: wholeNumber(1, 1000),
  meshSocketsPerNetwork: wholeNumber(1, 400),
  healthListen: v.optional(hostPort),
  maxSessions: wholeNumber(1, 1_000_000),
  maxSessionsPerAddress: wholeNumber(1, 1_000_000),
  maxSessionsPerNetwork: wholeNumber(1, 1_000_000),
  maxHalfOpen: wholeNumber(1, 1_000_000),
  maxHandshakesPerSecond: wholeNumber(1, 1_000_000),
  maxStunPerSecond: wholeNumber(1, 1_000_000),
  maxDeliveriesPerSecond: wholeNumber(1, 1_000_000),
  maxBytesPerSecond: wholeNumber(1000, 999_999_999),
  turnRate: wholeNumber(0, 999_999_999),
  turnRatePerPair: automatic(1000, 999_999_999),
  turnRatePerSession: automatic(1000, 999_999_999),
  turnRatePerRoom: automatic(1000, 999_999_999),
  turnRatePerAddress: automatic(1000, 999_999_999),
  maxTurnAllocations: wholeNumber(8, 65_536),
  maxTurnAllocationsPerSession: wholeNumber(1, 65_536),
  maxHeldMb: automatic(1, 65_536),
  maxRoomSize: wholeNumber(2, 10_000),
  maxMessagesPerSecond: wholeNumber(1, 1_000_000),
  nativeIo: v.picklist(['auto', 'off']),
  logLevel: v.picklist(['debug', 'info', 'warn', 'error', 'silent']),
  logFormat: v.picklist(['auto', 'json', 'text']),
  logAddresses: v.picklist(['redacted', 'full']),
});
