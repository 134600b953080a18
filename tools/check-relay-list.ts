import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { hasIpv6 } from '../packages/relay/src/io/check/relay-check.ts';
import { checkRelay } from '../packages/relay/src/io/check/relay-probe.ts';
import { isSignedRecord } from '../packages/relay/src/io/record.ts';
import {
  type DialResult,
  type ListFinding,
  type ListScope,
  checkRelayList,
  dialRelays,
  formatFinding,
} from './relay-list.ts';

/*
 * `npm run check:relays -- [file] [--dial] [--json]`: whether a list of relays may be published.
 * Every line decodes, is signed by its node key, holds, is there once, and names an address that
 * browsers anywhere can dial; with --dial, each relay answers as its record says. Faults are
 * printed as `relay.txt:LINE: text`. Exit codes: 0, 1 for a list with faults, 2 for a call that
 * cannot be carried out.
 */
const USAGE = 'usage: check-relay-list [file, default relay.txt] [--dial] [--json]';
/** A list of nonsense is told in a page. */
const MAX_SHOWN = 200;

export interface ListCheckOptions {
  /** Tests have no public relay to dial. */
  readonly allowedScopes?: readonly ListScope[];
  readonly say: (text: string) => void;
  readonly complain: (text: string) => void;
}

/** Returns the exit code. */
export async function checkListFile(
  parameters: readonly string[],
  { allowedScopes, say, complain }: ListCheckOptions,
): Promise<0 | 1 | 2> {
  let call: { readonly file: string; readonly dial: boolean; readonly json: boolean };
  let bytes: Uint8Array;
  try {
    call = readCall(parameters);
    bytes = await readFile(call.file);
  } catch (error) {
    complain(`check-relay-list: ${(error as Error).message.split('\n')[0]} (${USAGE})`);
    return 2;
  }
  const { file, dial, json } = call;
  const rules = {
    nowUnixMs: Date.now(),
    isSigned: isSignedRecord,
    ...(allowedScopes === undefined ? {} : { allowedScopes }),
  };
  const { relays, findings: ofText } = checkRelayList(bytes, rules);
  const ofDials = dial ? await dialRelays(relays, dialTwice) : [];
  const findings = [...ofText, ...ofDials].toSorted((a, b) => a.line - b.line);
  const count = (severity: ListFinding['severity']): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const faults = count('fault');
  if (json) {
    const shown = relays.map(({ line, record }) => ({
      line,
      nk: record.nk,
      ip: record.ip,
      port: record.port,
    }));
    say(
      JSON.stringify({ file, ok: faults === 0, dialled: dial, relays: shown, findings }, null, 2),
    );
  } else {
    for (const finding of findings.slice(0, MAX_SHOWN)) say(formatFinding(file, finding));
    if (findings.length > MAX_SHOWN) say(`… and ${findings.length - MAX_SHOWN} more`);
    const answered = dial ? `, ${relays.length - ofDials.length} of them answered` : '';
    say(
      `${file}: ${relays.length} relays in order${answered}; ${faults} faults, ${count('warning')} warnings`,
    );
  }
  return faults === 0 ? 0 : 1;
}

function readCall(parameters: readonly string[]): {
  readonly file: string;
  readonly dial: boolean;
  readonly json: boolean;
} {
  const { values, positionals } = parseArgs({
    args: [...parameters],
    allowPositionals: true,
    options: {
      dial: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) throw new Error('one file at a time');
  return { file: positionals[0] ?? 'relay.txt', ...values };
}

/**
 * A lost datagram must not fail a build. `ip6` besides an IPv4 address is not dialled: most
 * machines that run CI have no IPv6.
 */
async function dialTwice(record: SignedRelayRecord): Promise<DialResult> {
  if (record.ip.includes(':') && record.ip !== '::1' && !hasIpv6()) return 'unknown';
  const result = await checkRelay(record);
  return result === 'dead' ? checkRelay(record) : result;
}

if (import.meta.main) {
  process.exitCode = await checkListFile(process.argv.slice(2), {
    say: (text) => process.stdout.write(`${text}\n`),
    complain: (text) => process.stderr.write(`${text}\n`),
  });
}
