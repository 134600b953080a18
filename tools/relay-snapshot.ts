import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { toBase64Url, utf8Encode } from '../packages/base/src/index.ts';
import {
  decodeSignedList,
  encodeRecordLine,
  encodeSignedList,
  listToSign,
  verifySignedList,
} from '../packages/protocol/src/index.ts';
import { isSignedBy, isSignedRecord } from '../packages/relay/src/io/record.ts';
import { checkRelayList, formatFinding } from './relay-list.ts';
import { PUBLIC_KEYS } from './signing-key.ts';

/*
 * The public list as pages may embed it: signed, and good for some weeks (packages/protocol/src/signed-list.ts).
 *
 *   node tools/relay-snapshot.ts make OUT [--list relay.txt] [--days 30]    by the Ed25519 key (PEM) in LUMAMESH_LIST_KEY
 *   node tools/relay-snapshot.ts verify FILE [--key deploy/relay-list-key.pem]
 */
const ROOT = join(import.meta.dirname, '..');
const KEY_VARIABLE = 'LUMAMESH_LIST_KEY';
const DAY_SECONDS = 86_400;
const DEFAULT_DAYS = 30;

/** Signs the records of a list. Throws when the list has faults, or nothing in it, or the key is none of Ed25519. */
export function makeSnapshot(
  list: Uint8Array,
  pem: string,
  nowUnixSeconds: number,
  days = DEFAULT_DAYS,
): string {
  const { relays, findings } = checkRelayList(list, {
    nowUnixMs: nowUnixSeconds * 1000,
    isSigned: isSignedRecord,
  });
  const faults = findings.filter(({ severity }) => severity === 'fault');
  if (faults.length > 0)
    throw new Error(faults.map((fault) => formatFinding('the list', fault)).join('\n'));
  if (relays.length === 0) throw new Error('the list names no relay');
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${KEY_VARIABLE} is no Ed25519 key`);
  const lines = relays.map(({ record }) => encodeRecordLine(record));
  const text = listToSign(lines, nowUnixSeconds, nowUnixSeconds + days * DAY_SECONDS);
  const snapshot = encodeSignedList(text, toBase64Url(sign(null, utf8Encode(text), key)));
  const read = decodeSignedList(snapshot);
  if (!read.ok) throw new Error(`nobody would read it: ${read.drop}`);
  return snapshot;
}

/** What is wrong with a snapshot, or its lines. */
export async function checkSnapshot(
  snapshot: string,
  publicPem: string,
  nowUnixSeconds: number,
): Promise<{ readonly fault: string | null; readonly lines: readonly string[] }> {
  const read = decodeSignedList(snapshot);
  if (!read.ok) return { fault: read.drop, lines: [] };
  const nk = createPublicKey(publicPem).export({ format: 'jwk' }).x ?? '';
  const verified = await verifySignedList(
    read.value,
    [new Uint8Array(Buffer.from(nk, 'base64url'))],
    nowUnixSeconds,
    async (_key, signature, data) => isSignedBy(nk, data, signature),
  );
  return verified.ok ? { fault: null, lines: verified.value } : { fault: verified.drop, lines: [] };
}

async function main(): Promise<string> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'string', default: join(ROOT, 'relay.txt') },
      days: { type: 'string', default: String(DEFAULT_DAYS) },
      key: { type: 'string', default: join(ROOT, PUBLIC_KEYS.list) },
    },
  });
  const [step, file] = positionals;
  const now = Math.floor(Date.now() / 1000);
  if (step === 'make' && file !== undefined) {
    const pem = process.env[KEY_VARIABLE] ?? '';
    writeFileSync(file, makeSnapshot(readFileSync(values.list), pem, now, Number(values.days)));
    return file;
  }
  if (step !== 'verify' || file === undefined)
    throw new Error('usage: node tools/relay-snapshot.ts make|verify FILE');
  const { fault, lines } = await checkSnapshot(
    readFileSync(file, 'utf8'),
    readFileSync(values.key, 'utf8'),
    now,
  );
  if (fault !== null) throw new Error(`${file}: ${fault}`);
  return `${file}: ${lines.length} relays, signed`;
}

if (import.meta.main) {
  try {
    process.stdout.write(`${await main()}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
