import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import type { PeerHandle, PeerPart } from '../feature.ts';
import type { SendOptions } from '../peer/peer-frame.ts';
import { type FilesPeer, type IncomingFile, files } from './files.ts';

/** Two sides whose frames arrive in order, a little later, until they part. */
class Side {
  readonly part: PeerPart;
  readonly offers: IncomingFile[] = [];
  readonly frames: string[] = [];
  readonly faults: unknown[] = [];
  other: Side | null = null;
  state = 'open';
  isListening = true;
  /** So many frames of the bulk lane are refused: it is full. */
  refusals = 0;

  constructor() {
    const peer = {
      platform: { setTimer: (_ms: number, run: () => void) => setImmediate(run) },
      sendFrame: (frame: string, argument: string, value: unknown, { lane }: SendOptions) => {
        if (lane === 'bulk' && this.refusals-- > 0)
          throw new LumameshError('TOO_MUCH_PENDING', 'full');
        return carry(frame, argument, value);
      },
      has: () => this.isListening,
      emit: (_event: string, file: IncomingFile) => this.offers.push(file),
      onListenerError: (error: unknown) => this.faults.push(error),
    };
    const carry = async (frame: string, argument: string, value: unknown): Promise<boolean> => {
      this.frames.push(frame);
      const { other } = this;
      await new Promise((resolve) => setImmediate(resolve));
      if (other === null || other.state === 'closed') return false;
      other.part.frames?.[frame]?.handle(value, argument, true);
      return true;
    };
    Object.defineProperty(peer, 'state', { get: () => this.state });
    this.part = files().peer?.(peer as unknown as PeerHandle) ?? {};
  }

  sendFile(...values: Parameters<FilesPeer['sendFile']>): Promise<void> {
    return (this.part.api as FilesPeer).sendFile(...values);
  }

  async offer(): Promise<IncomingFile> {
    while (this.offers.length === 0) await new Promise((resolve) => setImmediate(resolve));
    return this.offers.shift() as IncomingFile;
  }

  close(): void {
    this.state = 'closed';
    this.part.onClose?.();
  }
}

function pair(): [ada: Side, bob: Side] {
  const [ada, bob] = [new Side(), new Side()];
  ada.other = bob;
  bob.other = ada;
  return [ada, bob];
}

const isCode = (code: string) => (error: unknown) =>
  error instanceof LumameshError && error.code === code;

