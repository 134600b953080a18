import { totalmem } from 'node:os';
import type { EndpointLimits, TurnLimits } from '@lumamesh/transport';
import type { TcpLimits } from '@lumamesh/transport/io';
import type { RelayCoreLimits } from '../core/relay-core.ts';
import type { RelayConfig } from './config/config.ts';

/** Sessions beyond MAX_SESSIONS that may come up far enough to be told RELAY_FULL. */
const FULL_NOTICE_SESSIONS = 32;
/** The same beyond what an address, or a network, may have. */
const HOST_NOTICE_SESSIONS = 4;
const NETWORK_NOTICE_SESSIONS = 8;
/** How many handshakes of one address may be under way, of all that may. */
const HALF_OPEN_SHARE = 1 / 8;
/**
 * Unproven handshakes up to which nobody is asked for a cookie: a burst of a few hundred browsers
 * is an ordinary day.
 */
const MAX_COOKIE_THRESHOLD = 512;
const MIN_COOKIE_THRESHOLD = 16;
/** Of the memory that the process may have, where MAX_HELD_MB says nothing. */
const HELD_SHARE = 1 / 8;
const MIN_HELD_BYTES = 16 * 2 ** 20;
const MAX_HELD_BYTES = 64 * 2 ** 20;

/** What sessions together may make the relay hold, in bytes. */
export function maxHeldBytes({ maxHeldMb }: Pick<RelayConfig, 'maxHeldMb'>): number {
  if (maxHeldMb !== null) return maxHeldMb * 2 ** 20;
  // MemoryMax of the service or the limit of the container; zero or a huge number where there is
  // none.
  const constrained = process.constrainedMemory();
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.min(MAX_HELD_BYTES, Math.max(MIN_HELD_BYTES, available * HELD_SHARE));
}

/** What the settings mean for the transport. */
export function endpointLimits(config: RelayConfig): EndpointLimits {
  const { maxSessions, maxHalfOpen } = config;
  return {
    maxSessions: maxSessions + FULL_NOTICE_SESSIONS,
    cookieThreshold: Math.min(
      MAX_COOKIE_THRESHOLD,
      Math.max(MIN_COOKIE_THRESHOLD, Math.floor(maxSessions / 2)),
    ),
    maxHalfOpen,
    sources: {
      sessionsPerHost: config.maxSessionsPerAddress + HOST_NOTICE_SESSIONS,
      sessionsPerNetwork: config.maxSessionsPerNetwork + NETWORK_NOTICE_SESSIONS,
      halfOpenPerHost: Math.max(1, Math.ceil(maxHalfOpen * HALF_OPEN_SHARE)),
      handshakesPerSecond: config.maxHandshakesPerSecond,
      stunPerSecond: config.maxStunPerSecond,
    },
    maxHeldBytes: maxHeldBytes(config),
  };
}

/** What is forwarded comes in and goes out: a quarter of the bandwidth uses half of it. */
const FORWARDING_SHARE = 1 / 4;

/** TURN_RATE as far as MAX_BANDWIDTH has it, in bytes per second; 0: nothing is forwarded. */
export function forwardingRate({
  turnRate,
  maxBandwidth,
}: Pick<RelayConfig, 'turnRate' | 'maxBandwidth'>): number {
  if (maxBandwidth === undefined) return turnRate;
  return Math.min(turnRate, Math.floor(maxBandwidth * FORWARDING_SHARE));
}

/** What the settings mean for TURN; `null` where it is off. */
export function turnLimits(config: RelayConfig): TurnLimits | null {
  const turnRate = forwardingRate(config);
  if (turnRate === 0) return null;
  const quarter = Math.ceil(turnRate / 4);
  return {
    bytesPerSecond: turnRate,
    bytesPerSecondOfPair: config.turnRatePerPair ?? quarter,
    bytesPerSecondOfSession: config.turnRatePerSession ?? quarter,
    bytesPerSecondOfRoom: config.turnRatePerRoom ?? 2 * quarter,
    bytesPerSecondOfHost: config.turnRatePerAddress ?? quarter,
    maxAllocations: config.maxTurnAllocations,
    allocationsPerSession: config.maxTurnAllocationsPerSession,
  };
}

/** Connections beyond those of sessions that may come and go, and those of TURN. */
const MORE_SOCKETS = 256;
/** A browser has one of its session, and one or two of TURN. */
const SOCKETS_PER_SESSION = 3;

/** What they mean for TCP; `null` where there is none. */
export function tcpLimits(config: RelayConfig): (TcpLimits & { readonly port: number }) | null {
  const { tcpPort, maxSessions, maxSessionsPerAddress, maxSessionsPerNetwork } = config;
  if (tcpPort === undefined) return null;
  const forwarded = config.turnRate === 0 ? 0 : config.maxTurnAllocations;
  return {
    port: tcpPort,
    maxSockets: maxSessions + forwarded + MORE_SOCKETS,
    socketsPerHost: maxSessionsPerAddress * SOCKETS_PER_SESSION,
    socketsPerNetwork: maxSessionsPerNetwork * SOCKETS_PER_SESSION,
  };
}

/** What they mean for rooms. */
export function coreLimits(config: RelayConfig): RelayCoreLimits {
  return {
    maxSessions: config.maxSessions,
    maxSessionsPerHost: config.maxSessionsPerAddress,
    maxSessionsPerNetwork: config.maxSessionsPerNetwork,
    maxRoomSize: config.maxRoomSize,
    messagesPerSecond: config.maxMessagesPerSecond,
    deliveriesPerSecond: config.maxDeliveriesPerSecond,
    bytesPerSecond: config.maxBytesPerSecond,
    dialBacksPerMinute: config.dialBacksPerMinute,
  };
}
