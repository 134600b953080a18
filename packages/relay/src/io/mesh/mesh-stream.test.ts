import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Stream } from '@libp2p/interface';
import { encodeLengthPrefixed } from '../../core/mesh/length-prefixed.ts';
import { makeReadBudget, readFrames } from './mesh-stream.ts';

/** As libp2p's: what has ended is neither paused nor resumed. */
class PlayedStream extends EventTarget {
  readStatus = 'readable';
  readonly status = 'open';
  readonly calls: string[] = [];

  pause(): void {
    this.calls.push('pause');
    this.readStatus = 'paused';
  }

  resume(): void {
    this.calls.push('resume');
    if (this.readStatus === 'closed') throw new Error('Cannot resume a stream that is closed');
    this.readStatus = 'readable';
  }
}

const flood = (stream: PlayedStream): number => {
  let heard = 0;
  readFrames(stream as unknown as Stream, makeReadBudget(), {
    frame: () => (heard += 1),
    fault: (drop) => assert.fail(drop),
  });
  const data = encodeLengthPrefixed(Array.from({ length: 30_000 }, () => '{"type":"ready"}'));
  stream.dispatchEvent(new MessageEvent('message', { data }));
  return heard;
};

describe('a relay that sends more than it may', () => {
  it('is read slower', async () => {
    const stream = new PlayedStream();
    assert.equal(flood(stream), 30_000);
    assert.deepEqual(stream.calls, ['pause']);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(stream.calls, ['pause', 'resume']);
  });

  it('and ends its stream meanwhile, ends nothing else', async () => {
    const stream = new PlayedStream();
    flood(stream);
    stream.readStatus = 'closed';
    // What a timer throws ends the process.
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(stream.calls, ['pause', 'resume']);
  });
});
