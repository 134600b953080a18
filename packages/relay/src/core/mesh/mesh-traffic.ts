import type { Instant } from '@lumamesh/base';
import type { MeshFrame } from './mesh-frame.ts';

const PURPOSES = ['hello', 'records', 'sync', 'hints', 'rooms'] as const;
export type TrafficPurpose = (typeof PURPOSES)[number];

/** Bytes are those of frames and records, without what libp2p and TCP add. */
interface PurposeTraffic {
  inFrames: number;
  inBytes: number;
  outFrames: number;
  outBytes: number;
  inBytesPerSecond: number;
  outBytesPerSecond: number;
}

/** Rates are means over this long. */
const WINDOW_MS = 10_000;

/** What crosses the mesh links, by what it is for. */
export class MeshTraffic {
  readonly #totals = Object.fromEntries(
    PURPOSES.map((purpose) => [
      purpose,
      {
        inFrames: 0,
        inBytes: 0,
        outFrames: 0,
        outBytes: 0,
        inBytesPerSecond: 0,
        outBytesPerSecond: 0,
      },
    ]),
  ) as Record<TrafficPurpose, PurposeTraffic>;
  #window: {
    readonly startedAt: Instant;
    readonly bytes: Readonly<Record<string, readonly [inBytes: number, outBytes: number]>>;
  } | null = null;

  count(purpose: TrafficPurpose, direction: 'in' | 'out', bytes: number): void {
    const traffic = this.#totals[purpose];
    if (direction === 'in') {
      traffic.inFrames += 1;
      traffic.inBytes += bytes;
    } else {
      traffic.outFrames += 1;
      traffic.outBytes += bytes;
    }
  }

  /** Takes the rates anew when their window is over. */
  updateRates(now: Instant): void {
    if (this.#window !== null && now - this.#window.startedAt < WINDOW_MS) return;
    if (this.#window !== null) {
      const seconds = (now - this.#window.startedAt) / 1000;
      for (const purpose of PURPOSES) {
        const traffic = this.#totals[purpose];
        const [inBytes, outBytes] = this.#window.bytes[purpose] ?? [0, 0];
        traffic.inBytesPerSecond = Math.round((traffic.inBytes - inBytes) / seconds);
        traffic.outBytesPerSecond = Math.round((traffic.outBytes - outBytes) / seconds);
      }
    }
    this.#window = {
      startedAt: now,
      bytes: Object.fromEntries(
        PURPOSES.map((purpose) => [
          purpose,
          [this.#totals[purpose].inBytes, this.#totals[purpose].outBytes],
        ]),
      ),
    };
  }

  snapshot(): Readonly<Record<TrafficPurpose, Readonly<PurposeTraffic>>> {
    return this.#totals;
  }
}

export function purposeOf({ type }: MeshFrame): TrafficPurpose {
  switch (type) {
    case 'hello':
    case 'ready':
    case 'bye':
    case 'suspect':
      return 'hello';
    case 'summary':
    case 'have':
    case 'want':
    case 'records':
      return 'sync';
    case 'hints':
    case 'withdraw':
    case 'refused':
    case 'reporters':
      return 'hints';
    default:
      return 'rooms';
  }
}
