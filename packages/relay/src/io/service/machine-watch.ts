import { statfs } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import { BUILD } from '../build-info.ts';
import type { RelayConfig } from '../config/config.ts';
import type { Logger } from '../log.ts';

/** What a relay needs of its machine, and loses without anybody touching the relay. */
export interface MachineFacts {
  /** Where identity and list of relays are; `null`: not to be found out. */
  readonly freeBytes: number | null;
  readonly nowUnixSeconds: number;
  readonly publicIp6: string | undefined;
  readonly addresses: readonly string[];
}

/** Reasons of `/healthz`; `disk.low` is none yet. */
export type MachineFault = 'disk.full' | 'disk.low' | 'clock.past' | 'ip6.gone';

/** A file of known relays, and what systemd makes at a start, fit in. */
export const FULL_BELOW_BYTES = 2_000_000;
export const LOW_BELOW_BYTES = 100_000_000;
const INTERVAL_MS = 60_000;

const TEXTS: Readonly<Record<MachineFault, string>> = {
  'disk.full':
    'the disk is full: the relay runs on, but a restart of the service would fail (status 226/NAMESPACE), and the known relays cannot be saved',
  'disk.low': 'the disk is nearly full: free some space before a restart of the service fails',
  'clock.past':
    'the clock of this machine is before the day this program was made: whatever it signs has expired for everybody else. Set it (timedatectl set-ntp true); the record is signed anew by itself then',
  'ip6.gone':
    'PUBLIC_IP6 is no address of this machine any more: browsers that dial it find nobody. Give it back, or set PUBLIC_IP6 anew',
};

/** Pure: what is wrong with the machine. */
export function judgeMachine(facts: MachineFacts): readonly MachineFault[] {
  const { freeBytes, nowUnixSeconds, publicIp6, addresses } = facts;
  const found: readonly (readonly [MachineFault, boolean])[] = [
    ['disk.full', freeBytes !== null && freeBytes < FULL_BELOW_BYTES],
    [
      'disk.low',
      freeBytes !== null && freeBytes >= FULL_BELOW_BYTES && freeBytes < LOW_BELOW_BYTES,
    ],
    ['clock.past', nowUnixSeconds < BUILD.madeUnixSeconds],
    ['ip6.gone', publicIp6 !== undefined && !addresses.includes(publicIp6)],
  ];
  return found.flatMap(([fault, isSo]) => (isSo ? [fault] : []));
}

/** Looks at the machine every minute, and says what has changed. */
export class MachineWatch {
  readonly #config: () => RelayConfig;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #faults: readonly MachineFault[] = [];

  constructor(config: () => RelayConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
    void this.#look();
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS).unref();
  }

  /** What keeps the relay from its work. */
  get reasons(): readonly MachineFault[] {
    return this.#faults.filter((fault) => fault !== 'disk.low');
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const { nodeKey, publicIp6 } = this.#config();
    const faults = judgeMachine({
      freeBytes: await freeBytes(nodeKey),
      nowUnixSeconds: Date.now() / 1000,
      publicIp6,
      addresses: ownAddresses(),
    });
    const before = this.#faults;
    this.#faults = faults;
    for (const fault of faults)
      if (!before.includes(fault)) this.#log.warn({ reason: fault }, TEXTS[fault]);
    for (const fault of before)
      if (!faults.includes(fault)) this.#log.info({ reason: fault }, 'mended');
  }
}

async function freeBytes(file: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(resolve(dirname(file)));
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** Addresses of the network interfaces that are not loopback. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter(({ internal }) => !internal).map(({ address }) => address),
  );
}
