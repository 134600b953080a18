import assert from 'node:assert/strict';
import { setImmediate as settle } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { LIMITS } from '@lumamesh/protocol';
import { VirtualTime, seededRandom } from '@lumamesh/testkit';
import type { Platform } from '../platform/platform.ts';
import type { RelayChannelEvents } from '../platform/relay-channel.ts';
import { RelayPool } from './relay-pool.ts';
import type { KnownRelay } from './relay-source.ts';
import { relayRecord } from './relay-record.test-support.ts';

const STEP_MS = 10;
const TICK_MS = 1000;
/** Older links are dialled again at once. */
const SETTLED_MS = 8000;

function relay(i: number): KnownRelay {
  const mesh = { mesh: 'AAECAwQFBgcICQoLDA0ODw', meshPort: 7402 };
  // Of one that the page has itself, which nobody has to verify.
  const { signature: _signature, ...known } = relayRecord(i, mesh);
  return known;
}

const RELAYS = [1, 2, 3].map(relay);

/** Pages of which each holds the first two of three relays, in virtual time: the third is silent. */
class Crowd {
  readonly time = new VirtualTime();
  readonly #random = seededRandom(5);
  readonly dialled: { readonly nk: string; readonly at: number }[] = [];
  /** Channels to each relay. */
  readonly open = new Map<string, Set<RelayChannelEvents>>(RELAYS.map(({ nk }) => [nk, new Set()]));

  constructor(pages: number) {
    for (let i = 0; i < pages; i++) {
      const pool = this.#page();
      pool.book.setSeeds('page', RELAYS);
      const tick = (): void => {
        pool._handleTick(this.time.now);
        this.time.after(pool._isDialling ? 200 : TICK_MS, tick);
      };
      this.time.after(this.#random() * TICK_MS, tick);
    }
  }

  #page(): RelayPool {
    const platform = {
      now: () => this.time.now,
      random: this.#random,
      setTimer: (ms: number, run: () => void) => {
        this.time.after(ms, run);
        return () => assert.fail('no timer of a pool is cancelled');
      },
      dialRelay: ({ nk }: KnownRelay, _addresses: unknown, events: RelayChannelEvents) => {
        this.dialled.push({ nk, at: this.time.now });
        const channels = this.open.get(nk);
        if (nk === RELAYS[2]?.nk)
          return { connection: null, send: () => true, close: () => undefined };
        this.time.after(30 + this.#random() * 100, () => {
          channels?.add(events);
          events.open(false);
          events.frame(JSON.stringify({ action: 'welcome', version: 1, node: { nk }, limits: {} }));
        });
        const send = (frame: string): boolean => {
          if (frame.includes('"ping"'))
            this.time.after(50, () => events.frame('{"action":"pong"}'));
          return true;
        };
        return { connection: null, send, close: () => channels?.delete(events) };
      },
    } as unknown as Platform;
    const nothing = (): void => undefined;
    return new RelayPool(
      platform,
      { relays: [] },
      {
        _addressesOf: async ({ ip }) => [ip],
        _handleRelayOpen: nothing,
        _handleRelayMessage: nothing,
        _handleRelayGone: nothing,
        _handleChange: nothing,
        _handleFault: nothing,
      },
    );
  }

  async run(ms: number): Promise<void> {
    for (const end = this.time.now + ms; this.time.now < end; await settle())
      this.time.runUntil(() => false, STEP_MS);
  }

  /** The first relay hands over: when it was dialled since, and how often the others were. */
  async handOver(successor: number): Promise<{
    readonly sessions: number;
    readonly againMs: readonly number[];
    readonly elsewhere: number;
  }> {
    await this.run(SETTLED_MS);
    const nk = RELAYS[0]?.nk ?? '';
    const channels = [...(this.open.get(nk) ?? [])];
    const [before, startedAt] = [this.dialled.length, this.time.now];
    const said = { action: 'error', code: 'RELAY_CLOSING', message: 'handed over', successor };
    for (const channel of channels) channel.frame(JSON.stringify(said));
    await this.run(LIMITS.maxReturnMs + 500);
    const since = this.dialled.slice(before);
    return {
      sessions: channels.length,
      againMs: since.filter((one) => one.nk === nk).map(({ at }) => at - startedAt),
      elsewhere: since.filter((one) => one.nk !== nk).length,
    };
  }
}

/** The most of these times within so many ms. */
function most(times: readonly number[], withinMs: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  let [count, first] = [0, 0];
  for (const [i, at] of sorted.entries()) {
    while (at - (sorted[first] ?? 0) >= withinMs) first += 1;
    count = Math.max(count, i - first + 1);
  }
  return count;
}

describe('a relay that hands over to another process', () => {
  it('is dialled at once by a page, and by few', async () => {
    for (const pages of [1, 30]) {
      const { sessions, againMs, elsewhere } = await new Crowd(pages).handOver(0);
      assert.deepEqual([againMs.length, elsewhere], [sessions, 0]);
      assert.ok(Math.max(0, ...againMs) <= STEP_MS, String(againMs));
    }
  });

  it('is dialled by two thousand within the time that it names, and no other relay instead', async (t) => {
    const together = await new Crowd(2000).handOver(0);
    t.diagnostic(`without such a time: ${most(together.againMs, 100)} dial within 100 ms`);
    const crowd = new Crowd(2000);
    const { sessions, againMs, elsewhere } = await crowd.handOver(LIMITS.maxReturnMs);
    t.diagnostic(
      `${sessions} sessions: at most ${most(againMs, 1000)} dial within 1 s, ${most(againMs, 100)} within 100 ms; the last after ${Math.round(Math.max(...againMs))} ms`,
    );
    assert.equal(sessions, 2000);
    assert.deepEqual([againMs.length, elsewhere], [sessions, 0]);
    // A core takes some 1000 in a second.
    assert.ok(most(againMs, 1000) <= 1150 && most(againMs, 100) <= 160);
    assert.ok(Math.max(...againMs) <= LIMITS.maxReturnMs + STEP_MS);
  });

  it('has no say beyond two seconds: it is dialled as one that is lost', async () => {
    const { sessions, againMs } = await new Crowd(30).handOver(LIMITS.maxReturnMs + 1);
    assert.equal(againMs.length, sessions);
    assert.ok(againMs.every((ms) => ms >= 500 && ms <= 2000));
  });
});
