import { serial32Add, serial32Diff, serial32Lte } from '@lumamesh/base';
import type { GapAckBlock } from '../chunk/sack-chunk.ts';

/**
 * Separate runs of TSNs held beyond a gap. A sender with an honest window of 128 KB in 1 200 B
 * packets has at most half as many losses.
 */
const MAX_RUNS = 64;
const MAX_DUPLICATES = 16;
/** A gap block's offsets have 16 bits. */
const MAX_OFFSET = 0xffff;

export type TsnVerdict = 'new' | 'duplicate' | 'tooFar' | 'tooManyGaps';

/** Which TSNs have arrived: the cumulative one, and runs beyond it (RFC 9260 §6.2). */
export class ReceivedTsns {
  #cumulativeTsn: number;
  /**
   * Ascending, disjoint, not touching; offsets would go stale as the cumulative TSN moves, so these
   * are TSNs.
   */
  #runs: { first: number; last: number }[] = [];
  #duplicates: number[] = [];

  /** @param initialTsn the first TSN the peer will send. */
  constructor(initialTsn: number) {
    this.#cumulativeTsn = serial32Add(initialTsn, -1);
  }

  get cumulativeTsn(): number {
    return this.#cumulativeTsn;
  }

  get hasGap(): boolean {
    return this.#runs.length > 0;
  }

  /** What {@link add} would say, without changing anything but the list of duplicates. */
  check(tsn: number): TsnVerdict {
    const offset = serial32Diff(tsn, this.#cumulativeTsn);
    if (offset > MAX_OFFSET) return 'tooFar';
    if (
      offset <= 0 ||
      this.#runs.some((run) => serial32Lte(run.first, tsn) && serial32Lte(tsn, run.last))
    ) {
      if (this.#duplicates.length < MAX_DUPLICATES) this.#duplicates.push(tsn);
      return 'duplicate';
    }
    const extendsRun =
      offset === 1 ||
      this.#runs.some(
        (run) => serial32Add(run.last, 1) === tsn || serial32Add(tsn, 1) === run.first,
      );
    return extendsRun || this.#runs.length < MAX_RUNS ? 'new' : 'tooManyGaps';
  }

  /** Records a TSN that {@link check} called new. */
  add(tsn: number): void {
    if (tsn === serial32Add(this.#cumulativeTsn, 1)) {
      this.#cumulativeTsn = tsn;
      this.#absorbFirstRun();
      return;
    }
    const at = this.#runs.findIndex((run) => serial32Diff(run.first, tsn) > 0);
    const index = at < 0 ? this.#runs.length : at;
    const before = this.#runs[index - 1];
    const after = this.#runs[index];
    const joinsBefore = before !== undefined && serial32Add(before.last, 1) === tsn;
    const joinsAfter = after !== undefined && serial32Add(tsn, 1) === after.first;
    if (joinsBefore && joinsAfter) {
      before.last = after.last;
      this.#runs.splice(index, 1);
    } else if (joinsBefore) before.last = tsn;
    else if (joinsAfter) after.first = tsn;
    else this.#runs.splice(index, 0, { first: tsn, last: tsn });
  }

  /** The peer will not send anything up to `newCumulativeTsn` (RFC 3758 §3.6). */
  advance(newCumulativeTsn: number): void {
    if (serial32Diff(newCumulativeTsn, this.#cumulativeTsn) <= 0) return;
    this.#cumulativeTsn = newCumulativeTsn;
    this.#runs = this.#runs.filter((run) => serial32Diff(run.last, newCumulativeTsn) > 0);
    this.#absorbFirstRun();
  }

  gapAckBlocks(max: number): GapAckBlock[] {
    return this.#runs.slice(0, max).map((run) => ({
      start: serial32Diff(run.first, this.#cumulativeTsn),
      end: serial32Diff(run.last, this.#cumulativeTsn),
    }));
  }

  takeDuplicates(): number[] {
    const duplicates = this.#duplicates;
    if (duplicates.length > 0) this.#duplicates = [];
    return duplicates;
  }

  #absorbFirstRun(): void {
    const first = this.#runs[0];
    if (first === undefined || !serial32Lte(first.first, serial32Add(this.#cumulativeTsn, 1)))
      return;
    this.#cumulativeTsn = first.last;
    this.#runs.shift();
  }
}
