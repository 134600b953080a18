import { isWildcard, scopeOf } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { RelayConfig } from '../config/config.ts';
import { identityFiles, loadIdentity } from '../identity.ts';
import { askToDialBack } from '../outside/dial-back.ts';
import { readHelpers } from '../outside/helpers.ts';
import { makeRecord, recordPlace } from '../record.ts';
import { withRelay } from './dial-back.ts';
import type { Finding } from './finding.ts';

const NAME = 'from outside';
const MAX_ASKED = 4;
/** One that finds nobody may be cut off itself. */
const SILENCES = 2;

/**
 * Whether other relays get in, by asking them to dial this one now; a relay that is not running is
 * started for as long as it takes. Those of REACHABILITY_RELAYS are asked.
 */
export async function* checkOutside(
  config: RelayConfig,
  isPortFree: boolean,
): AsyncGenerator<Finding> {
  const scope = scopeOf(config.publicIp);
  let helpers: readonly SignedRelayRecord[];
  try {
    helpers = readHelpers(config.reachabilityRelays, Date.now()).filter(
      ({ ip }) => scope === 'public' || scopeOf(ip) === scope,
    );
  } catch (error) {
    yield { name: NAME, verdict: 'fail', detail: (error as Error).message };
    return;
  }
  if (helpers.length === 0)
    yield {
      name: NAME,
      verdict: 'skip',
      detail:
        scope === 'public'
          ? 'not known: there is no relay to ask. REACHABILITY_RELAYS names some; `lumamesh-relay check <line>` tells it on another machine'
          : `not known: PUBLIC_IP is ${scope}, and nobody outside is asked`,
    };
  else if (isPortFree)
    yield await withRelay(config, NAME, async (relay) => ask(helpers, relay.record, config));
  else {
    const identity = await loadIdentity(identityFiles(config), { mayMake: false }).catch(
      () => null,
    );
    if (identity === null)
      yield { name: NAME, verdict: 'skip', detail: 'there is no identity that can be read' };
    else {
      const record = await makeRecord(config, identity, await recordPlace(config), Date.now());
      yield await ask(helpers, record, config);
    }
  }
}

async function ask(
  helpers: readonly SignedRelayRecord[],
  record: SignedRelayRecord,
  { listenIp, udpPort }: RelayConfig,
): Promise<Finding> {
  const from = listenIp === undefined || isWildcard(listenIp) ? undefined : listenIp;
  const where = `${record.ip}, port ${record.port}`;
  let [silent, asked] = [0, 0];
  let elsewhere: string | null = null;
  for (const helper of inAnyOrder(helpers.filter(({ nk }) => nk !== record.nk))) {
    if (asked === MAX_ASKED || silent === SILENCES) break;
    asked += 1;
    const answer = await askToDialBack(helper, record, from);
    if (answer.type === 'noAnswer' || answer.type === 'unknown') continue;
    if (answer.address !== record.ip) elsewhere = answer.address;
    else if (answer.type === 'reached')
      return {
        name: NAME,
        verdict: 'ok',
        detail: `excellent: ${helper.ip} was asked, and came in by ${where}`,
      };
    else silent += 1;
  }
  const mend = `let UDP ${udpPort} through the firewall; behind NAT, forward it to this machine; check PUBLIC_IP`;
  if (silent === SILENCES)
    return {
      name: NAME,
      verdict: 'fail',
      detail: `two relays were asked, and found nobody at ${where}`,
      mend,
    };
  if (silent === 1)
    return {
      name: NAME,
      verdict: 'warn',
      detail: `not certain: one relay was asked, and found nobody at ${where}`,
      mend,
    };
  if (elsewhere !== null)
    return {
      name: NAME,
      verdict: 'warn',
      detail: `not known: other relays see this machine at ${elsewhere}, and PUBLIC_IP is ${record.ip}`,
      mend: `PUBLIC_IP=${elsewhere}, unless this machine has several addresses; then set LISTEN_IP`,
    };
  return {
    name: NAME,
    verdict: 'skip',
    detail: `not known: none of ${asked} relays that were asked has answered`,
  };
}

function inAnyOrder<T>(list: readonly T[]): T[] {
  return list
    .map((one) => ({ one, place: Math.random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ one }) => one);
}
