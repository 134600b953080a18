import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import { seededRandom } from '@lumamesh/testkit';
import { type AskResult, Reachability } from './reachability.ts';

const ADDRESS = '203.0.113.9';
const HOUR_MS = 3_600_000;

type Behaviour = AskResult['type'] | 'never';

/** A relay and those it asks, in virtual time. */
class Bench {
  now = 0;
  readonly verdicts: string[] = [];
  readonly asked: { readonly at: number; readonly helper: string }[] = [];
  behave: (helper: string) => Behaviour = () => 'reached';
  address = ADDRESS;
  readonly machine: Reachability;
  readonly #helpers: readonly string[];

  constructor(helpers: readonly string[], seed = 1) {
    this.#helpers = helpers;
    this.machine = new Reachability(instant(0), { address: ADDRESS, random: seededRandom(seed) });
  }

  /** What happens meanwhile; an answer takes a second. */
  run(ms: number): this {
    const end = this.now + ms;
    let answer: { readonly at: number; readonly result: AskResult } | null = null;
    for (;;) {
      for (let output = this.machine.poll(); output !== null; output = this.machine.poll()) {
        if (output.type === 'verdict') {
          this.verdicts.push(output.state.verdict);
          continue;
        }
        const helper = this.#helpers[output.helper] ?? '';
        this.asked.push({ at: this.now, helper });
        const type = this.behave(helper);
        if (type === 'never') continue;
        answer = {
          at: this.now + 1000,
          result: type === 'noAnswer' ? { type } : { type, address: this.address },
        };
      }
      const due = Math.min(answer?.at ?? Infinity, this.machine.deadline ?? Infinity);
      if (due > end) break;
      this.now = due;
      if (answer?.at === due) {
        this.machine.handleAnswer(instant(due), answer.result);
        answer = null;
      } else {
        this.machine.setHelpers(this.#helpers);
        this.machine.handleTimeout(instant(due));
      }
    }
    this.now = end;
    return this;
  }

  get verdict(): string {
    return this.machine.state.verdict;
  }
}

describe('whether a relay is reached from outside', () => {
  it('is told within seconds by the first relay that comes in, and asked again after hours', () => {
    const bench = new Bench(['a', 'b', 'c']).run(10_000);
    assert.deepEqual(
      [bench.verdict, bench.verdicts, bench.asked.length],
      ['reached', ['reached'], 1],
    );
    bench.run(24 * HOUR_MS);
    assert.ok(bench.asked.length >= 4 && bench.asked.length <= 7, String(bench.asked.length));
    assert.deepEqual(bench.verdicts, ['reached']);
  });

  it('is denied by two relays only; one may be cut off itself', () => {
    const bench = new Bench(['a', 'b']);
    bench.behave = () => 'unreached';
    bench.run(3500);
    assert.deepEqual([bench.verdict, bench.asked.length], ['unknown', 1]);
    bench.run(10_000);
    assert.deepEqual([bench.verdict, bench.verdicts], ['unreached', ['unreached']]);
    assert.notEqual(bench.asked[0]?.helper, bench.asked[1]?.helper);
    // Somebody mends the firewall.
    bench.behave = () => 'reached';
    bench.run(150_000);
    assert.deepEqual(bench.verdicts, ['unreached', 'reached']);
  });

  it('is denied by the only relay there is when a minute later it finds nobody either', () => {
    const bench = new Bench(['a']);
    bench.behave = () => 'unreached';
    bench.run(60_000);
    assert.equal(bench.verdict, 'unknown');
    bench.run(10_000);
    assert.equal(bench.verdict, 'unreached');
  });

  it('is not denied for one relay of three that lies', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const bench = new Bench(['a', 'liar', 'c'], seed);
      bench.behave = (helper) => (helper === 'liar' ? 'unreached' : 'reached');
      bench.run(100 * HOUR_MS);
      assert.deepEqual(bench.verdicts, ['reached']);
    }
  });

  it('is looked at again at once where the operator asks for it', () => {
    const bench = new Bench(['a', 'b']);
    bench.behave = () => 'unreached';
    bench.run(60_000);
    bench.behave = () => 'reached';
    bench.machine.handleRecheck(instant(bench.now));
    bench.run(5000);
    assert.equal(bench.verdict, 'reached');
  });

  it('is not known where nobody answers, which is said once, and not asked for ever faster', () => {
    for (const behaviour of ['noAnswer', 'unknown', 'never'] as const) {
      const bench = new Bench(['a', 'b']);
      bench.behave = () => behaviour;
      bench.run(24 * HOUR_MS);
      assert.deepEqual([bench.verdict, bench.verdicts], ['unknown', ['unknown']]);
      assert.ok(bench.asked.length < 80, String(bench.asked.length));
    }
    const alone = new Bench([]).run(HOUR_MS);
    assert.deepEqual([alone.verdict, alone.verdicts], ['unknown', ['unknown']]);
  });

  it('is known by a session from elsewhere, whatever relays say, and nobody is asked then', () => {
    const bench = new Bench(['a', 'b']);
    bench.behave = () => 'unreached';
    bench.run(60_000);
    assert.equal(bench.verdict, 'unreached');
    bench.machine.handleStranger(instant(bench.now));
    bench.run(HOUR_MS);
    assert.deepEqual(bench.verdicts, ['unreached', 'reached']);
    assert.equal(bench.machine.state.by, 'session');
    const asked = bench.asked.length;
    for (let i = 0; i < 50; i++) {
      bench.machine.handleStranger(instant(bench.now));
      bench.run(HOUR_MS);
    }
    assert.equal(bench.asked.length, asked);
  });

  it('is not told by what was dialled elsewhere; the other address is', () => {
    const bench = new Bench(['a', 'b']);
    bench.address = '198.51.100.1';
    bench.run(60_000);
    assert.deepEqual([bench.verdict, bench.machine.state.elsewhere], ['unknown', '198.51.100.1']);
    bench.machine.setAddress(instant(bench.now), '198.51.100.1');
    assert.equal(bench.machine.state.elsewhere, null);
    bench.run(20_000);
    assert.equal(bench.verdict, 'reached');
  });

  it('is not known any more half a day after anybody could be asked', () => {
    const bench = new Bench(['a']).run(10_000);
    bench.behave = () => 'noAnswer';
    bench.run(11 * HOUR_MS);
    assert.equal(bench.verdict, 'reached');
    bench.run(6 * HOUR_MS);
    assert.deepEqual(bench.verdicts, ['reached', 'unknown']);
  });
});
