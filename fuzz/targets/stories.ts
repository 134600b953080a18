import type { AeadName } from '@lumamesh/base';
import { mutations, seededRandom } from '@lumamesh/testkit';
import { VirtualMesh } from '@lumamesh/testkit/mesh';
import { chooseIoPath, nodeCrypto } from '@lumamesh/transport/io';
import { areAlike } from '@lumamesh/transport/internal/io/native/self-test';
import type { Target } from '../target.ts';

/* Whole stories, each made up from a number: two bytes of the input. */
function ofSeeds(name: string, run: (seed: number) => void): Target {
  return {
    name,
    maxBytes: 2,
    seeds: () => [Uint8Array.of(0, 1)],
    run: ([high = 0, low = 0]) => run((high << 8) | low),
  };
}

/**
 * A relay of a small mesh that says and does what comes into its head; rooms and links must come
 * out whole.
 */
function meshStory(round: number): void {
  const random = seededRandom(round);
  const pick = (below: number): number => Math.floor(random() * below);
  const mesh = new VirtualMesh(round);
  for (let i = 0; i < 4; i++) mesh.add(`r${i}`, { peers: i === 0 ? [] : ['r0'] });
  mesh.run(3000);
  mesh.join('r1', 'ada', 'tea');
  mesh.join('r2', 'bob', 'tea');
  const room = 'tea'.padEnd(43, '_');
  const { nk } = mesh.relay('r1');
  const texts = [
    { type: 'hints', rooms: [room] },
    { type: 'withdraw', rooms: [room] },
    { type: 'reporters', room, add: [nk], remove: [] },
    {
      type: 'present',
      room,
      members: [{ peer: 'x'.repeat(22), presence: 'y' }],
      all: true,
      ask: true,
    },
    { type: 'absent', room, peers: ['x'.repeat(22)] },
    { type: 'check', room, digest: '0'.repeat(16) },
    { type: 'summary', bits: 0, digests: ['0'.repeat(16)] },
    { type: 'have', bits: 4, buckets: [1, 2], ids: [] },
    { type: 'suspect', relays: [nk] },
    { type: 'ready' },
    {
      type: 'forwardRequest',
      to: nk,
      counter: round,
      text: JSON.stringify({ type: 'absent', room, peers: [] }),
      signature: 'A'.repeat(86),
    },
  ].map((frame) => JSON.stringify(frame));
  for (let i = 0; i < 200; i++) {
    const text = texts[pick(texts.length)] ?? '';
    const [damaged = new Uint8Array(0)] =
      pick(3) === 0
        ? mutations(new TextEncoder().encode(text), 1, round + i)
        : [new TextEncoder().encode(text)];
    mesh.injectFrame('r3', `r${pick(3)}`, new TextDecoder().decode(damaged));
    if (pick(20) === 0) mesh.run(pick(2000));
  }
  mesh.kill('r3');
  if (
    !mesh.runUntil(
      () =>
        mesh.seen('r1', 'ada', 'tea').join() === 'bob' &&
        mesh.seen('r2', 'bob', 'tea').join() === 'ada',
      400_000,
    )
  ) {
    throw new Error(
      `after the attack ada sees ${mesh.seen('r1', 'ada', 'tea').join() || 'nobody'}, and bob ${mesh.seen('r2', 'bob', 'tea').join() || 'nobody'}`,
    );
  }
}

/** Native code against node:crypto: the same bytes, and the same refusals. */
function nativeStory(round: number): void {
  const { crypto: native } = chooseIoPath('auto');
  const random = seededRandom(round);
  for (const [algorithm, keyBytes] of AEADS) {
    const key = Uint8Array.from({ length: keyBytes }, () => Math.floor(random() * 256));
    for (let i = 0; i < 50; i++) {
      const length = Math.floor(random() ** 4 * 20_000);
      if (!areAlike(native, nodeCrypto, algorithm, key, length))
        throw new Error(`${algorithm} differs from node:crypto at ${length} bytes`);
    }
  }
  for (const algorithm of ['sha1', 'sha256', 'sha384'] as const)
    for (let i = 0; i < 50; i++) {
      const key = nodeCrypto.randomBytes(Math.floor(random() * 300));
      const data = nodeCrypto.randomBytes(Math.floor(random() * 2500));
      const [ours, theirs] = [native, nodeCrypto].map((one) => one.hmac(algorithm, key, data));
      if (Buffer.compare(ours ?? key, theirs ?? data) !== 0)
        throw new Error(`HMAC with ${algorithm} differs from node:crypto`);
    }
}

const AEADS: readonly (readonly [AeadName, number])[] = [
  ['aes-128-gcm', 16],
  ['aes-256-gcm', 32],
  ['chacha20-poly1305', 32],
];

export const STORIES: readonly Target[] = [
  ofSeeds('mesh', meshStory),
  ...(chooseIoPath('auto').name === 'native' ? [ofSeeds('native-crypto', nativeStory)] : []),
];
