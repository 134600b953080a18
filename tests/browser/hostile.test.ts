import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { measureSlowness, patience } from '@lumamesh/testkit';
import { type Attack, ATTACKS, ENDINGS, rubbishSignals } from './hostile-attacks.ts';
import { HostileMember } from './hostile-member.ts';
import { type TestRelay, serveHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/*
 * The published library in a page, beside a member that is hostile: whatever it says, the page goes
 * on, nothing reaches window.onerror, memory stays bounded, and its connection to others lives.
 */
const skip = whySkipped() ?? false;
const ROOM = 'beside mallory';
const NICKS = ['Ada', 'Bob'] as const;
/** A page may be held up for so long by one attack, on an idle machine. */
const MAX_HELD_UP_MS = 1500;
/** What holds a page up does so each time; what else the machine has to do does not. */
const TRIES = 3;
const MAX_HEAP_MB = 160;
const ECHO_LIMIT_MS = 20_000;

interface Health {
  readonly errors: readonly string[];
  readonly longestMs: number;
  readonly isPolluted: boolean;
}

/** A page, and who is after it. */
class Victim {
  readonly tab: Tab;
  readonly nick: string;
  readonly id: string;
  readonly #relay: TestRelay;
  #meetings = 0;
  #marks = 0;
  /** Whom {@link meet} has brought. */
  mallory!: HostileMember;

  private constructor(tab: Tab, nick: string, id: string, relay: TestRelay) {
    this.tab = tab;
    this.nick = nick;
    this.id = id;
    this.#relay = relay;
  }

  static async join(tab: Tab, nick: string, relay: TestRelay): Promise<Victim> {
    const id = await tab.call<string>('join', { relays: [relay.record] }, ROOM, nick);
    return new Victim(tab, nick, id, relay);
  }

  /** Another hostile member comes, in the place of the one before. */
  async meet(): Promise<void> {
    await this.part();
    this.#meetings += 1;
    this.mallory = await HostileMember.join(this.#relay.record, ROOM, this.#mallorysNick, this.id);
  }

  get #mallorysNick(): string {
    return `Mallory ${this.#meetings} of ${this.nick}`;
  }

  /** Whether the page has given that one up. */
  readonly hasGivenUp = async (): Promise<boolean> =>
    (await this.tab.log()).some(
      ({ event, value }) => event === 'leave' && value === `${this.#mallorysNick} failed`,
    );

  async part(): Promise<void> {
    await (this.mallory as HostileMember | undefined)?.leave();
  }

  /** Connects, and says who it is: what it says now is heard. */
  async connect(): Promise<void> {
    await this.mallory.connect(this.id);
    await this.mallory.bind(this.id);
  }

  /** Attacks the page, which listens to what comes after that on the same connection. */
  async suffer(what: string, { run, isNoted }: Attack): Promise<void> {
    const { mallory, tab } = this;
    await mallory.begin();
    await run(mallory, this.id);
    assert.equal(mallory.hasEnded, false, `${what}: its connection was ended`);
    this.#marks += 1;
    const mark = `${what} ${this.#marks}`;
    await mallory.mark(mark);
    await tab.waitFor('say', mark);
    if (isNoted !== undefined) await tab.waitFor(...isNoted);
  }

  /** What became of the page after that. */
  async isWell(other: string, what: string): Promise<{ heldUpMs: number }> {
    const { tab } = this;
    const took = await tab.call<number | string>('echo', other, patience(ECHO_LIMIT_MS));
    assert.ok(typeof took === 'number', `${what}: ${other} is not heard: ${took}`);
    const { errors, longestMs, isPolluted } = await tab.call<Health>('health');
    assert.deepEqual({ errors, isPolluted }, { errors: [], isPolluted: false }, what);
    const ends = (await tab.log()).filter(
      ({ event, value }) => event === 'leave' && String(value).startsWith(other),
    );
    assert.deepEqual(ends, [], what);
    const heap = await heapMb(tab);
    assert.ok(heap <= MAX_HEAP_MB, `${what}: ${heap} MB`);
    say(
      `  ${tab.name}: echo ${took.toFixed()} ms, held up ${longestMs.toFixed()} ms, ${heap.toFixed()} MB`,
    );
    return { heldUpMs: longestMs };
  }
}

function say(line: string): void {
  if (process.env['VERBOSE'] !== undefined) process.stderr.write(`${line}\n`);
}

async function heapMb(tab: Tab): Promise<number> {
  // Firefox tells nothing of it.
  if (tab.name !== 'chromium') return 0;
  const session = await tab.page.createCDPSession();
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize / 1_048_576;
}

async function bearAll(
  victims: readonly Victim[],
  what: string,
  attack: (victim: Victim) => Promise<void>,
): Promise<void> {
  for (let tried = 1; ; tried++) {
    for (const { tab } of victims) await tab.call<Health>('health');
    const startedAt = performance.now();
    await Promise.all(victims.map(attack));
    say(`${what}: ${(performance.now() - startedAt).toFixed()} ms`);
    const heldUp: string[] = [];
    for (const [i, victim] of victims.entries()) {
      const { heldUpMs } = await victim.isWell(NICKS[1 - i] ?? '', what);
      if (heldUpMs > patience(MAX_HELD_UP_MS) && heldUpMs > MAX_HELD_UP_MS * measureSlowness())
        heldUp.push(`${victim.tab.name} for ${heldUpMs.toFixed()} ms`);
    }
    if (heldUp.length === 0) return;
    assert.ok(tried < TRIES, `${what}: held up, again and again: ${heldUp.join(', ')}`);
  }
}

describe('pages beside a hostile member', { skip }, () => {
  const victims: Victim[] = [];
  let end = (): Promise<void> => Promise.resolve();

  before(async () => {
    const relay = await startRelay({ MAX_SESSIONS_PER_ADDRESS: '200' });
    const page = await serveHarness('hostile.ts');
    const tabs: Tab[] = [];
    end = async () => {
      for (const victim of victims) await victim.part().catch(() => undefined);
      for (const tab of tabs) await tab.close().catch(() => undefined);
      await page.close();
      await relay.close();
    };
    for (const name of ['chromium', 'firefox'] as const) tabs.push(await Tab.open(name, page.url));
    for (const [i, tab] of tabs.entries())
      victims.push(await Victim.join(tab, NICKS[i] ?? '', relay));
    for (const [i, tab] of tabs.entries()) await tab.waitFor('open', NICKS[1 - i]);
    await Promise.all(victims.map((victim) => victim.meet()));
  });

  after(() => end());

  it('go on in both browsers, and so does the connection between them: signals of rubbish, before one that is right', () =>
    bearAll(victims, 'signals of rubbish', async (victim) => {
      await rubbishSignals(victim.mallory, victim.id);
      await victim.connect();
    }));

  for (const [what, attack] of Object.entries(ATTACKS))
    it(`go on: ${what}`, () => bearAll(victims, what, (victim) => victim.suffer(what, attack)));

  for (const [what, run] of Object.entries(ENDINGS))
    it(`give it up, and go on: ${what}`, () =>
      bearAll(victims, what, async (victim) => {
        await victim.meet();
        await run(victim.mallory, victim.id, victim.hasGivenUp);
      }));
});
