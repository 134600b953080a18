import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  RelayProcess,
  addressOf,
  environmentOf,
  meshAddressOf,
  withRelays,
} from '@lumamesh/testkit';

/** What `doctor` says of being dialled back, with the settings of relay `i`. Nobody is asked for the time: port 9 refuses. */
async function dialBack(
  i: number,
  folder: string,
  settings: Record<string, string>,
): Promise<{ readonly verdict: string; readonly detail: string }> {
  const environment = { ...environmentOf(i, folder), ...settings };
  const run = async (...parameters: string[]): Promise<string> => {
    const command = new RelayProcess({ environment, parameters });
    await command.exitCode();
    return command.stdout;
  };
  await run('keys', 'make');
  const findings = JSON.parse(await run('doctor', '--json', '--ntp', '127.0.0.1:9')) as readonly {
    name: string;
    verdict: string;
    detail: string;
  }[];
  const found = findings.find(({ name }) => name === 'dial back');
  assert.ok(found !== undefined);
  return found;
}

describe('doctor, with a mesh', () => {
  it('has another relay dial this machine: one that does not run yet, one that runs, one that cannot be reached, and one that reaches nobody', () =>
    withRelays(async (start) => {
      const zero = start(0, []);
      await zero.ready();
      const MESH_PEERS = meshAddressOf(0);
      const [before, unreachable, alone] = await Promise.all([
        dialBack(1, zero.folder, { MESH_PEERS }),
        // It says that it is where nobody listens, as behind a router that forwards nothing.
        dialBack(2, zero.folder, { MESH_PEERS, PUBLIC_IP: addressOf(60) }),
        dialBack(3, zero.folder, { MESH_PEERS: meshAddressOf(61) }),
      ]);
      assert.deepEqual(
        [before.verdict, unreachable.verdict, alone.verdict],
        ['ok', 'fail', 'fail'],
        JSON.stringify([before, unreachable, alone]),
      );
      assert.match(unreachable.detail, /none could reach this one over UDP/);
      assert.match(alone.detail, /no relay of MESH_PEERS could be reached/);
      const one = start(1, [0]);
      await one.ready();
      await one.hasLinks();
      assert.equal((await dialBack(1, zero.folder, { MESH_PEERS })).verdict, 'ok');
    }));
});
