import { readFileSync } from 'node:fs';
import { LumameshError } from '@lumamesh/base';
import { RECORD_LINE_PREFIX, type SignedRelayRecord, decodeRecordLine } from '@lumamesh/protocol';
import { isSignedRecord } from '../record.ts';

/** Set by the build (`npm run build:binary`): the text of relay.txt. */
declare const LUMAMESH_RELAY_LIST: string | undefined;

/** As many as are worth asking. */
const MAX_HELPERS = 256;

/**
 * The relays that are asked to dial back, by REACHABILITY_RELAYS: `auto`, those of the public list
 * that came with this program; `off`, none; else lines (`luma1.…`), files of such lines, and names
 * or addresses of relays of the public list. Throws `BAD_CONFIG` for what is none of these. Records
 * that have expired, or are forged, are left out.
 */
export function readHelpers(
  setting: string,
  nowUnixMs: number,
  shipped: () => string = shippedList,
): readonly SignedRelayRecord[] {
  if (setting === 'off') return [];
  const records =
    setting === 'auto'
      ? readList(shipped())
      : setting.split(',').flatMap((part) => readPart(part.trim(), shipped));
  return records
    .filter((record) => record.expires * 1000 > nowUnixMs && isSignedRecord(record))
    .slice(0, MAX_HELPERS);
}

function readPart(part: string, shipped: () => string): readonly SignedRelayRecord[] {
  if (part.startsWith(RECORD_LINE_PREFIX)) {
    const record = decodeRecordLine(part);
    if (record.ok) return [record.value];
    throw refusal(part, record.drop);
  }
  const named = readList(shipped()).filter(({ host, ip }) => host === part || ip === part);
  if (named.length > 0) return named;
  if (!part.includes('/') && !part.endsWith('.txt'))
    throw refusal(part, 'no relay of the public list has this name or address');
  try {
    return readList(readFileSync(part, 'utf8'));
  } catch (error) {
    throw refusal(part, (error as Error).message);
  }
}

/** Lines that are no records are comments, or of a version to come. */
function readList(text: string): readonly SignedRelayRecord[] {
  return text.split('\n').flatMap((line) => {
    const record = decodeRecordLine(line);
    return record.ok ? [record.value] : [];
  });
}

function refusal(part: string, why: string): LumameshError {
  return new LumameshError(
    'BAD_CONFIG',
    `REACHABILITY_RELAYS: ${JSON.stringify(part.slice(0, 80))} cannot be used: ${why}`,
  );
}

/** The list of the program, or of the checkout that it runs from; empty where there is none. */
export function shippedList(): string {
  if (typeof LUMAMESH_RELAY_LIST === 'string') return LUMAMESH_RELAY_LIST;
  try {
    return readFileSync(new URL('../../../../../relay.txt', import.meta.url), 'utf8');
  } catch {
    return '';
  }
}
