import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { RelayConfig } from '../config/config.ts';
import type { Finding } from './finding.ts';
import { type ChainPlace, type Probe, judgeRuleset } from './ruleset.ts';

const NAME = 'firewall';
const NFT_TIMEOUT_MS = 5000;
const MAX_RULESET_BYTES = 32 * 1024 * 1024;
/** Where a user's PATH does not look. */
const SYSTEM_FOLDERS = '/usr/sbin:/sbin';

/** Whether this machine's own rules let the relay's ports through. */
export async function* checkFirewall({ udpPort, tcpPort }: RelayConfig): AsyncGenerator<Finding> {
  if (process.platform !== 'linux') return;
  let ruleset: unknown;
  try {
    ruleset = await readRuleset();
  } catch (error) {
    yield { name: NAME, verdict: 'skip', detail: await explain(error as Error) };
    return;
  }
  const probes: readonly Probe[] = [
    { protocol: 'udp', port: udpPort },
    ...(tcpPort === undefined ? [] : [{ protocol: 'tcp', port: tcpPort } as const]),
  ];
  for (const probe of probes) yield judge(ruleset, probe);
}

function judge(ruleset: unknown, probe: Probe): Finding {
  const what = `${probe.protocol.toUpperCase()} ${probe.port}`;
  const { verdict, closedBy } = judgeRuleset(ruleset, probe);
  if (verdict === 'none')
    return { name: NAME, verdict: 'ok', detail: `no rule of this machine filters ${what}` };
  if (verdict === 'open')
    return { name: NAME, verdict: 'ok', detail: `this machine lets ${what} in` };
  if (verdict === 'unsure')
    return {
      name: NAME,
      verdict: 'skip',
      detail: `whether this machine lets ${what} in depends on rules that are not understood here (nft list ruleset)`,
    };
  const where = closedBy.map(({ family, table, chain }) => `${family} ${table} ${chain}`);
  return {
    name: NAME,
    verdict: 'fail',
    detail: `this machine drops ${what} (nftables: ${where.join(', ')})`,
    mend: mendFor(closedBy, probe),
  };
}

/** By the program that wrote the rules: what nft adds to those of another is gone with its next change. */
function mendFor(closedBy: readonly ChainPlace[], { protocol, port }: Probe): string {
  if (closedBy.some(({ table }) => table === 'firewalld'))
    return `firewall-cmd --permanent --add-port=${port}/${protocol} && firewall-cmd --reload`;
  const lines = closedBy
    .filter(({ family, table, chain }) =>
      /^[\w-]+ [\w-]+ [\w-]+$/.test(`${family} ${table} ${chain}`),
    )
    .map(
      ({ family, table, chain }) =>
        `nft insert rule ${family} ${table} ${chain} ${protocol} dport ${port} accept`,
    );
  return `with ufw: ufw allow ${port}/${protocol}; else: ${lines.join(' && ')} (that lasts until the rules are loaded anew: put "${protocol} dport ${port} accept" at the top of that chain in /etc/nftables.conf as well, and see that "systemctl enable nftables" loads it)`;
}

async function readRuleset(): Promise<unknown> {
  const { stdout } = await promisify(execFile)('nft', ['-j', 'list', 'ruleset'], {
    timeout: NFT_TIMEOUT_MS,
    maxBuffer: MAX_RULESET_BYTES,
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_FOLDERS}` },
  });
  return JSON.parse(stdout);
}

async function explain(error: Error & { readonly code?: unknown }): Promise<string> {
  if (error.code !== 'ENOENT')
    return 'the rules of this machine could not be read (nft wants root): run doctor as root';
  // Rules of before nftables: the kernel names their tables here (to root).
  return (await readTables()).trim() === ''
    ? 'nft is not installed, so that the rules of this machine could not be read'
    : 'this machine has rules of iptables, which are not read here: iptables -S INPUT';
}

async function readTables(): Promise<string> {
  try {
    return await readFile('/proc/net/ip_tables_names', 'utf8');
  } catch {
    return '';
  }
}
