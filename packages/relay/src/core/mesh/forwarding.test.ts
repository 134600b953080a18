import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Forwarding } from './forwarding.ts';
import type { MeshFrame } from './mesh-frame.ts';

type Forwarded = Extract<MeshFrame, { readonly type: 'forwarded' }>;

function make(nk: string): Forwarding {
  return new Forwarding({
    nk,
    sign: () => new Uint8Array(64),
    verifyBy: (_author, _data, signature) => signature.every((byte) => byte === 0),
    firstCounter: 1000,
  });
}

function framesOf(author: Forwarding, count: number): Forwarded[] {
  const frame = { type: 'absent', room: 'room', peers: [] } as const;
  return Array.from({ length: count }, () => {
    const { to: _to, ...signed } = author.request('b', frame);
    return { ...signed, type: 'forwarded', from: 'a' };
  });
}

it('frames that overtake each other on different ways are taken, each once', () => {
  const receiver = make('b');
  const frames = framesOf(make('a'), 3000);
  const shuffled = frames.flatMap((_, i) => frames[i % 2 === 0 ? i + 1 : i - 1] ?? []);
  for (const frame of shuffled) assert.equal(receiver.accept(frame), null);
  for (const frame of frames) assert.equal(receiver.accept(frame), 'replayed');
});

it('what is far behind is a replay, and a forged frame moves nothing', () => {
  const receiver = make('b');
  const frames = framesOf(make('a'), 2000);
  const [first] = frames;
  const last = frames.at(-1);
  assert.ok(first !== undefined && last !== undefined);
  const forged = { ...last, counter: 2 ** 50, signature: `B${'A'.repeat(85)}` };
  assert.equal(receiver.accept(forged), 'forged');
  assert.equal(receiver.accept(last), null);
  assert.equal(receiver.accept(first), 'replayed');
});
