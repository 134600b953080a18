import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sendFile } from './files.ts';

/** A channel of one side, without another. */
class FakeChannel extends EventTarget {
  readyState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  readonly sent: Uint8Array[] = [];

  send(data: Uint8Array): void {
    if (this.readyState !== 'open') throw new DOMException('not open', 'InvalidStateError');
    this.sent.push(data);
  }

  close(): void {
    this.readyState = 'closed';
  }

  open(): void {
    this.readyState = 'open';
    this.dispatchEvent(new Event('open'));
  }

  hear(data: string): void {
    this.dispatchEvent(new MessageEvent('message', { data }));
  }
}

describe('a file that is sent', () => {
  for (const order of ['open before go', 'go before open'] as const) {
    it(`flows once, as soon as it may: ${order}`, async () => {
      const channel = new FakeChannel();
      const connection = { createDataChannel: () => channel } as unknown as RTCPeerConnection;
      const progress: number[] = [];
      const sent = sendFile(connection, new Blob(['x'.repeat(100_000)]), {
        onProgress: (bytes) => progress.push(bytes),
      });
      if (order === 'open before go') channel.open();
      channel.hear('go');
      channel.hear('go');
      await new Promise((resolve) => setTimeout(resolve, 50));
      // Chromium under load tells of the answer first.
      if (order === 'go before open') {
        assert.equal(channel.sent.length, 0);
        channel.open();
      }
      while (progress.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(
        channel.sent.reduce((sum, { byteLength }) => sum + byteLength, 0),
        100_000,
      );
      channel.hear('ok');
      await sent;
      assert.deepEqual([progress, channel.readyState], [[100_000], 'closed']);
    });
  }
});
