import { LumameshError, scopeOf } from '@lumamesh/base';
import type { Feature } from '../../feature.ts';
import type * as NetworkHelp from './network-help.ts';

/** A file of its own, for pages that cannot reach a relay; rejects where it may not be loaded. */
const loadHelp = async (): Promise<typeof NetworkHelp> => import('./network-help.ts');

/** Finds out why no relay can be reached, as far as there is evidence: UDP_BLOCKED, OFFLINE, … */
export function diagnosis(): Feature {
  return {
    name: 'diagnosis',
    net: ({ platform, options, book }) => ({
      refineFault: async (fault) => {
        if (fault.code !== 'RELAYS_UNREACHABLE') return fault;
        const seeds = book.entries.filter(({ isSeed }) => isSeed).map(({ record }) => record);
        try {
          const { probeNetwork } = await loadHelp();
          const found = await probeNetwork(seeds, options.iceServers ?? [], platform);
          return found === null ? fault : new LumameshError(...found, { cause: fault });
        } catch {
          return fault;
        }
      },
    }),
  };
}

/** Relays by a DNS name: the record's `host`, resolved by DNS over HTTPS. */
export function hostNames(): Feature {
  return {
    name: 'hostNames',
    net: ({ platform }) => ({
      addressesOf: async ({ ip, ip6, host }) => {
        const own = [ip, ...(ip6 === undefined ? [] : [ip6])].filter(
          (address) => scopeOf(address) !== 'unusable',
        );
        const isUsable = own.length > 0 && (host === undefined || scopeOf(ip) !== 'loopback');
        if (isUsable || host === undefined) return own;
        try {
          const { resolveHost } = await loadHelp();
          const resolved = await resolveHost(host, platform.unixSeconds(), platform.scope.fetch);
          return resolved.length > 0 ? resolved : own;
        } catch {
          return own;
        }
      },
    }),
  };
}
