import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { attack } from '../../bench/attack/run.ts';
import { ATTACKS } from '../../bench/attack/attackers.ts';
import { LIMIT_MS } from '../../bench/attack/honest.ts';
import { patience } from '@lumamesh/testkit';
import { soak } from '../../bench/attack/soak.ts';

/*
 * The quick part of `npm run attack` and `npm run soak`: what must hold on any machine: everything
 * arrives, everybody gets in. How long that takes is for the benchmark, on a machine of its own.
 */
const SECONDS = 3;
/** Kin of others, at about the same cost: `npm run attack` has them as well. */
const BY_COMMAND = new Set([
  ...['room-filling', 'room-strangers', 'list-readers', 'replayed-proofs', 'sessions-anew'],
  ...['questions', 'list-egress', 'sctp-sacks', 'sctp-resets', 'sctp-unknown', 'key-updates'],
  ...['restart-claims', 'mesh-sockets', 'mesh-negotiation', 'mesh-gossip', 'pings', 'channels'],
  ...['signals-to-nobody', 'small-signals', 'turn-strangers', 'turn-guesses', 'turn-allocations'],
  ...['turn-permissions', 'turn-forged', 'turn-bandwidth', 'tcp-silence', 'tcp-deaf'],
]);

describe('a relay that strangers attack', () => {
  it('leaves to the command only what there is', () => {
    for (const name of BY_COMMAND) assert.ok(name in ATTACKS, name);
  });

  for (const name of Object.keys(ATTACKS).filter((each) => !BY_COMMAND.has(each)))
    it(`serves the others under ${name}`, async () => {
      const { attacked, residentMb } = await attack(name, SECONDS, { quietSeconds: 0 });
      const { sent, received, lostSessions, seenLeaving, joinMaxMs, refusals } = attacked;
      assert.deepEqual({ lostSessions, seenLeaving }, { lostSessions: 0, seenLeaving: 0 });
      const arrived = `${received} of ${sent} signals arrived; ${JSON.stringify(refusals)}`;
      assert.ok(sent > 0 && received === sent, arrived);
      assert.ok(joinMaxMs <= LIMIT_MS, `a newcomer waited for ${joinMaxMs} ms`);
      assert.ok(residentMb <= 256, `${residentMb} MB`);
    });
});

describe('relays under churn', () => {
  it(
    'keep neither memory nor handles nor sessions of those who have gone',
    {
      timeout: patience(400_000),
    },
    async () => {
      const { isFlat, text } = await soak(180);
      assert.ok(isFlat, text);
    },
  );
});
