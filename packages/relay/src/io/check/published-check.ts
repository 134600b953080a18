import { type SignedRelayRecord, decodeSignedList, isOpenToAll } from '@lumamesh/protocol';
import type { RelayConfig } from '../config/config.ts';
import type { Identity } from '../identity.ts';
import { publishedRecord } from '../outside/published.ts';
import type { HealthStats } from '../relay-stats.ts';
import { EXPIRES_SOON_DAYS, daysLeft } from '../record-expiry.ts';
import type { Finding } from './finding.ts';

/** A list in which a relay's line may stand. */
export interface NamedList {
  /** What the operator calls it. */
  readonly name: string;
  readonly text: string;
}

/** A list is signed anew every week. */
const LIST_EXPIRES_SOON_DAYS = 7;
const SIGNED_LIST = '# lumamesh relay list ';
const PUBLISH = 'publish the output of `lumamesh-relay encode`';

/** Until when the record holds that a running relay shows now. */
export function checkRecord({ record }: HealthStats, nowUnixMs: number): Finding {
  const { days, until } = timeLeft(record.expires, nowUnixMs);
  return days < EXPIRES_SOON_DAYS
    ? {
        name: 'record',
        verdict: 'fail',
        detail: `the record of the relay that runs ${days < 0 ? 'expired on' : 'is good until'} ${until}, although one is signed every day`,
        mend: 'see the clock, and restart the relay',
      }
    : {
        name: 'record',
        verdict: 'ok',
        detail: `good until ${until} (${days} days), and signed anew every day`,
      };
}

/**
 * Whether the line of this relay in a list still leads here, and until when it is good; of a list
 * that is signed, that as well. Who signed it is not looked at.
 */
export function* checkPublished(
  config: RelayConfig,
  { nk, fingerprint, icePassword }: Identity,
  { name, text }: NamedList,
  nowUnixMs: number,
): Generator<Finding> {
  if (text.startsWith(SIGNED_LIST)) yield checkSignedList(name, text, nowUnixMs);
  const line = publishedRecord(nk, () => text);
  const isPrivate = config.accessTokens !== undefined;
  if (line === null) {
    yield {
      name: 'published line',
      verdict: 'skip',
      detail: `this relay is not in ${name}${isPrivate ? '' : `; to be there, ${PUBLISH}`}`,
    };
    return;
  }
  const { days, until } = timeLeft(line.expires, nowUnixMs);
  const wrong = differences(config, fingerprint, icePassword, line);
  if (isPrivate && isOpenToAll(line))
    yield {
      name: 'published line',
      verdict: 'fail',
      detail: `${name} says that this relay lets in everybody, and it asks for a token`,
      mend: 'take the line out there, or ACCESS_TOKENS out here: the public list takes no private relay',
    };
  else if (wrong.length > 0)
    yield {
      name: 'published line',
      verdict: 'fail',
      detail: `the line in ${name} says something else than the settings here: ${wrong.join(', ')}`,
      mend: `${PUBLISH}, if the settings are right`,
    };
  else if (days < EXPIRES_SOON_DAYS)
    yield {
      name: 'published line',
      verdict: days < 0 ? 'fail' : 'warn',
      detail:
        days < 0
          ? `the line in ${name} expired on ${until}: pages leave it out`
          : `the line in ${name} expires on ${until}, in ${days} days`,
      mend: PUBLISH,
    };
  else
    yield {
      name: 'published line',
      verdict: 'ok',
      detail: `the line in ${name} is good until ${until} (${days} days); it does not renew itself`,
    };
}

function checkSignedList(name: string, text: string, nowUnixMs: number): Finding {
  const list = decodeSignedList(text);
  if (!list.ok)
    return {
      name: 'signed list',
      verdict: 'fail',
      detail: `${name} was cut or changed, and no page reads it: ${list.drop}`,
      mend: 'take it anew from who signs it',
    };
  const { days, until } = timeLeft(list.value.expiresUnixSeconds, nowUnixMs);
  if (days >= LIST_EXPIRES_SOON_DAYS)
    return {
      name: 'signed list',
      verdict: 'ok',
      detail: `${name} is good until ${until} (${days} days)`,
    };
  return {
    name: 'signed list',
    verdict: days < 0 ? 'fail' : 'warn',
    detail:
      days < 0
        ? `${name} expired on ${until}: pages refuse it (RELAY_LIST_EXPIRED)`
        : `${name} expires on ${until}, in ${days} days`,
    mend: 'take a newer one from who signs it',
  };
}

/** By what of a line a page would not get in here, or seek another relay. */
function differences(
  config: RelayConfig,
  fingerprint: string,
  icePassword: string,
  line: SignedRelayRecord,
): readonly string[] {
  const pairs: readonly (readonly [
    string,
    string | number | undefined,
    string | number | undefined,
  ])[] = [
    ['PUBLIC_IP', line.ip, config.publicIp],
    ['UDP_PORT', line.port, config.udpPort],
    ['ICE_UFRAG', line.ufrag, config.iceUfrag],
    // A way in that is not named there is only missed.
    ['PUBLIC_IP6', line.ip6, line.ip6 === undefined ? undefined : config.publicIp6],
    ['TCP_PORT', line.tcpPort, line.tcpPort === undefined ? undefined : config.tcpPort],
  ];
  return [
    ...pairs.flatMap(([name, there, here]) =>
      there === here ? [] : [`${name} ${there ?? 'none'} (here ${here ?? 'none'})`],
    ),
    ...(isOpenToAll(line) || config.accessTokens !== undefined ? [] : ['that it asks for a token']),
    // Not shown: long, and the one is as good as a secret.
    ...(line.fingerprint === fingerprint ? [] : ['another certificate']),
    ...(line.pwd === icePassword ? [] : ['another ICE password']),
  ];
}

function timeLeft(
  expiresUnixSeconds: number,
  nowUnixMs: number,
): { readonly days: number; readonly until: string } {
  return { days: daysLeft(expiresUnixSeconds, nowUnixMs), until: dateText(expiresUnixSeconds) };
}

/** Times in records are not bounded by what a Date holds. */
function dateText(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? 'after all days' : date.toISOString().slice(0, 10);
}
