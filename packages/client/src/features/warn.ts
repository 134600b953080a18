import type { NetHandle } from '../feature.ts';

/** Tells the page's logger of what went wrong in its own code. */
export type Warn = (message: string, details?: unknown) => void;

export function warnBy({ options: { logger } }: NetHandle): Warn {
  return (message, details) => logger?.warn?.(message, details);
}
