import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { patience, until } from '@lumamesh/testkit';
import { useRelayProcess } from '../../../client/src/platform/node/relay-process.test-support.ts';
import { joinRoom } from './index.ts';

/* Trystero's rooms by a relay of ours, in Node: each peer is a process, for its id is. */

const scene = useRelayProcess();
const PROGRAM = join(import.meta.dirname, 'peer.test-support.ts');
const programs: ChildProcess[] = [];
after(() => {
  for (const program of programs) program.kill();
});

class Peer {
  readonly heard: (readonly string[])[] = [];
  readonly #program: ChildProcess;

  constructor(room: string, options: object = {}) {
    const argument = JSON.stringify({ relay: scene.line, room, ...options });
    this.#program = spawn(process.execPath, [PROGRAM, argument], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    programs.push(this.#program);
    let rest = '';
    this.#program.stdout?.on('data', (data) => {
      const lines = (rest + String(data)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.heard.push(JSON.parse(line) as string[]);
    });
  }

  get id(): string {
    return this.heard.find(([word]) => word === 'self')?.[1] ?? '';
  }

  say(line: string): void {
    this.#program.stdin?.write(`${line}\n`);
  }

  kill(): void {
    this.#program.kill('SIGKILL');
  }

  has(...words: readonly string[]): boolean {
    return this.heard.some((line) => words.every((word, i) => line[i] === word));
  }

  async hears(...words: readonly string[]): Promise<void> {
    const seen = (): string => `${words.join(' ')} is not in ${JSON.stringify(this.heard)}`;
    await until(() => this.has(...words), seen, patience(30_000));
  }
}

const started = async (...peers: readonly Peer[]): Promise<void> => {
  for (const peer of peers) await peer.hears('self');
};

describe('Trystero by relays of Lumamesh', { timeout: 170_000 }, () => {
  it('connects who joins a room, carries actions, and tells who leaves', async () => {
    const [ada, bob] = [new Peer('tea', { password: 'x' }), new Peer('tea', { password: 'x' })];
    await started(ada, bob);
    await Promise.all([ada.hears('join', bob.id), bob.hears('join', ada.id)]);
    const cyd = new Peer('tea', { password: 'x' });
    await started(cyd);
    await Promise.all([
      cyd.hears('join', ada.id),
      cyd.hears('join', bob.id),
      ada.hears('join', cyd.id),
    ]);
    ada.say('hello');
    await Promise.all([bob.hears('chat', ada.id, 'hello'), cyd.hears('chat', ada.id, 'hello')]);
    bob.say('leave');
    await ada.hears('leave', bob.id);
    // Only once each.
    assert.equal(ada.heard.filter(([word]) => word === 'join').length, 2);
  });

  it('says that a password is wrong, and connects nobody who has it', async () => {
    const [ada, eve] = [
      new Peer('secret', { password: 'a' }),
      new Peer('secret', { password: 'b' }),
    ];
    await started(ada, eve);
    await until(
      () => ada.has('error') || eve.has('error'),
      'one of them hears it',
      patience(30_000),
    );
    assert.ok(!ada.has('join') && !eve.has('join'));
    const [, error = ''] = [...ada.heard, ...eve.heard].find(([word]) => word === 'error') ?? [];
    assert.match(error, /password/);
  });

  it('lets passive peers meet those who are not, and not each other', async () => {
    const [first, second] = [
      new Peer('passive', { passive: true }),
      new Peer('passive', { passive: true }),
    ];
    await started(first, second);
    const active = new Peer('passive');
    await started(active);
    await Promise.all([
      active.hears('join', first.id),
      active.hears('join', second.id),
      first.hears('join', active.id),
      second.hears('join', active.id),
    ]);
    assert.ok(!first.has('join', second.id) && !second.has('join', first.id));
  });

  it('leaves mistakes in a config to Trystero', () => {
    const join_ = joinRoom as (config?: object, room?: string) => unknown;
    assert.throws(() => join_(), /config map/);
    assert.throws(() => join_({ relayConfig: {} }, 'x'), /appId/);
    assert.throws(() => join_({ appId: 'x', relayConfig: {} }), /roomId/);
    assert.throws(() => join_({ appId: 'x', relayConfig: { relays: 'luma1.none' } }, 'x'), {
      code: 'BAD_RELAY',
    });
  });
});
