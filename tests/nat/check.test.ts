import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeRecordLine } from '@lumamesh/protocol';
import type { NatNetwork, NatRelay } from '@lumamesh/testkit/browsers';
import { whySkipped, withNatNetwork } from './support.ts';

/* `lumamesh-relay check` and `doctor` where it matters: a relay at home, behind a router. */

const skip = whySkipped() ?? false;

interface Finding {
  readonly name: string;
  readonly verdict: string;
  readonly detail: string;
  readonly mend?: string;
}

/** Findings of a command in home `i` by name, and its exit code. */
async function findings(
  network: NatNetwork,
  i: number,
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{
  readonly code: number | null;
  readonly last: Finding;
  readonly named: (name: string) => Finding | undefined;
}> {
  const { code, stdout, stderr } = await network.runRelayCommand(
    i,
    [...parameters, '--json'],
    environment,
  );
  const all = JSON.parse(stdout === '' ? '[]' : stdout) as readonly Finding[];
  const last = all.at(-1);
  assert.ok(last !== undefined, stderr);
  return { code, last, named: (name) => all.find((finding) => finding.name === name) };
}

/** `doctor` beside a relay that runs. Nobody here knows the time: its own port 9 is asked, which refuses. */
async function diagnose(
  network: NatNetwork,
  i: number,
  relay: NatRelay,
  ...parameters: string[]
): ReturnType<typeof findings> {
  return findings(network, i, ['doctor', '--ntp', '127.0.0.1:9', ...parameters], relay.environment);
}

describe('a relay behind NAT', { skip }, () => {
  it('check says that nothing comes through, until its router forwards the port; doctor says what to forward, and what a wrong PUBLIC_IP is', () =>
    withNatNetwork(['cone', 'open'], async (network) => {
      const stun = await network.startRelay();
      const home = await network.startHomeRelay(0);
      const line = encodeRecordLine(home.record);
      assert.equal(home.record.ip, network.publicAddress(0));
      const stunServer = `${stun.stunServer.address}:${stun.stunServer.port}`;

      const closed = await findings(network, 1, ['check', line]);
      assert.deepEqual(
        [closed.code, closed.last.name, closed.last.verdict],
        [1, 'UDP and STUN', 'fail'],
      );
      assert.match(closed.last.mend ?? '', /behind NAT, forward UDP 3478 to it/);
      const behind = await diagnose(network, 0, home, '--stun', stunServer);
      assert.equal(behind.code, 0);
      assert.equal(behind.named('NAT')?.verdict, 'warn');
      assert.match(
        behind.named('NAT')?.mend ?? '',
        new RegExp(
          `forward UDP 3478 on the router to ${network.address(0).replaceAll('.', '\\.')}`,
        ),
      );
      const wrong = await findings(
        network,
        0,
        ['doctor', '--ntp', '127.0.0.1:9', '--stun', stunServer],
        { ...home.environment, PUBLIC_IP: '203.0.113.200' },
      );
      assert.deepEqual([wrong.code, wrong.named('NAT')?.verdict], [1, 'fail']);
      assert.ok(
        wrong.named('NAT')?.detail.includes(network.publicAddress(0)) === true,
        JSON.stringify(wrong.last),
      );

      network.forwardUdp(0, home.record.port);
      const open = await findings(network, 1, ['check', line]);
      assert.deepEqual(
        [open.code, open.last.name, open.last.verdict],
        [0, 'join', 'ok'],
        JSON.stringify(open.last),
      );
      // The machine that checks may be the one that lets nothing out.
      network.blockUdp(1);
      const blocked = await findings(network, 1, ['check', line]);
      assert.deepEqual([blocked.code, blocked.last.name], [1, 'UDP and STUN']);
    }));

  it('has nothing to forward where it has a public address of its own', () =>
    withNatNetwork(['open', 'open'], async (network) => {
      const relay = await network.startHomeRelay(0);
      assert.equal((await diagnose(network, 0, relay)).named('NAT')?.verdict, 'ok');
      assert.equal((await findings(network, 1, ['check', encodeRecordLine(relay.record)])).code, 0);
    }));
});
