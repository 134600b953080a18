import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { meet } from './meet.ts';
import { shareLab, tabOf, whySkipped } from './support.ts';

/* A switch and no router: machines that gave themselves addresses of the link (RFC 3927, RFC 4862), and a relay on one of them. */

const skip = whySkipped() ?? false;
const LIMIT_MS = 60_000;
const [RELAY, ADA, BOB, FOX] = [0, 1, 2, 3] as const;

describe('machines that have addresses of their link only', { skip }, () => {
  const lab = shareLab(
    [
      ['cone', null],
      ['cone', 'chromium'],
      ['cone', 'chromium'],
      ['cone', 'firefox'],
    ],
    (network) => {
      for (const i of [ADA, BOB, FOX]) network.moveHome(i, RELAY);
      for (const i of [RELAY, ADA, BOB, FOX]) network.loseLease(i);
    },
  );

  it('have a relay there; two Chromium meet over it and talk directly, and Firefox, which uses no such address, says that it reaches none', async (t) => {
    const { network } = lab();
    const address = network.address(RELAY);
    assert.match(address, /^169\.254\./);
    const relay = await network.startHomeRelay(RELAY, { PUBLIC_IP: address });
    const records = [relay.record];
    const met = await meet(records, tabOf(lab(), ADA), tabOf(lab(), BOB));
    t.diagnostic(`${met.outcome} after ${met.openMs ?? met.toldMs} ms`);
    assert.equal(met.outcome, 'direct', met.said.join('; '));
    const fox = tabOf(lab(), FOX);
    await fox.call('join', records, 'tea', 'Fox', '');
    await fox.waitFor('error', 'RELAYS_UNREACHABLE', LIMIT_MS);
    await fox.call('close');
  });
});
