import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RelayConfig } from '../config/config.ts';
import { identityFiles, loadIdentity } from '../identity.ts';
import { silentLogger } from '../log.ts';
import { RelayServer } from '../relay-server.ts';
import { type InstanceLock, lockIdentity } from '../service/instance-lock.ts';
import { fetchStats } from './fetch-stats.ts';
import type { Finding } from './finding.ts';

/** Others take a relay in after a check of their own, which may have to be repeated. */
const DIAL_BACK_MS = 40_000;
const POLL_MS = 250;
const NAME = 'dial back';

/**
 * Asks the mesh to dial this relay: a peer takes a relay in only after it has reached its UDP port
 * as a browser would. A relay that is running is asked how it stands; otherwise one is started for
 * the time it takes.
 */
export async function* dialBack(config: RelayConfig, isPortFree: boolean): AsyncGenerator<Finding> {
  if (config.meshSalt === undefined || (config.meshPeers === undefined && isPortFree)) {
    yield {
      name: NAME,
      verdict: 'skip',
      detail:
        'without MESH_SALT and MESH_PEERS there is nobody to ask: run `lumamesh-relay check <line>` on another machine',
    };
  } else if (isPortFree) yield await tryOut(config);
  else yield await askRunning(config);
}

async function askRunning({ healthListen, meshPeers }: RelayConfig): Promise<Finding> {
  if (healthListen === undefined)
    return {
      name: NAME,
      verdict: 'skip',
      detail: 'the running relay has no HEALTH_LISTEN to be asked at',
    };
  try {
    const { mesh } = await fetchStats(healthListen);
    const links = mesh === undefined ? 0 : mesh.links.outbound + mesh.links.inbound;
    // The first relay of a mesh dials nobody; others find it.
    if (links === 0 && meshPeers === undefined)
      return {
        name: NAME,
        verdict: 'skip',
        detail: 'no other relay of the mesh is linked yet, and MESH_PEERS names none',
      };
    return judge(mesh?.links.accepted ?? 0, links);
  } catch (error) {
    return {
      name: NAME,
      verdict: 'fail',
      detail: `the running relay could not be asked: ${(error as Error).message}`,
      mend: 'check HEALTH_LISTEN',
    };
  }
}

async function tryOut(config: RelayConfig): Promise<Finding> {
  return withRelay(config, NAME, async (relay) => {
    const endsAt = Date.now() + DIAL_BACK_MS;
    while (relay.stats().mesh?.links.accepted === 0 && Date.now() < endsAt) await sleep(POLL_MS);
    const links = relay.stats().mesh?.links;
    return judge(links?.accepted ?? 0, (links?.outbound ?? 0) + (links?.inbound ?? 0));
  });
}

/** Looks at a relay that runs with these settings for as long as it takes. */
export async function withRelay(
  config: RelayConfig,
  name: string,
  look: (relay: RelayServer) => Promise<Finding>,
): Promise<Finding> {
  const identity = await loadIdentity(identityFiles(config), { mayMake: false }).catch(() => null);
  if (identity === null)
    return {
      name,
      verdict: 'skip',
      detail: 'there is no identity to dial back to yet (`keys make`)',
    };
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-doctor-'));
  let unlock: InstanceLock | null = null;
  let relay: RelayServer | null = null;
  try {
    unlock = await lockIdentity(identity, config.nodeKey);
    relay = await RelayServer.start(
      {
        ...config,
        meshFile: join(folder, 'mesh-relays.txt'),
        reachabilityRelays: 'off',
        monthlyTraffic: undefined,
      },
      silentLogger,
      identity,
    );
    return await look(relay);
  } catch (error) {
    return {
      name,
      verdict: 'fail',
      detail: `no relay could be started to be dialled back: ${(error as Error).message}`,
      mend: 'mend what it names',
    };
  } finally {
    await relay?.close();
    await unlock?.();
    await rm(folder, { recursive: true, force: true });
  }
}

function judge(accepted: number, links: number): Finding {
  if (accepted > 0)
    return {
      name: NAME,
      verdict: 'ok',
      detail: `reached over UDP by ${accepted === 1 ? 'one relay' : `${accepted} relays`} of the mesh`,
    };
  return links === 0
    ? {
        name: NAME,
        verdict: 'fail',
        detail: 'no relay of MESH_PEERS could be reached',
        mend: 'check MESH_PEERS and MESH_SALT, and that TCP goes out to them',
      }
    : {
        name: NAME,
        verdict: 'fail',
        detail: `${links} relays are linked, but none could reach this one over UDP`,
        mend: 'check PUBLIC_IP, and that firewall and router let UDP_PORT through',
      };
}
