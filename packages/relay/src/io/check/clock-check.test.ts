import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withUdpServer } from '@lumamesh/testkit';
import { askClock } from './clock-check.ts';

/** A time server on loopback whose clock is `aheadMs` before ours; `spoil` changes what it says. */
async function withServer(
  aheadMs: number,
  spoil: (answer: Buffer) => Buffer,
  test: (port: number) => Promise<void>,
): Promise<void> {
  const tellTime = (request: Buffer): Buffer => {
    const answer = Buffer.alloc(48);
    answer[0] = 0x24;
    answer[1] = 2;
    request.copy(answer, 24, 40, 48);
    const seconds = (Date.now() + aheadMs) / 1000 + 2_208_988_800;
    answer.writeUInt32BE(Math.floor(seconds), 40);
    answer.writeUInt32BE(Math.floor((seconds % 1) * 2 ** 32), 44);
    return answer;
  };
  await withUdpServer((request) => [spoil(tellTime(request))], test);
}

describe('the clock', () => {
  it('is compared with a time server', () =>
    withServer(
      90_000,
      (answer) => answer,
      async (port) => {
        const errorMs = await askClock({ host: '127.0.0.1', port }, 10_000);
        assert.ok(errorMs !== null && Math.abs(errorMs + 90_000) < 2000, String(errorMs));
      },
    ));

  it('is not compared with what is no answer to our question', async () => {
    const spoilers: ((answer: Buffer) => Buffer)[] = [
      // A kiss of death, and a server without a clock.
      (answer) => answer.fill(0, 1, 2),
      (answer) => answer.fill(0xe4, 0, 1),
      (answer) => answer.subarray(0, 20),
      (answer) => Buffer.concat([Buffer.of(0x23), answer.subarray(1)]),
      (answer) => Buffer.from(answer).fill(0, 24, 32),
    ];
    for (const spoil of spoilers)
      await withServer(0, spoil, async (port) =>
        assert.equal(await askClock({ host: '127.0.0.1', port }, 200), null),
      );
  });
});
