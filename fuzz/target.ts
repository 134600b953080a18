/** Something that reads what strangers send. */
export interface Target {
  readonly name: string;
  /** What it is sent by those who mean well: where the search begins. */
  readonly seeds: () => readonly Uint8Array[];
  /**
   * Does with an input what the program would do with it. Throws when that throws, or when something
   * does not hold that must.
   */
  readonly run: (input: Uint8Array<ArrayBuffer>) => void;
  /** Inputs are cut to this length. */
  readonly maxBytes: number;
}

/** CPU that one input may take: what takes longer is a find as well. */
export const MAX_INPUT_MS = 250;

/** An input as a list of choices: what it leaves open is zero. */
export class Script {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** A number from 0 to `below` - 1, which is at most 256. */
  pick(below: number): number {
    return this.byte() % below;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  uint16(): number {
    return (this.byte() << 8) | this.byte();
  }

  uint32(): number {
    return ((this.uint16() << 16) | this.uint16()) >>> 0;
  }

  /** Some bytes: their count, in a byte, stands before them. */
  bytes(): Uint8Array<ArrayBuffer> {
    const length = this.byte();
    const bytes = this.#bytes.slice(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}
