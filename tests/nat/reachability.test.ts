import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeRecordLine } from '@lumamesh/protocol';
import { patience, until } from '@lumamesh/testkit';
import { type NatNetwork, type NatRelay, whyNoNatNetwork } from '@lumamesh/testkit/browsers';
import { withNatNetwork } from './support.ts';

/* Whether a relay knows that it is reached from outside: with real firewalls and NATs, and relays that dial back. */

const skip = whyNoNatNetwork() ?? false;
/** Replies get in, and what comes from this machine: as firewalls are. */
const CLOSED = `table inet filter {
  chain input { type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
  }
}`;

interface Finding {
  readonly name: string;
  readonly verdict: string;
  readonly detail: string;
  readonly mend?: string;
}

interface Told {
  readonly outside: { readonly verdict: string; readonly by: string | null };
  readonly health: readonly string[];
}

/** A relay in home 0 that may ask two relays of the internet. */
async function startAsker(network: NatNetwork): Promise<NatRelay> {
  const helpers = [await network.startRelay(), await network.startRelay()];
  const lines = helpers.map(({ record }) => encodeRecordLine(record));
  return network.startHomeRelay(0, { REACHABILITY_RELAYS: lines.join(','), LOG_LEVEL: 'info' });
}

async function told(network: NatNetwork, relay: NatRelay): Promise<Told> {
  return (await network.fetchJson(0, relay.statsUrl)) as Told;
}

async function waitForVerdict(
  network: NatNetwork,
  relay: NatRelay,
  verdict: string,
): Promise<Told> {
  await until(
    async () => (await told(network, relay)).outside.verdict === verdict,
    () => `it is not ${verdict}: ${relay.log}`,
    patience(60_000),
  );
  return told(network, relay);
}

async function diagnose(
  network: NatNetwork,
  relay: NatRelay,
): Promise<(name: string) => Finding | undefined> {
  const { stdout, stderr } = await network.runRelayCommand(
    0,
    ['doctor', '--json', '--ntp', '127.0.0.1:9'],
    relay.environment,
  );
  assert.ok(stdout.startsWith('['), stderr);
  const findings = JSON.parse(stdout) as readonly Finding[];
  return (name) => findings.find((finding) => finding.name === name);
}

describe('a relay that is reached from outside', { skip }, () => {
  it('is so where nothing is in the way: in the log, /statsz and doctor', () =>
    withNatNetwork(['open'], async (network) => {
      const relay = await startAsker(network);
      const { outside, health } = await waitForVerdict(network, relay, 'reached');
      // The session by which it was dialled may be seen before the answer.
      assert.notEqual(outside.by, null);
      assert.deepEqual(health, []);
      assert.match(relay.log, /"msg":"reachable from outside: excellent"/);
      const named = await diagnose(network, relay);
      assert.deepEqual(
        [named('firewall')?.verdict, named('from outside')?.verdict],
        ['ok', 'ok'],
        JSON.stringify(named('from outside')),
      );
    }));

  it('is not so behind a firewall that drops, until the line is run that doctor prints', () =>
    withNatNetwork(['open'], async (network) => {
      network.setHostRules(0, CLOSED);
      const relay = await startAsker(network);
      const { health } = await waitForVerdict(network, relay, 'unreached');
      assert.deepEqual(health, ['outside.unreached']);
      assert.match(relay.log, /"msg":"not reachable from outside: .*let UDP 3478 through/);
      assert.ok(!relay.log.includes('excellent'));
      const closed = await diagnose(network, relay);
      assert.deepEqual(
        [closed('firewall')?.verdict, closed('from outside')?.verdict],
        ['fail', 'fail'],
        JSON.stringify(closed('from outside')),
      );
      const mend = closed('firewall')?.mend ?? '';
      assert.match(mend, /\/etc\/nftables\.conf/);
      const line = /nft insert rule [^(]*accept/.exec(mend)?.[0];
      assert.ok(line !== undefined, mend);
      network.runLine(0, line);
      relay.reload();
      await waitForVerdict(network, relay, 'reached');
      const open = await diagnose(network, relay);
      assert.deepEqual(
        [open('firewall')?.verdict, open('from outside')?.verdict],
        ['ok', 'ok'],
        JSON.stringify(open('from outside')),
      );
    }));

  it('is not so behind NAT, until the router forwards the port', () =>
    withNatNetwork(['cone'], async (network) => {
      const relay = await startAsker(network);
      await waitForVerdict(network, relay, 'unreached');
      network.forwardUdp(0, relay.record.port);
      relay.reload();
      await waitForVerdict(network, relay, 'reached');
    }));

  it('is not known where nobody can be asked; that is no illness', () =>
    withNatNetwork(['open'], async (network) => {
      const relay = await network.startHomeRelay(0, { LOG_LEVEL: 'info' });
      await until(
        () => relay.log.includes('not known yet: there is no relay to ask'),
        () => relay.log,
        patience(20_000),
      );
      const { outside, health } = await told(network, relay);
      assert.deepEqual([outside.verdict, health], ['unknown', []]);
      assert.equal((await diagnose(network, relay))('from outside')?.verdict, 'skip');
    }));

  it('is found out by whoever comes in, where nobody can be asked', () =>
    withNatNetwork(['open', 'open'], async (network) => {
      const relay = await network.startHomeRelay(0);
      const { code } = await network.runRelayCommand(1, ['check', encodeRecordLine(relay.record)]);
      assert.equal(code, 0);
      const { outside } = await waitForVerdict(network, relay, 'reached');
      assert.equal(outside.by, 'session');
    }));
});
