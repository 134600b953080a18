import { mutate, seededRandom } from '@lumamesh/testkit';
import type { Input } from './corpora.ts';
import { Seen, knownLiterals } from './coverage.ts';
import { MAX_INPUT_MS, type Target } from './target.ts';

/** An input whose run threw, or took too long. */
export interface Find {
  readonly input: Input;
  readonly error: string;
}

const MAX_STACKED = 4;
/** What it takes to be called slow, again and again. */
const TIMES_SLOW = 4;
const MAX_SHRINKING_RUNS = 3000;
const ENCODER = new TextEncoder();

/**
 * A search for inputs of one target that do what no other did: what does is kept, and changed
 * further.
 */
export class Search {
  readonly target: Target;
  readonly #random: () => number;
  readonly #seen = new Seen();
  readonly #kept: Input[] = [];
  readonly #words: readonly Uint8Array[];
  readonly #waiting: Input[];
  runs = 0;

  /** @param inputs where it begins, beside the target's seeds */
  constructor(target: Target, inputs: readonly Input[], seed: number) {
    this.target = target;
    this.#random = seededRandom(seed);
    this.#words = knownLiterals().flatMap(wordsOf);
    this.#waiting = [...inputs, ...target.seeds().map((bytes) => bytes.slice())];
  }

  get features(): number {
    return this.#seen.features;
  }

  get kept(): readonly Input[] {
    return this.#kept;
  }

  /** Goes on until `isOver` says so, or until something is found. First come the inputs that are known. */
  run(isOver: () => boolean): Find | null {
    do {
      const find = this.#try(this.#waiting.pop() ?? this.#make());
      if (find !== null) return find;
    } while (!isOver());
    return null;
  }

  #try(input: Input): Find | null {
    const startedAt = process.cpuUsage();
    const [news, fault] = this.#seen.watch(() => faultOf(this.target, input));
    const isSlow = cpuMsSince(startedAt) > MAX_INPUT_MS;
    this.runs += 1;
    if (fault !== null) return this.#shrink({ input, error: fault });
    const slowness = isSlow ? slownessOf(this.target, input) : null;
    if (slowness !== null) return { input, error: slowness };
    if (news > 0 || this.#kept.length === 0) this.#kept.push(input);
    return null;
  }

  readonly #pick = (below: number): number => Math.floor(this.#random() * below);

  #make(): Input {
    const { length } = this.#kept;
    // What was found last leads on more often.
    const from =
      this.#pick(2) === 0 ? this.#pick(length) : length - 1 - this.#pick(1 + (length >> 2));
    let input = this.#kept[from]?.slice() ?? new Uint8Array(0);
    for (let i = 1 + this.#pick(2) * this.#pick(MAX_STACKED); i > 0; i--) {
      const how = this.#pick(8);
      if (how === 0) input = this.#insert(input, this.#words[this.#pick(this.#words.length)]);
      else if (how === 1) {
        const other = this.#kept[this.#pick(length)] ?? input;
        const at = this.#pick(other.length);
        input = this.#insert(input, other.subarray(at, at + 1 + this.#pick(64)));
      } else if (how === 2) input = this.#insert(input, new Uint8Array(1 << this.#pick(4)));
      else if (how === 3 && input.length > 0) {
        // Counts and lengths are off by little.
        const at = this.#pick(input.length);
        input[at] = (input[at] ?? 0) + this.#pick(9) - 4;
      } else input = mutate(input, this.#pick);
    }
    return input.slice(0, this.target.maxBytes);
  }

  /** Puts bytes into an input, over what is there or between it. */
  #insert(input: Input, bytes: Uint8Array = new Uint8Array(0)): Input {
    const at = this.#pick(input.length + 1);
    const rest = input.subarray(this.#pick(2) === 0 ? at : at + bytes.length);
    return Uint8Array.from([...input.subarray(0, at), ...bytes, ...rest]);
  }

  /** The same find with as little as possible of it. */
  #shrink(find: Find): Find {
    let { input } = find;
    let runs = 0;
    for (let size = input.length >> 1; size >= 1; size >>= 1) {
      for (let at = 0; at + size <= input.length && runs < MAX_SHRINKING_RUNS; runs++) {
        const less = Uint8Array.from([...input.subarray(0, at), ...input.subarray(at + size)]);
        if (faultOf(this.target, less) !== null) input = less;
        else at += size;
      }
    }
    const error = faultOf(this.target, input);
    return error === null ? find : { input, error };
  }
}

/** The least of these inputs that together do all that they do. */
export function minimise(target: Target, inputs: readonly Input[]): readonly Input[] {
  const seen = new Seen();
  return inputs
    .toSorted((a, b) => a.length - b.length)
    .filter((input) => seen.watch(() => faultOf(target, input))[0] > 0);
}

/** What a run throws, as text; `null` when it throws nothing. */
export function faultOf(target: Target, input: Input): string | null {
  try {
    // Its bytes are its own: what it keeps of them changes nothing here.
    target.run(input.slice());
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function slownessOf(target: Target, input: Input): string | null {
  let least = Infinity;
  for (let i = 0; i < TIMES_SLOW; i++) {
    const startedAt = process.cpuUsage();
    faultOf(target, input);
    least = Math.min(least, cpuMsSince(startedAt));
  }
  return least > MAX_INPUT_MS ? `takes ${Math.round(least)} ms of CPU` : null;
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** How a literal of the sources may stand in an input. */
function wordsOf(literal: string | number): readonly Uint8Array[] {
  if (typeof literal === 'string') return literal === '' ? [] : [ENCODER.encode(literal)];
  if (!Number.isInteger(literal) || literal < 0 || literal > 0xffffffff) return [];
  const word = new Uint8Array(4);
  new DataView(word.buffer).setUint32(0, literal);
  return [literal < 256 ? word.subarray(3) : literal < 65_536 ? word.subarray(2) : word];
}
