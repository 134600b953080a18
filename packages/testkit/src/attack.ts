import { seededRandom } from './seeded-random.ts';

/** Every shorter beginning of `bytes`, itself not among them. */
export function* truncations(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length);
}

/** `bytes` with something behind. */
export function overlong(bytes: Uint8Array): Uint8Array {
  const longer = new Uint8Array(bytes.length + 4);
  longer.set(bytes);
  return longer;
}

/** `count` damaged copies: flipped bits, other bytes, cut, repeated and inserted ranges, lengths set to their extremes. */
export function* mutations(bytes: Uint8Array, count: number, seed: number): Iterable<Uint8Array> {
  const random = seededRandom(seed);
  const pick = (below: number): number => Math.floor(random() * below);
  for (let i = 0; i < count; i++) {
    let copy = bytes.slice();
    for (let changes = 1 + pick(4); changes > 0; changes--) copy = mutate(copy, pick);
    yield copy;
  }
}

/** Damages `bytes`, which are changed, once. @param pick a number from 0 to below its argument */
export function mutate(
  bytes: Uint8Array<ArrayBuffer>,
  pick: (below: number) => number,
): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return Uint8Array.of(pick(256));
  const at = pick(bytes.length);
  switch (pick(7)) {
    case 0:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
      return bytes;
    case 1:
      bytes[at] = pick(256);
      return bytes;
    case 2:
      bytes[at] = 0xff;
      bytes[at + 1] = 0xff;
      return bytes;
    case 3:
      bytes[at] = 0;
      bytes[at + 1] = 0;
      return bytes;
    case 4:
      return bytes.slice(0, at);
    case 5: {
      const piece = bytes.slice(at, at + pick(40));
      return Uint8Array.from([...bytes.slice(0, at), ...piece, ...bytes.slice(at)]);
    }
    default:
      return Uint8Array.from([
        ...bytes.slice(0, at),
        ...bytes.slice(Math.min(bytes.length, at + 1 + pick(16))),
      ]);
  }
}

/** `count` datagrams of random bytes, half of them with a first byte that one of our protocols claims. */
export function* randomDatagrams(count: number, seed: number): Iterable<Uint8Array> {
  const random = seededRandom(seed);
  const firsts = [0, 1, 20, 21, 22, 23, 25];
  for (let i = 0; i < count; i++) {
    const bytes = Uint8Array.from(
      { length: Math.floor(random() * (i % 10 === 0 ? 1500 : 80)) },
      () => Math.floor(random() * 256),
    );
    if (i % 2 === 0 && bytes.length > 0) bytes[0] = firsts[i % firsts.length] ?? 0;
    yield bytes;
  }
}
