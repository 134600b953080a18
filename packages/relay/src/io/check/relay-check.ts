import { networkInterfaces } from 'node:os';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import { isCanonicalIp, scopeOf } from '@lumamesh/base';
import { type SignedRelayRecord, isOpenToAll } from '@lumamesh/protocol';
import { monotonicNow, queryStun, queryStunOverTcp } from '@lumamesh/transport/io';
import { proofOf } from '../access-tokens.ts';
import { isSignedRecord } from '../record.ts';
import { EXPIRES_SOON_DAYS, daysLeft } from '../record-expiry.ts';
import type { Finding } from './finding.ts';
import { machineSlowness } from './machine-speed.ts';
import { type ProbeReport, type ProbeStage, probeRelay } from './relay-probe.ts';

const STUN_TIMEOUT_MS = 4000;
const SILENCE_MS = 5000;
/** What to do about a relay that stops in the middle, whose certificate or key nobody has seen to be wrong. */
const SLOW_MEND =
  'it, or the way to it, is slow or overloaded: try again; `lumamesh-relay status` on its machine shows how it is';
/** What a relay says of an error is a stranger's text. */
const MAX_FAULT_LENGTH = 300;

/**
 * Each stage of a connection: what it is called, what it shows, and what to do when it is not
 * reached.
 */
const STAGES: readonly (readonly [ProbeStage, string, string, string])[] = [
  [
    'ice',
    'ICE',
    'the ICE credentials of the record are answered',
    'whatever answers there does not know these credentials: the record is old, or of another relay. Take the line that the relay prints now (`lumamesh-relay encode`)',
  ],
  [
    'dtls',
    'DTLS',
    'the certificate is the one of the record',
    'the record names another certificate: take the line that the relay prints now. If it was to be the same relay, restore server.crt and server.key from the backup',
  ],
  [
    'welcome',
    'node key',
    'the relay holds the node key of the record',
    'another relay runs behind this certificate: give each relay identity files of its own, or restore node.key from the backup',
  ],
  [
    'join',
    'join',
    'a room can be joined',
    'see the error; `lumamesh-relay status` on its machine tells whether it is full',
  ],
];

