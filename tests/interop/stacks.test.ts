import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodeRecordLine } from '@lumamesh/protocol';
import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import {
  WITHOUT_PION,
  buildGo,
  connectToRelay,
  patienceNow,
  pause,
  until,
} from '@lumamesh/testkit';
import { type Command, OWN_ADDRESS, WITHOUT_AIORTC, guideCommand } from './stacks.ts';

/*
 * Other WebRTC stacks as clients of a relay: the programs of the guide, each a process of its own
 * that meets another member; and pion without an ICE agent, with all that it may offer.
 */
const STAY_MS = 10_000;
/** What a join takes on an idle machine without anything to wait for. */
const JOIN_MS = 10;
/** Where a datagram is answered by silence, a client's timer follows: pion's has a second. */
const SILENCE_MS = 900;
/** Well below the 25 s after which a silent session ends. */
const LEAVE_MS = 15_000;
const MEMBER = 'm'.repeat(22);
const NEWCOMER = 'p'.repeat(22);

let relay: RelayServer;
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lumamesh-stacks-'));
  const environment = {
    CERT_FILE: join(folder, 'server.crt'),
    KEY_FILE: join(folder, 'server.key'),
    NODE_KEY: join(folder, 'node.key'),
    PUBLIC_IP: OWN_ADDRESS,
  };
  relay = await RelayServer.start({ ...readConfig({ environment }), udpPort: 0 }, silentLogger);
});

after(async () => {
  await relay.close();
  rmSync(folder, { recursive: true });
});

/** Frames, and waiting for one of them. */
class Frames {
  readonly all: string[] = [];

  async next(action: string, ...contents: readonly string[]): Promise<string> {
    const find = (): string | undefined =>
      this.all.find(
        (frame) =>
          frame.startsWith(`{"action":"${action}"`) &&
          contents.every((content) => frame.includes(content)),
      );
    await until(
      () => find() !== undefined,
      () => `no ${action} with ${contents.join()} in ${this.all.join('\n')}`,
    );
    return find() ?? '';
  }
}

/** Another member of the room, of our own stack. */
async function member(room: string): Promise<{
  readonly frames: Frames;
  send(frame: object): void;
  close(): void;
}> {
  const frames = new Frames();
  const client = await connectToRelay(relay.record, (event) => {
    if (event.type === 'message') frames.all.push(String(event.data));
  });
  const send = (frame: object): void => void client.send(0, JSON.stringify(frame));
  await frames.next('welcome');
  send({ action: 'join', room, peer: MEMBER });
  await frames.next('joined');
  return { frames, send, close: () => void client.close() };
}

/** A program of the guide. */
function start({ program, flags }: Command, room: string): { frames: Frames; child: ChildProcess } {
  const frames = new Frames();
  const args = [...flags, encodeRecordLine(relay.record), room, NEWCOMER];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let rest = '';
  child.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    frames.all.push(...lines);
  });
  return { frames, child };
}

/** Joins, signals both ways, stays, and leaves so that the other member hears of it. */
async function meet(command: Command, room: string): Promise<void> {
  const other = await member(room);
  const { frames, child } = start(command, room);
  const hasEnded = new Promise<number | null>((resolve) => child.once('exit', resolve));
  try {
    await frames.next('welcome');
    await frames.next('joined', MEMBER);
    await other.frames.next('peer-joined', NEWCOMER);
    other.send({ action: 'signal', room, to: NEWCOMER, data: 'VG8gdGhlbQ' });
    await frames.next('signal', MEMBER, 'VG8gdGhlbQ');
    const say = (frame: object): void => void child.stdin?.write(`${JSON.stringify(frame)}\n`);
    say({ action: 'signal', room, to: MEMBER, data: 'x'.repeat(30_000) });
    await other.frames.next('signal', NEWCOMER, 'x'.repeat(30_000));
    await pause(STAY_MS);
    assert.ok(!other.frames.all.some((frame) => frame.includes('peer-left')), 'still there');
    say({ action: 'ping' });
    await frames.next('pong');
    child.stdin?.end();
    assert.equal(await hasEnded, 0);
    const endedAt = performance.now();
    await other.frames.next('peer-left', NEWCOMER);
    assert.ok(performance.now() - endedAt < LEAVE_MS, 'by what it said, not by its silence');
  } finally {
    child.kill();
    other.close();
  }
}

describe('the programs of the guide join, signal, stay and leave', { concurrency: 4 }, () => {
  const stacks: [string, string | false][] = [
    ['pion', WITHOUT_PION],
    ['aiortc', WITHOUT_AIORTC],
    ['werift', false],
    ['libdatachannel', false],
  ];
  for (const [i, [stack, skip]] of stacks.entries())
    it(stack, { skip }, () => meet(guideCommand(stack, folder), `${i}`.repeat(43)));
});

describe('pion without an ICE agent', { skip: WITHOUT_PION }, () => {
  let program = '';
  before(() => {
    program = buildGo(join(import.meta.dirname, 'pion/main.go'), folder);
  });

  /** Not `spawnSync`: the relay lives in this process. */
  const run = async (variant: string, rounds: number): Promise<string> => {
    const { ip, port, ufrag, pwd, fingerprint } = relay.record;
    const args = [`${ip}:${port}`, ufrag, pwd, fingerprint, variant, `${rounds}`];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data: Buffer) => (text += data.toString()));
    await new Promise((resolve) => child.once('close', resolve));
    return text;
  };

  it('joins as fast as the machine is, for nothing is answered by silence', async (t) => {
    const times = (await run('plain', 30)).trim().split('\n').map(Number);
    assert.ok(times.length === 30 && times.every((ms) => ms > 0), times.join());
    const sorted = times.toSorted((a, b) => a - b);
    t.diagnostic(`joined after ${sorted[0]} to ${sorted.at(-1)} ms, median ${sorted[15]} ms`);
    assert.ok((sorted[3] ?? Infinity) <= patienceNow(JOIN_MS), sorted.join());
    assert.ok((sorted[15] ?? Infinity) < SILENCE_MS, sorted.join());
  });

  const joins = [
    'srtp',
    'everything',
    'fragments',
    'P-256',
    'DCEP on stream 0',
    'DCEP on stream 2',
  ];
  for (const variant of joins) {
    it(`joins: ${variant}`, async () => {
      const text = await run(variant, 2);
      assert.match(text, /^[\d.]+\n[\d.]+\n$/);
    });
  }

  const refusals: [string, RegExp, string][] = [
    ['RSA', /^dtls: .*HandshakeFailure/, 'dtls.refused.noCommonCipherSuite'],
    [
      'no extended master secret',
      /^dtls: .*HandshakeFailure/,
      'dtls.refused.noExtendedMasterSecret',
    ],
    ['another label', /^(?:join|frame): /, 'relay.foreignChannel'],
  ];
  for (const [variant, error, reason] of refusals) {
    it(`is refused with a word, and counted: ${variant}`, async () => {
      assert.match(await run(variant, 1), error);
      assert.ok((relay.stats().drops[reason] ?? 0) > 0, JSON.stringify(relay.stats().drops));
    });
  }
});

describe('the certificate of a new relay', () => {
  it('is one that OpenSSL verifies; the stacks above have read it', () => {
    const file = join(folder, 'server.crt');
    const { stdout, status } = spawnSync('openssl', ['verify', '-CAfile', file, file], {
      encoding: 'utf8',
    });
    assert.equal(status, 0);
    assert.match(stdout, /OK/);
  });
});
