import { readFile } from 'node:fs/promises';
import {
  type MonthCount,
  MonthlyTraffic,
  decodeMonthCount,
  encodeMonthCount,
} from '../core/monthly-traffic.ts';
import { BUILD } from './build-info.ts';
import type { Logger } from './log.ts';
import { replaceFile } from './replace-file.ts';

const LOOK_MS = 5000;
/** A crash forgets what came after the last one. */
const SAVE_MS = 10 * 60_000;

/** For `/statsz`. */
export interface MonthlyStats extends MonthCount {
  readonly max: number;
  readonly isResting: boolean;
}

export interface MonthlyWatchOptions {
  /** Beside the identity. */
  readonly file: string;
  /** MONTHLY_TRAFFIC as it is now. */
  readonly maxBytes: () => number | undefined;
  /** Bytes since the start. */
  readonly readTotal: () => number;
  readonly log: Logger;
  /** The month's traffic is used, or there is some again. */
  readonly onChange: (isResting: boolean) => void;
}

/** {@link MonthlyTraffic} with its file. Where MONTHLY_TRAFFIC is not set there is none. */
export class MonthlyWatch {
  readonly #options: MonthlyWatchOptions;
  readonly #traffic: MonthlyTraffic;
  readonly #timer: NodeJS.Timeout;
  #savedAtMs: number;
  #saved: MonthCount | null;
  #saving = Promise.resolve();
  #isResting = false;

  private constructor(options: MonthlyWatchOptions, saved: MonthCount | null, nowUnixMs: number) {
    this.#options = options;
    this.#saved = saved;
    this.#savedAtMs = nowUnixMs;
    this.#traffic = new MonthlyTraffic(nowUnixMs, saved, BUILD.madeUnixSeconds * 1000);
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Reads the file; one that is damaged is told loudly, and counts as none. Never rejects. */
  static async start(options: MonthlyWatchOptions, nowUnixMs = Date.now()): Promise<MonthlyWatch> {
    const watch = new MonthlyWatch(options, await load(options), nowUnixMs);
    watch.look(nowUnixMs);
    return watch;
  }

  /** `undefined` while MONTHLY_TRAFFIC is not set. */
  get stats(): MonthlyStats | undefined {
    const max = this.#options.maxBytes();
    if (max === undefined) return undefined;
    return { ...this.#traffic.count, max, isResting: this.#isResting };
  }

  get isResting(): boolean {
    return this.#isResting;
  }

  /** Counts, and says so when the relay is to rest or to go on. */
  look(nowUnixMs = Date.now()): void {
    const { maxBytes, readTotal, log, onChange } = this.#options;
    const max = maxBytes();
    if (max === undefined && !this.#isResting) return;
    this.#traffic.handleTotal(nowUnixMs, readTotal());
    const isResting = this.#traffic.isUsed(max);
    if (isResting !== this.#isResting) {
      this.#isResting = isResting;
      const { month, bytes } = this.#traffic.count;
      if (isResting)
        log.warn(
          { month, bytes, max },
          'the traffic of this month is used (MONTHLY_TRAFFIC): the relay rests until the month turns, in UTC; sessions are told to go on by another one',
        );
      else log.info({ month, bytes }, 'there is traffic to spare: the relay goes on');
      onChange(isResting);
      void this.save(nowUnixMs);
    } else if (max !== undefined && nowUnixMs - this.#savedAtMs >= SAVE_MS)
      void this.save(nowUnixMs);
  }

  /** Counts for the last time. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#options.maxBytes() === undefined) return;
    this.#traffic.handleTotal(Date.now(), this.#options.readTotal());
    await this.save();
  }

  /** Writes the count where it has changed. Never rejects. */
  async save(nowUnixMs = Date.now()): Promise<void> {
    this.#savedAtMs = nowUnixMs;
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  async #write(): Promise<void> {
    const { file, log, maxBytes } = this.#options;
    const { count } = this.#traffic;
    if (maxBytes() === undefined) return;
    if (count.month === this.#saved?.month && count.bytes === this.#saved.bytes) return;
    try {
      await replaceFile(file, encodeMonthCount(count));
      this.#saved = count;
    } catch (error) {
      log.warn(
        { file, error: (error as Error).message },
        'the traffic of this month could not be saved: a restart counts from what was saved last',
      );
    }
  }
}

async function load({ file, log, maxBytes }: MonthlyWatchOptions): Promise<MonthCount | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && maxBytes() !== undefined)
      log.error(
        { file, error: error.message },
        'the traffic of this month cannot be read: it counts from zero',
      );
    return null;
  });
  if (text === null) return null;
  const count = decodeMonthCount(text);
  if (count === null && maxBytes() !== undefined)
    log.error({ file }, 'the file with the traffic of this month is damaged: it counts from zero');
  return count;
}