/** What can be told of a relay of which only the host is known. */
export async function* checkHost({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): AsyncGenerator<Finding> {
  const addresses = isCanonicalIp(host) ? [host] : yield* resolve(host);
  for (const address of addresses) yield* reach(address, port);
  if (addresses.length > 0)
    yield {
      name: 'identity',
      verdict: 'skip',
      detail:
        'certificate, node key and rooms can only be checked with the relay’s line (luma1.…), or --list',
    };
}

export interface CheckOptions {
  /** Dialled instead of the record's. */
  readonly address?: string;
  /** A token of the relay, where it is private; or the key of one (`lumamesh-relay token`). */
  readonly token?: string;
  /** How long a relay that has answered may be silent; on a slow machine, longer. */
  readonly answerMs?: number;
}

/** Everything, of a record. */
export async function* checkRecord(
  record: SignedRelayRecord,
  { address, answerMs, token }: CheckOptions = {},
): AsyncGenerator<Finding> {
  yield* inspect(record);
  if (record.host !== undefined) yield* compareHost(record, record.host);
  yield* connect(record, address ?? record.ip, answerMs, token);
  if (record.tcpPort !== undefined) yield* reachOverTcp(address ?? record.ip, record.tcpPort);
  if (record.ip6 === undefined || address !== undefined) return;
  if (hasIpv6()) yield* connect(record, record.ip6, answerMs, token);
  else
    yield {
      name: 'IPv6',
      verdict: 'skip',
      detail: `this machine has no IPv6: ${record.ip6} was not tried`,
    };
}

function* inspect(record: SignedRelayRecord): Generator<Finding> {
  yield isSignedRecord(record)
    ? { name: 'signature', verdict: 'ok', detail: `signed by its node key ${record.nk}` }
    : {
        name: 'signature',
        verdict: 'fail',
        detail: 'the record is not signed by its node key',
        mend: 'somebody has altered it: take it from the relay itself',
      };
  const { nickname, contact } = record;
  if (nickname !== undefined || contact !== undefined)
    yield {
      name: 'operator',
      verdict: 'ok',
      detail: `calls it ${nickname ?? 'nothing'}, and is reached at ${contact ?? 'no address'}`,
    };
  const days = daysLeft(record.expires, Date.now());
  const mend = 'take the line that the relay prints now: it signs a new record every day';
  if (days < 0)
    yield { name: 'expiry', verdict: 'fail', detail: `the record expired ${-days} days ago`, mend };
  else
    yield {
      name: 'expiry',
      verdict: days < EXPIRES_SOON_DAYS ? 'warn' : 'ok',
      detail: `valid for ${days} days`,
      ...(days < EXPIRES_SOON_DAYS ? { mend } : {}),
    };
  const scope = scopeOf(record.ip);
  if (scope !== 'public')
    yield {
      name: 'address',
      verdict: 'warn',
      detail: `${record.ip} is ${scope}: only browsers of that network can dial it`,
      mend: 'set PUBLIC_IP to the public address',
    };
}

async function* compareHost(record: SignedRelayRecord, host: string): AsyncGenerator<Finding> {
  const addresses = yield* resolve(host);
  if (
    addresses.length === 0 ||
    addresses.some((address) => address === record.ip || address === record.ip6)
  )
    return;
  yield {
    name: 'DNS',
    verdict: 'warn',
    detail: `${host} leads to ${addresses.join(', ')}, and the record says ${record.ip}`,
    mend: 'mend the DNS entry, or PUBLIC_IP',
  };
}

async function* resolve(host: string): AsyncGenerator<Finding, readonly string[]> {
  const startedAt = monotonicNow();
  try {
    const addresses = (await lookup(host, { all: true })).map(({ address }) => address);
    yield {
      name: 'DNS',
      verdict: 'ok',
      ms: monotonicNow() - startedAt,
      detail: `${host} is ${addresses.join(', ')}`,
    };
    return addresses.filter((address) => !isIPv6(address) || hasIpv6());
  } catch (error) {
    yield {
      name: 'DNS',
      verdict: 'fail',
      detail: `${host}: ${(error as Error).message}`,
      mend: 'check the name, and the resolver of this machine',
    };
    return [];
  }
}

/** UDP and STUN. @returns Whether something is there. */
async function* reach(address: string, port: number): AsyncGenerator<Finding, boolean> {
  const where = `${address}, port ${port}`;
  try {
    const answer = await queryStun({ address, port }, STUN_TIMEOUT_MS * (await machineSlowness()));
    if (answer !== null) {
      const { address: mapped, port: mappedPort } = answer.mappedAddress;
      yield {
        name: 'UDP and STUN',
        verdict: 'ok',
        ms: answer.rttMs,
        detail: `${where} answers, and sees this machine at ${mapped}, port ${mappedPort}`,
      };
      return true;
    }
    yield {
      name: 'UDP and STUN',
      verdict: 'fail',
      detail: `nothing comes back from ${where}`,
      mend: `is the relay running? Let UDP ${port} through its firewall (ufw allow ${port}/udp); behind NAT, forward UDP ${port} to it. From behind the same router it may fail where others get through`,
    };
  } catch (error) {
    yield {
      name: 'UDP and STUN',
      verdict: 'fail',
      detail: (error as Error).message,
      mend: 'this machine cannot open a UDP socket',
    };
  }
  return false;
}

/** The TCP port of a record, which browsers try when no UDP gets through. */
async function* reachOverTcp(address: string, port: number): AsyncGenerator<Finding> {
  const where = `${address}, TCP port ${port}`;
  const mend = `let TCP ${port} through its firewall (ufw allow ${port}/tcp); behind NAT, forward TCP ${port} to it`;
  try {
    const answer = await queryStunOverTcp(
      { address, port },
      STUN_TIMEOUT_MS * (await machineSlowness()),
    );
    yield answer === null
      ? {
          name: 'TCP',
          verdict: 'fail',
          detail: `${where}: what is there does not speak ICE-TCP`,
          mend: `another program, or a proxy, may have the port; ${mend}`,
        }
      : {
          name: 'TCP',
          verdict: 'ok',
          ms: answer.rttMs,
          detail: `${where} answers, and sees this machine at ${answer.mappedAddress.address}`,
        };
  } catch (error) {
    yield { name: 'TCP', verdict: 'fail', detail: `${where}: ${(error as Error).message}`, mend };
  }
}

async function* connect(
  record: SignedRelayRecord,
  address: string,
  answerMs?: number,
  token?: string,
): AsyncGenerator<Finding> {
  if (!(yield* reach(address, record.port))) return;
  const probe = await probeRelay(record, {
    address,
    joins: true,
    silenceMs: SILENCE_MS,
    ...(token === undefined
      ? {}
      : { prove: (challenge: string) => proofOf(token, record, challenge) }),
    ...(answerMs === undefined ? {} : { answerMs }),
  });
  let before = 0;
  for (const [stage, name, detail, mend] of STAGES) {
    const reached = probe.stages.find((one) => one.stage === stage);
    if (reached === undefined && probe.result === 'alive') {
      yield {
        name,
        verdict: 'skip',
        detail: 'the relay is private, and lets in who shows a token: none was shown',
        mend: 'LUMAMESH_TOKEN=<token>, or --token, shows one',
      };
      break;
    }
    if (reached === undefined) {
      yield explain(probe, name, mend);
      return;
    }
    const { negotiated } = probe;
    const by =
      stage === 'dtls' && negotiated !== null
        ? `, by DTLS ${negotiated.version} with ${negotiated.group}`
        : '';
    yield { name, verdict: 'ok', ms: reached.atMs - before, detail: detail + by };
    before = reached.atMs;
  }
  const { shown } = probe;
  if (shown === null) return;
  if (!isSignedRecord(shown))
    yield {
      name: 'its record',
      verdict: 'fail',
      detail: 'the record that the relay shows is not signed by its node key',
      mend: 'restart it',
    };
  else if (isOpenToAll(shown) !== isOpenToAll(record))
    yield {
      name: 'its record',
      verdict: 'warn',
      detail: `the relay is ${isOpenToAll(shown) ? 'not private any more' : 'private now'}, and this record says otherwise`,
      mend: 'publish its new line',
    };
  else if (
    shown.sequence > record.sequence &&
    (shown.ip !== record.ip || shown.port !== record.port)
  )
    yield {
      name: 'its record',
      verdict: 'warn',
      detail: `the relay shows a newer record, of ${shown.ip}, port ${shown.port}`,
      mend: 'publish its new line',
    };
}

function explain(
  { result, fault, isSilent, stages }: ProbeReport,
  name: string,
  mend: string,
): Finding {
  if (fault?.startsWith('ACCESS_DENIED') === true)
    return {
      name,
      verdict: 'fail',
      detail: fault.slice(0, MAX_FAULT_LENGTH),
      mend: 'ask its operator for a token that holds (ACCESS_TOKENS)',
    };
  if (result === 'full')
    return {
      name,
      verdict: 'warn',
      detail: 'the relay is full: it is well, but has no session to spare',
      mend: 'raise MAX_SESSIONS, or try later',
    };
  return {
    name,
    verdict: 'fail',
    detail: (fault ?? 'no answer').slice(0, MAX_FAULT_LENGTH),
    // Credentials that nobody knows are met with silence; a wrong certificate or key never is.
    mend: isSilent && stages.length > 0 ? SLOW_MEND : mend,
  };
}

/** Whether this machine has an IPv6 address that the world may answer to. */
export function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some(
    (list) =>
      list?.some(({ family, address }) => family === 'IPv6' && scopeOf(address) === 'public') ===
      true,
  );
}
