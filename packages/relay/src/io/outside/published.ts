import { type SignedRelayRecord, decodeRecordLine } from '@lumamesh/protocol';
import type { Logger } from '../log.ts';
import { EXPIRES_SOON_DAYS, daysLeft } from '../record-expiry.ts';
import { shippedList } from './helpers.ts';

/** The line of a relay in the public list that came with this program, or `null`. */
export function publishedRecord(
  nk: string,
  list: () => string = shippedList,
): SignedRelayRecord | null {
  for (const line of list().split('\n')) {
    const record = decodeRecordLine(line);
    if (record.ok && record.value.nk === nk) return record.value;
  }
  return null;
}

/** A running relay signs its record anew by itself; what was published is renewed by its operator. */
export function warnOfExpiry(
  published: SignedRelayRecord | null,
  log: Logger,
  nowUnixMs = Date.now(),
): void {
  if (published === null) return;
  const days = daysLeft(published.expires, nowUnixMs);
  if (days < EXPIRES_SOON_DAYS)
    log.warn(
      { days },
      days < 0
        ? 'the line of this relay in the public list has expired: publish the output of `lumamesh-relay encode`'
        : 'the line of this relay in the public list expires soon: publish the output of `lumamesh-relay encode`',
    );
}
