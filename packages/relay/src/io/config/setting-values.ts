import * as v from 'valibot';
import { formatIp, parseIp } from '@lumamesh/base';

/* What the values of settings look like. */

/** libwebrtc refuses candidates on ports below 1024, but for 80 and 443. */
const LOWEST_PORT = 1024;
const LOW_PORTS_ALLOWED = [80, 443];

export const wholeNumber = (min: number, max: number) =>
  v.pipe(v.string(), v.regex(/^\d{1,9}$/), v.transform(Number), v.minValue(min), v.maxValue(max));

export const ipv4 = v.pipe(
  v.string(),
  v.check((text) => parseIp(text)?.length === 4 && !text.includes(':')),
  v.transform(canonicalIp),
);
export const ipv6 = v.pipe(
  v.string(),
  v.check((text) => parseIp(text)?.length === 16),
  v.transform(canonicalIp),
);
export const file = v.pipe(v.string(), v.nonEmpty());
export const hostName = v.pipe(
  v.string(),
  v.regex(
    /^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/i,
  ),
);
export const port = v.pipe(
  wholeNumber(1, 65_535),
  v.check((number) => number >= LOWEST_PORT || LOW_PORTS_ALLOWED.includes(number)),
);
export const hostPort = v.pipe(
  v.string(),
  v.regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:]+):\d{1,5}$/),
  v.transform((text) => {
    const colon = text.lastIndexOf(':');
    return {
      host: text.slice(0, colon).replace(/^\[|\]$/g, ''),
      port: Number(text.slice(colon + 1)),
    };
  }),
  v.check((value) => value.port <= 65_535),
);

export const dialable = v.pipe(
  hostPort,
  v.check((value) => value.port > 0),
);

const TRAFFIC_UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12 };
const MIN_TRAFFIC_BYTES = 1e8;
const MAX_TRAFFIC_BYTES = 1e15;

/** Bytes, with a unit or without: `500GB`. */
export const traffic = v.pipe(
  v.string(),
  v.regex(/^\d{1,15}( ?[MGT]B)?$/),
  v.transform((text) => parseInt(text, 10) * (TRAFFIC_UNITS[text.slice(-2)] ?? 1)),
  v.minValue(MIN_TRAFFIC_BYTES),
  v.maxValue(MAX_TRAFFIC_BYTES),
);

/** A whole number, or `null` for what the relay finds out itself. */
export const automatic = (min: number, max: number) =>
  v.union([
    v.pipe(
      v.literal('auto'),
      v.transform(() => null),
    ),
    wholeNumber(min, max),
  ]);

/** The one spelling that records have (RFC 5952). */
function canonicalIp(text: string): string {
  return formatIp(parseIp(text) ?? new Uint8Array(0));
}