describe('a file', () => {
  it('that is given up before its offer was heard of is given up at once, and for who accepts it later', async () => {
    const [ada, bob] = pair();
    const controller = new AbortController();
    const sent = ada.sendFile(new Blob(['tea']), { signal: controller.signal });
    controller.abort();
    await assert.rejects(sent, isCode('FILE_CANCELLED'));
    // What is said of it may overtake the offer, as that of older pages does: another lane carries it.
    bob.part.frames?.['file']?.handle({ name: 'late', type: '', size: 3 }, '1', true);
    bob.offers.splice(0, bob.offers.length - 1);
    const late = bob.offers.at(-1) ?? (await bob.offer());
    await assert.rejects(late.accept(), isCode('FILE_CANCELLED'));
  });

  it('whose offer waits ends with the peer, and is no rejection that nobody hears', async () => {
    const [ada, bob] = pair();
    ada.other = null;
    bob.other = null;
    let unheard: unknown = null;
    const note = (error: unknown): void => void (unheard = error);
    process.once('unhandledRejection', note);
    const sent = ada.sendFile(new Blob(['tea']));
    ada.close();
    await assert.rejects(sent, isCode('FILE_FAILED'));
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    assert.equal(unheard, null);
  });

  it('arrives though the listener of its progress throws, and the page hears of that', async () => {
    const [ada, bob] = pair();
    const sent = ada.sendFile(new Blob(['x'.repeat(300_000)]), {
      onProgress: () => {
        throw new Error('mine');
      },
    });
    assert.equal((await (await bob.offer()).accept()).size, 300_000);
    await sent;
    assert.match(String(ada.faults), /mine/);
  });

  it('waits while other things fill its lane, and arrives whole; given up meanwhile it ends at both sides', async () => {
    const [ada, bob] = pair();
    const bytes = new Uint8Array(1_500_000).map((_, i) => i % 251);
    ada.refusals = 5;
    const sent = ada.sendFile(new Blob([bytes]));
    const received = await (await bob.offer()).accept();
    assert.deepEqual(new Uint8Array(await received.arrayBuffer()), bytes);
    await sent;
    const controller = new AbortController();
    const stopped = ada.sendFile(new Blob([bytes]), { signal: controller.signal });
    ada.refusals = 20;
    const accepted = (await bob.offer()).accept();
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await assert.rejects(stopped, isCode('FILE_CANCELLED'));
    await assert.rejects(accepted, isCode('FILE_CANCELLED'));
    assert.equal(ada.frames.at(-1), 'fileEnd');
  });

  it('is refused with options that mean nothing', async () => {
    const [ada, bob] = pair();
    for (const options of [null, 42, { name: 5 }, { signal: 'x' }, { onProgress: 'x' }])
      await assert.rejects(
        ada.sendFile(new Blob(['x']), options as object),
        isCode('BAD_ARGUMENT'),
      );
    const sent = ada.sendFile(new Blob(['x']));
    const offer = await bob.offer();
    for (const options of [null, { signal: 'x' }, { onProgress: 'x' }])
      await assert.rejects(offer.accept(options as object), isCode('BAD_ARGUMENT'));
    assert.equal((await offer.accept()).size, 1);
    await sent;
  });

  it('arrives whole, whatever its size, with its name and progress, many at a time', async () => {
    const [ada, bob] = pair();
    for (const size of [0, 1, 262_144, 262_145, 1_000_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, i) => i % 251);
      const steps: number[] = [];
      const sent = ada.sendFile(new File([bytes], 'dir/name.bin', { type: 'a/b' }), {
        onProgress: (done) => steps.push(done),
      });
      const offer = await bob.offer();
      assert.deepEqual([offer.name, offer.type, offer.size], ['name.bin', 'a/b', size]);
      const blob = await offer.accept();
      await sent;
      assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
      assert.equal(steps.at(-1) ?? 0, size);
    }
    const sent = Array.from({ length: 300 }, (_, i) => ada.sendFile(new Blob([`file ${i}`])));
    const texts: string[] = [];
    for (let i = 0; i < 300; i++) texts.push(await (await (await bob.offer()).accept()).text());
    await Promise.all(sent);
    assert.deepEqual(
      texts,
      Array.from({ length: 300 }, (_, i) => `file ${i}`),
    );
  });

  it('has a name without a path, control characters and marks of direction, whatever its sender says', async () => {
    const [ada, bob] = pair();
    for (const [said, shown] of [
      ['/etc/../tea.txt', 'tea.txt'],
      ['C:\\windows\\tea.txt', 'tea.txt'],
      ['\u202egnp.exe', 'gnp.exe'],
      ['tea\u0000.\u2066txt\r\n', 'tea.txt'],
      ['dir/\u2028/../../etc/passwd', 'passwd'],
      ['dir\\\u2029..\\tea.txt', 'tea.txt'],
      ['שלום 👩‍👩‍👧.png', 'שלום 👩‍👩‍👧.png'],
    ] as const) {
      ada.sendFile(new Blob([]), { name: said }).catch(() => undefined);
      const offer = await bob.offer();
      assert.equal(offer.name, shown);
      offer.refuse();
    }
  });

  it('has a name in no time, however long its sender makes it', () => {
    const [ada] = pair();
    const startedAt = performance.now();
    for (const name of ['a'.repeat(1_000_000), '/'.repeat(1_000_000), '\u0000'.repeat(1_000_000)])
      ada.part.frames?.['file']?.handle({ name, type: '', size: 1 }, name.slice(0, 1), true);
    assert.equal(ada.offers.length, 3);
    assert.ok(performance.now() - startedAt < 1000);
    assert.deepEqual(
      ada.offers.map(({ name }) => name),
      ['a'.repeat(255), '', ''],
    );
  });

  it('in the smallest pieces is whole, and pieces of nothing are not kept', async () => {
    const [ada] = pair();
    const say = (frame: string, value: unknown): void =>
      ada.part.frames?.[frame]?.handle(value, '1', true);
    say('file', { name: 'x', type: 'text/x', size: 100_000 });
    const taken = ada.offers[0]?.accept();
    for (let i = 0; i < 100_000; i++) {
      say('piece', new Uint8Array(0));
      say('piece', Uint8Array.of(i));
    }
    const file = await taken;
    assert.equal(file?.type, 'text/x');
    const bytes = new Uint8Array((await file?.arrayBuffer()) ?? new ArrayBuffer(0));
    assert.equal(bytes.length, 100_000);
    assert.ok(bytes.every((byte, i) => byte === (i & 255)));
  });

  it('flows once accepted, and is stopped by either side', async () => {
    const [ada, bob] = pair();
    const file = new Blob([new Uint8Array(5_000_000)]);
    const refused = ada.sendFile(file);
    (await bob.offer()).refuse();
    await assert.rejects(refused, isCode('FILE_CANCELLED'));
    assert.ok(!ada.frames.includes('piece'));
    const controller = new AbortController();
    const stopped = ada.sendFile(file, {
      signal: controller.signal,
      onProgress: (done) => done > 1_000_000 && controller.abort(),
    });
    const accepted = (await bob.offer()).accept();
    await assert.rejects(stopped, isCode('FILE_CANCELLED'));
    await assert.rejects(accepted, isCode('FILE_CANCELLED'));
    const receiver = new AbortController();
    const sent = ada.sendFile(file);
    const taken = (await bob.offer()).accept({
      signal: receiver.signal,
      onProgress: () => receiver.abort(),
    });
    await assert.rejects(taken, isCode('FILE_CANCELLED'));
    await assert.rejects(sent, isCode('FILE_CANCELLED'));
    bob.isListening = false;
    await assert.rejects(ada.sendFile(file), isCode('FILE_CANCELLED'));
    await assert.rejects(ada.sendFile('x' as unknown as Blob), isCode('BAD_ARGUMENT'));
    await assert.rejects(
      ada.sendFile(file, { signal: AbortSignal.abort() }),
      isCode('FILE_CANCELLED'),
    );
  });

  it('that is under way when the peer goes fails at both ends', async () => {
    const [ada, bob] = pair();
    const sent = ada.sendFile(new Blob([new Uint8Array(50_000_000)]));
    const offer = await bob.offer();
    const taken = offer.accept({ onProgress: () => bob.close() });
    await assert.rejects(taken, isCode('FILE_FAILED'));
    ada.close();
    await assert.rejects(sent, isCode('FILE_FAILED'));
    await assert.rejects(offer.accept(), isCode('FILE_FAILED'));
  });

  it('of a stranger costs what was accepted of it', () => {
    const [ada] = pair();
    const say = (frame: string, number: string, value: unknown): void =>
      ada.part.frames?.[frame]?.handle(value, number, true);
    for (const value of [
      null,
      7,
      {},
      { name: 1, type: '', size: 1 },
      { name: '', type: '', size: -1 },
    ])
      say('file', '1', value);
    assert.equal(ada.offers.length, 0);
    for (const frame of ['fileGo', 'piece', 'fileStop', 'fileEnd']) say(frame, 'x', null);
    for (let i = 0; i < 5000; i++) say('file', String(i), { name: 'x', type: '', size: 1 });
    assert.equal(ada.offers.length, 1024);
    // Not accepted: not kept.
    say('piece', '3', new Uint8Array(1));
    say('piece', '3', 'text');
    const taken = ada.offers[5]?.accept();
    say('piece', '5', new Uint8Array(2));
    return assert.rejects(taken ?? Promise.resolve(), isCode('FILE_FAILED'));
  });
});
