import { lookup } from 'node:dns/promises';
import { isCanonicalIp } from '@lumamesh/base';
import type { RelayConfig } from '../config/config.ts';
import type { Logger } from '../log.ts';

const INTERVAL_MS = 10 * 60_000;

export interface HostAnswer {
  readonly addresses: readonly string[];
  /** Whether one of the addresses is the relay's. */
  readonly isOurs: boolean;
}

/** Where a name leads; no addresses when it leads nowhere. */
export async function resolveHost(
  host: string,
  own: readonly (string | undefined)[],
): Promise<HostAnswer> {
  try {
    const addresses = (await lookup(host, { all: true }))
      .map(({ address }) => address)
      .filter(isCanonicalIp);
    return { addresses, isOurs: addresses.some((address) => own.includes(address)) };
  } catch {
    return { addresses: [], isOurs: false };
  }
}

/**
 * Warns when PUBLIC_HOST leads elsewhere than to this relay: now, and whenever that changes.
 * @returns A function that ends it.
 */
export function watchHost(config: () => RelayConfig, log: Logger): () => void {
  let told = '';
  const look = async (): Promise<void> => {
    const { publicHost, publicIp, publicIp6 } = config();
    if (publicHost === undefined) return;
    const { addresses, isOurs } = await resolveHost(publicHost, [publicIp, publicIp6]);
    const state = isOurs ? 'ours' : addresses.join();
    if (state === told) return;
    const isMended = told !== '';
    told = state;
    if (!isOurs) {
      log.warn(
        { publicHost, addresses, publicIp },
        addresses.length === 0
          ? 'PUBLIC_HOST does not resolve: clients that know the relay by name only will not find it'
          : 'PUBLIC_HOST resolves to another address than PUBLIC_IP: mend the DNS entry, or set PUBLIC_IP',
      );
    } else if (isMended) log.info({ publicHost }, 'PUBLIC_HOST resolves to this relay');
  };
  void look();
  const timer = setInterval(() => void look(), INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
