import { type DestinationStream, pino } from 'pino';
import { TokenBucket } from '@lumamesh/base';
import { monotonicNow } from '@lumamesh/transport/io';
import type { RelayConfig } from './config/config.ts';

/**
 * What the relay logs with: fields first, then one sentence, the same for every event of its kind.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface RelayLogger extends Logger {
  setLevel(level: RelayConfig['logLevel']): void;
}

const STANDARD_ERROR = 2;
/**
 * Of one sentence, per process: a burst, then one in ten seconds. What was left out is counted in
 * the next line of its kind.
 */
const SAME_LINES_BURST = 20;
const SAME_LINES_PER_SECOND = 0.1;
/** Sentences are constants of this program; fields hold what varies. */
const MAX_KINDS = 256;

/**
 * Lines on standard error, JSON for programs and text on a terminal; standard output belongs to the
 * record.
 */
export async function makeLogger({
  logLevel,
  logFormat,
}: Pick<RelayConfig, 'logLevel' | 'logFormat'>): Promise<RelayLogger> {
  const isText = logFormat === 'text' || (logFormat === 'auto' && process.stderr.isTTY);
  const destination = isText
    ? await textDestination()
    : pino.destination({ dest: STANDARD_ERROR, sync: true });
  const log = pino({ level: logLevel, base: null }, destination);
  return { ...limitRepeats(log), setLevel: (level) => void (log.level = level) };
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Keeps one kind of event from filling a disk: a stranger may cause many of them. Debug lines are
 * asked for, and pass.
 */
export function limitRepeats(log: Logger, now = monotonicNow): Logger {
  const kinds = new Map<string, { readonly bucket: TokenBucket; suppressed: number }>();
  const limited =
    (level: 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      const known = kinds.get(message);
      const kind = known ?? {
        bucket: new TokenBucket(SAME_LINES_PER_SECOND, SAME_LINES_BURST),
        suppressed: 0,
      };
      if (known === undefined && kinds.size < MAX_KINDS) kinds.set(message, kind);
      if (!kind.bucket.take(now())) {
        kind.suppressed += 1;
        return;
      }
      const { suppressed } = kind;
      kind.suppressed = 0;
      log[level](suppressed === 0 ? fields : { ...fields, suppressed }, message);
    };
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: limited('info'),
    warn: limited('warn'),
    error: limited('error'),
  };
}

/** Loaded on terminals only. */
async function textDestination(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  return pretty({
    destination: STANDARD_ERROR,
    sync: true,
    colorize: process.stderr.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
    ignore: 'pid,hostname',
  });
}
