import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { RelayProcess, patience, until } from '@lumamesh/testkit';
import { type Net, type Room, connect } from './index.ts';

/** Without a relay for at most this long, on an idle machine. */
const LIMIT_MS = 1000;
/** A link that is younger is no reason to dial at once. */
const SETTLED_MS = 5500;

interface Service {
  readonly relay: RelayProcess;
  /** Writes its settings anew. */
  readonly config: (...lines: string[]) => Promise<void>;
}

/** A relay as a service manager runs it, or by itself. All processes of it end with the test. */
async function withRelay(
  hasManager: boolean,
  test: (service: Service) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-hand-over-'));
  const settings = join(folder, 'relay.env');
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  const config = (...lines: string[]): Promise<void> =>
    writeFile(
      settings,
      ['PUBLIC_IP=127.0.0.1', 'LISTEN_IP=127.0.0.1', `UDP_PORT=${port}`, ...lines].join('\n'),
    );
  await config('HEALTH_LISTEN=127.0.0.1:0');
  await writeFile(join(folder, 'systemd-notify'), '#!/bin/sh\n', { mode: 0o755 });
  const relay = new RelayProcess({
    cwd: folder,
    environment: {
      PATH: `${folder}:${process.env['PATH']}`,
      ...(hasManager ? { NOTIFY_SOCKET: join(folder, 'socket') } : {}),
    },
    parameters: ['--config', settings],
  });
  try {
    await relay.ready();
    await test({ relay, config });
  } finally {
    for (const pid of [relay.child.pid ?? 0, ...successors(relay)]) kill(pid, 'SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Processes that it has handed over to. */
function successors({ stderr }: RelayProcess): readonly number[] {
  return [...stderr.matchAll(/"to":(\d+),/g)].map(([, pid]) => Number(pid));
}

/** Of Linux. */
function childrenOf(pid: number): string {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

/** Watches how long a net was without relay at most, and whether it lost a peer. */
function watch(
  net: Net,
  room: Room,
): { readonly end: () => { readonly longestMs: number; readonly losses: number } } {
  let longestMs = 0;
  let losses = 0;
  let since: number | null = null;
  const look = (): void => {
    const isOpen = net.status.relays.some(({ state }) => state === 'open');
    const now = performance.now();
    if (isOpen) since = null;
    else longestMs = Math.max(longestMs, now - (since ??= now));
  };
  for (const peer of room.peers) peer.on('close', () => (losses += 1));
  const timer = setInterval(look, 5);
  return {
    end() {
      clearInterval(timer);
      return { longestMs, losses };
    },
  };
}

describe('a relay that hands over to a new process', () => {
  it('is away for less than a second; no peer is lost, and rooms go on', (t) =>
    withRelay(true, async ({ relay, config }) => {
      const nets: Net[] = [];
      const join2 = (): { readonly net: Net; readonly room: Room } => {
        const net = connect({ relays: [relay.line], webrtc });
        nets.push(net);
        return { net, room: net.joinRoom('upgrade') };
      };
      const openPeers = (room: Room): number => [...room.peers].filter((one) => one.isOpen).length;
      try {
        const pair = [join2(), join2()];
        const heard = new Set<unknown>();
        await until(
          () => pair.every(({ room }) => openPeers(room) === 1),
          () => `they do not meet: ${relay.stderr}`,
        );
        for (const peer of pair[1]?.room.peers ?? []) peer.on('data', (value) => heard.add(value));
        let before = relay.child.pid ?? 0;
        for (const round of [1, 2]) {
          await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
          const watched = pair.map(({ net, room }) => watch(net, room));
          kill(before, 'SIGUSR2');
          await until(
            () => relay.stderr.split('"msg":"handed over"').length > round,
            () => relay.stderr,
          );
          // Direct connections do not notice.
          pair[0]?.room.broadcast(`round ${round}`);
          await until(() => heard.has(`round ${round}`), 'what was sent meanwhile is lost');
          await until(
            () => pair.every(({ net }) => net.status.relays.some(({ state }) => state === 'open')),
            () => JSON.stringify(pair.map(({ net }) => net.status)),
          );
          const seen = watched.map(({ end }) => end());
          t.diagnostic(
            `round ${round}: without relay for ${seen.map(({ longestMs }) => Math.round(longestMs)).join(' and ')} ms`,
          );
          for (const { longestMs, losses } of seen) {
            assert.ok(longestMs > 0 && longestMs < patience(LIMIT_MS), `${longestMs} ms`);
            assert.equal(losses, 0);
          }
          const after = successors(relay)[round - 1] ?? 0;
          assert.notEqual(after, before);
          before = after;
        }
        // A newcomer meets those who were there before.
        const third = join2();
        await until(
          () => openPeers(third.room) === 2,
          () => `the newcomer meets ${openPeers(third.room)}: ${relay.stderr}`,
        );

        // What cannot start takes over from nobody.
        await config('MAX_ROOM_SIZE=many');
        kill(before, 'SIGUSR2');
        await until(
          () => relay.stderr.includes('the new program did not start: this one goes on'),
          () => relay.stderr,
        );
        await config('MAX_ROOM_SIZE=9');
        assert.ok(third.net.status.relays.every(({ state }) => state === 'open'));
      } finally {
        for (const net of nets) net.close();
      }
    }));

  it('hands over with the settings of now, also where they were read again meanwhile', () =>
    withRelay(true, async ({ relay, config }) => {
      await config('ACCESS_TOKENS=a-token-of-many-letters,another-of-many-letters');
      const pid = relay.child.pid ?? 0;
      const before = childrenOf(pid);
      kill(pid, 'SIGUSR2');
      await until(() => childrenOf(pid) !== before, 'no new process');
      kill(pid, 'SIGHUP');
      await until(
        () => relay.stderr.includes('"msg":"handed over"'),
        () => relay.stderr,
      );
      assert.match(relay.stderr, /settings were read again meanwhile: the new program starts anew/);
      assert.equal(successors(relay).length, 1);
    }));

  it('does so for a service only: elsewhere nobody would know of the new process', () =>
    withRelay(false, async ({ relay }) => {
      relay.child.kill('SIGUSR2');
      await until(
        () => relay.stderr.includes('only a service of systemd goes on by another process'),
        () => relay.stderr,
      );
      assert.ok(!relay.hasEnded);
    }));
});
