import { type SyncCrypto, concatBytes, fromBase64Url, toHex } from '@lumamesh/base';
import { type SignedRelayRecord, recordBytes } from '@lumamesh/protocol';
import { MESH_LIMITS, type SyncFrame } from './mesh-frame.ts';

const ID_BYTES = 16;
const DIGEST_BYTES = 8;
/** Buckets of about four records, as far as the bits go. */
const RECORDS_PER_BUCKET = 4;
/** Of the bytes in a `records` frame. */
const MAX_LINES_BYTES = MESH_LIMITS.maxFrameBytes - 1024;
const LINE_BYTES = 1400;

type Hash = SyncCrypto['hash'];

/** Ids that were looked at and not taken. */
interface Refused {
  has(id: string): boolean;
  keys(): Iterable<string>;
}

/**
 * Names one record to the last bit, signature and all: 32 hexadecimal characters of SHA-256. What
 * differs anywhere has another name.
 */
export function recordId(record: SignedRelayRecord, hash: Hash): string {
  const signature = fromBase64Url(record.signature) ?? new Uint8Array(0);
  return toHex(hash('sha256', concatBytes([recordBytes(record), signature])).subarray(0, ID_BYTES));
}

/**
 * The records a relay would pass on, as a set that two relays can compare without listing it: a
 * digest for each bucket of ids, first one for all.
 *
 * ```
 * A → B  summary (0 bits)      equal: done
 * B → A  summary (n bits)      B's digests, as fine as B's set is large
 * A → B  have                  A's ids in the buckets that differ
 * B → A  records, want         what A lacks, and what B lacks
 * A → B  records
 * ```
 * Neither side keeps state between frames, and each frame is answered by at most two of bounded
 * size; what did not fit comes with the next round.
 */
export class RecordSet {
  readonly #hash: Hash;
  readonly #refused: Refused;
  readonly #records = new Map<string, SignedRelayRecord>();
  readonly #random: () => number;
  /** By bits; made when asked for after a change. */
  readonly #buckets = new Map<
    number,
    { readonly ids: readonly string[][]; readonly digests: readonly string[] }
  >();

  /**
   * @param refused ids that were looked at and not taken: they are neither asked for nor to be sent
   * again.
   */
  constructor(hash: Hash, refused: Refused, random: () => number) {
    this.#hash = hash;
    this.#refused = refused;
    this.#random = random;
  }

  /** @param id of {@link recordId} */
  add(id: string, record: SignedRelayRecord): void {
    this.#records.set(id, record);
    this.#buckets.clear();
  }

  delete(id: string): void {
    this.#records.delete(id);
    this.#buckets.clear();
  }

  /** What to open a comparison with. */
  summary(bits = 0): SyncFrame {
    return { type: 'summary', bits, digests: this.#bucketed(bits).digests };
  }

  /** What to answer; `records` are the caller's to look at. */
  answer(frame: SyncFrame): readonly SyncFrame[] {
    switch (frame.type) {
      case 'summary':
        return this.#answerSummary(frame.bits, frame.digests);
      case 'have':
        return this.#answerHave(frame.bits, frame.buckets, frame.ids);
      case 'want':
        return [this.#recordsFrame(frame.ids)];
      case 'records':
        return [];
    }
  }

  #answerSummary(bits: number, digests: readonly string[]): readonly SyncFrame[] {
    const own = this.#bucketed(bits);
    const buckets = own.digests.flatMap((digest, bucket) =>
      digest === digests[bucket] ? [] : [bucket],
    );
    if (buckets.length === 0) return [];
    const finer = this.#records.size > 16 * RECORDS_PER_BUCKET ? MESH_LIMITS.maxSummaryBits : 4;
    if (bits === 0) return [this.summary(finer)];
    // Beginning anywhere: what two relays will never agree on must not stand in the way of the rest
    // for good.
    const start = Math.floor(this.#random() * buckets.length);
    buckets.push(...buckets.splice(0, start));
    const chosen: number[] = [];
    const ids: string[] = [];
    for (const bucket of buckets) {
      const more = own.ids[bucket] ?? [];
      if (ids.length + more.length > MESH_LIMITS.maxIds) break;
      chosen.push(bucket);
      ids.push(...more);
    }
    const isChosen = new Set(chosen);
    for (const id of this.#refused.keys())
      if (ids.length < MESH_LIMITS.maxIds && isChosen.has(bucketOf(id, bits))) ids.push(id);
    return [{ type: 'have', bits, buckets: chosen, ids }];
  }

  #answerHave(
    bits: number,
    buckets: readonly number[],
    theirs: readonly string[],
  ): readonly SyncFrame[] {
    const own = this.#bucketed(bits);
    const known = new Set(theirs);
    const missingThere = [...new Set(buckets)]
      .flatMap((bucket) => own.ids[bucket] ?? [])
      .filter((id) => !known.has(id));
    const missingHere = theirs
      .filter((id) => !this.#records.has(id) && !this.#refused.has(id))
      .slice(0, MESH_LIMITS.maxRecords);
    const frames: SyncFrame[] = [];
    if (missingThere.length > 0) frames.push(this.#recordsFrame(missingThere));
    if (missingHere.length > 0) frames.push({ type: 'want', ids: missingHere });
    return frames;
  }

  #recordsFrame(ids: readonly string[]): SyncFrame {
    const start = Math.floor(this.#random() * ids.length);
    const found = [...ids.slice(start), ...ids.slice(0, start)].flatMap(
      (id) => this.#records.get(id) ?? [],
    );
    return {
      type: 'records',
      records: found.slice(
        0,
        Math.min(MESH_LIMITS.maxRecords, Math.floor(MAX_LINES_BYTES / LINE_BYTES)),
      ),
    };
  }

  #bucketed(bits: number): {
    readonly ids: readonly string[][];
    readonly digests: readonly string[];
  } {
    const made = this.#buckets.get(bits);
    if (made !== undefined) return made;
    const ids: string[][] = Array.from({ length: 2 ** bits }, () => []);
    for (const id of this.#records.keys()) ids[bucketOf(id, bits)]?.push(id);
    const digests = ids.map((bucket) =>
      toHex(this.#hash('sha256', ascii(bucket.toSorted().join(''))).subarray(0, DIGEST_BYTES)),
    );
    this.#buckets.set(bits, { ids, digests });
    return { ids, digests };
  }
}

function bucketOf(id: string, bits: number): number {
  return Number.parseInt(id.slice(0, 2), 16) >> (8 - bits);
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
