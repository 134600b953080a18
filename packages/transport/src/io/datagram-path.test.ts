import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Remote } from '../five-tuple.ts';
import { type DatagramPath, type NativeBatches, NativePath } from './datagram-path.ts';

const REMOTE: Remote = { address: '192.0.2.1', port: 9 };

/** A kernel that takes so many, and a socket of Node's that keeps the rest. */
class Kernel implements NativeBatches {
  room = Infinity;
  readonly sent: number[] = [];
  readonly kept: number[] = [];
  readonly errors: string[] = [];
  readonly #added: Uint8Array[] = [];
  readonly queue = { getSendQueueCount: () => this.kept.length };
  readonly ofNode: DatagramPath = {
    send: (_remote, data) => this.kept.push(data[0] ?? 0) > 0,
    flush: () => undefined,
    receiveMore: () => undefined,
    close: () => undefined,
  };

  get hasRoom(): boolean {
    return this.#added.length < 4;
  }

  add(_remote: Remote, data: Uint8Array): boolean {
    if (data.length > 1) return false;
    this.#added.push(data);
    return true;
  }

  flush(): ReturnType<NativeBatches['flush']> {
    const taken = this.#added.splice(0, this.room);
    this.room -= taken.length;
    this.sent.push(...taken.map((data) => data[0] ?? 0));
    const left = this.#added.splice(0).map((data) => ({ remote: REMOTE, data }));
    return { left, errors: left.length > 0 ? [new Error('no room')] : [] };
  }

  receive(): boolean {
    return true;
  }
}

function pathOn(kernel: Kernel): NativePath {
  return new NativePath(kernel, kernel.ofNode, kernel.queue, {
    onDatagram: () => undefined,
    onSendError: ({ message }) => kernel.errors.push(message),
  });
}

describe('the native path of datagrams', () => {
  it('hands what the kernel has no room for to the queue with bounds, in order', () => {
    const kernel = new Kernel();
    const path = pathOn(kernel);
    kernel.room = 6;
    for (let i = 0; i < 12; i++) path.send(REMOTE, Uint8Array.of(i));
    path.flush();
    assert.deepEqual(kernel.sent, [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(kernel.kept, [6, 7, 8, 9, 10, 11]);
    assert.deepEqual(kernel.errors, ['no room']);
    // While one waits, none overtakes it.
    kernel.room = Infinity;
    path.send(REMOTE, Uint8Array.of(12));
    path.flush();
    assert.deepEqual(kernel.sent.at(-1), 5);
    assert.deepEqual(kernel.kept.at(-1), 12);
    kernel.kept.length = 0;
    path.send(REMOTE, Uint8Array.of(13));
    path.flush();
    assert.deepEqual(kernel.sent.at(-1), 13);
  });

  it('sends what came before it when a datagram has to go another way', () => {
    const kernel = new Kernel();
    const path = pathOn(kernel);
    path.send(REMOTE, Uint8Array.of(1));
    path.send(REMOTE, Uint8Array.of(2, 2));
    assert.deepEqual([kernel.sent, kernel.kept], [[1], [2]]);
  });

  it('takes only so much in one turn, whatever comes', async () => {
    const kernel = new Kernel();
    let taken = 0;
    kernel.receive = function receive(onDatagram?: (remote: Remote, data: Uint8Array) => boolean) {
      for (let i = 0; i < 64; i++) onDatagram?.(REMOTE, new Uint8Array(1));
      taken += 64;
      return true;
    };
    const path = pathOn(kernel);
    for (let i = 0; i < 32; i++) path.receiveMore();
    assert.equal(taken, 512);
    await new Promise((resolve) => setImmediate(resolve));
    path.receiveMore();
    assert.equal(taken, 1024);
  });

  it('touches its descriptor no more once it is closed', () => {
    const kernel = new Kernel();
    const path = pathOn(kernel);
    path.send(REMOTE, Uint8Array.of(1));
    path.close();
    assert.deepEqual(kernel.sent, [1]);
    let calls = 0;
    kernel.receive = () => (calls += 1) > 0;
    kernel.flush = () => {
      calls += 1;
      return { left: [], errors: [] };
    };
    assert.equal(path.send(REMOTE, Uint8Array.of(2)), false);
    path.flush();
    path.receiveMore();
    assert.equal(calls, 0);
  });
});
