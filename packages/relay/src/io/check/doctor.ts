import { LumameshError, isWildcard, scopeOf } from '@lumamesh/base';
import { RECEIVE_BUFFER_BYTES, bindUdpSocket, queryStun } from '@lumamesh/transport/io';
import { BUILD } from '../build-info.ts';
import type { RelayConfig } from '../config/config.ts';
import { shippedList } from '../outside/helpers.ts';
import { identityFiles, loadIdentity } from '../identity.ts';
import { resolveHost } from '../service/host-watch.ts';
import type { HealthStats } from '../relay-stats.ts';
import { ownAddresses } from '../service/machine-watch.ts';
import { checkAccess } from './access-check.ts';
import { askClock } from './clock-check.ts';
import { dialBack } from './dial-back.ts';
import { fetchStats } from './fetch-stats.ts';
import { checkFiles } from './files-check.ts';
import type { Finding } from './finding.ts';
import { checkFirewall } from './firewall-check.ts';
import { checkIo } from './io-check.ts';
import { checkOutside } from './outside-check.ts';
import { type NamedList, checkPublished, checkRecord } from './published-check.ts';
import { checkService } from './service-check.ts';
import { checkTcpPort } from './tcp-check.ts';

export interface DoctorOptions {
  /** STUN server to ask for the public address. */
  readonly stun?: { readonly host: string; readonly port: number };
  readonly timeServer: string;
  /** Where the relay's line is looked for; by default the public list that came with the program. */
  readonly list?: NamedList;
}

const STUN_TIMEOUT_MS = 3000;
const NTP_TIMEOUT_MS = 3000;
/** Records are refused when they are further in the future than this. */
const MAX_CLOCK_ERROR_MS = 60_000;
const PUBLIC_LIST: NamedList = {
  name: 'the public list of this version',
  get text() {
    return shippedList();
  },
};
const CGNAT = /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./;

/**
 * Looks at everything on this machine that a relay depends on. Makes no identity and changes
 * nothing.
 */
export async function* diagnoseHost(
  config: RelayConfig,
  options: DoctorOptions,
): AsyncGenerator<Finding> {
  yield* checkService();
  yield* checkFiles(config);
  yield checkIo(config);
  const isFree = yield* checkPort(config);
  yield* checkTcpPort(config);
  yield* checkAddresses(config);
  yield* checkNat(config, options.stun);
  yield* checkName(config);
  yield* checkClock(options.timeServer);
  yield* checkStanding(config, isFree, options.list ?? PUBLIC_LIST);
  yield* checkFirewall(config);
  yield* checkOutside(config, isFree);
  if (config.meshSalt !== undefined) yield* dialBack(config, isFree);
}

/**
 * Whether the port is to be had, and what the kernel gives of a receive buffer.
 * @returns Whether the port is free.
 */
async function* checkPort(config: RelayConfig): AsyncGenerator<Finding, boolean> {
  const { udpPort, listenIp } = config;
  let receiveBufferBytes: number;
  try {
    const nobody = (): void => undefined;
    const socket = await bindUdpSocket({
      port: udpPort,
      ...(listenIp === undefined ? {} : { address: listenIp }),
      onDatagram: nobody,
      onSendError: nobody,
    });
    ({ receiveBufferBytes } = socket);
    await socket.close();
  } catch (error) {
    const isTaken = error instanceof LumameshError && error.code === 'PORT_IN_USE';
    const answer = isTaken
      ? await queryStun({ address: listenIp ?? '127.0.0.1', port: udpPort }, STUN_TIMEOUT_MS).catch(
          () => null,
        )
      : null;
    yield answer === null
      ? {
          name: 'UDP port',
          verdict: 'fail',
          detail: (error as Error).message,
          mend: 'end the other program, or set UDP_PORT',
        }
      : await nameRunning(config);
    return false;
  }
  yield { name: 'UDP port', verdict: 'ok', detail: `UDP ${udpPort} is free` };
  yield receiveBufferBytes >= RECEIVE_BUFFER_BYTES
    ? { name: 'receive buffer', verdict: 'ok', detail: `${receiveBufferBytes / 1024} KB` }
    : {
        name: 'receive buffer',
        verdict: 'warn',
        detail: `the kernel gives ${Math.floor(receiveBufferBytes / 1024)} KB of ${RECEIVE_BUFFER_BYTES / 1024}: bursts of browsers will lose datagrams`,
        mend: `sysctl -w net.core.rmem_max=${RECEIVE_BUFFER_BYTES} (and a line in /etc/sysctl.d)`,
      };
  return true;
}

/** How the relay is shown to others: whom it lets in, and until when what is said of it holds. */
async function* checkStanding(
  config: RelayConfig,
  isPortFree: boolean,
  list: NamedList,
): AsyncGenerator<Finding> {
  const identity = await loadIdentity(identityFiles(config), { mayMake: false }).catch(() => null);
  // That there is none, or why, stands above.
  if (identity === null) return;
  const answer = isPortFree ? null : await statsOf(config);
  const stats = answer?.nodeId === identity.nk ? answer : null;
  yield checkAccess(config, identity, stats);
  if (stats !== null) yield checkRecord(stats, Date.now());
  yield* checkPublished(config, identity, list, Date.now());
}

/** What the relay on this machine says of itself, if it is asked and one answers. */
async function statsOf({ healthListen }: RelayConfig): Promise<HealthStats | null> {
  return healthListen === undefined ? null : fetchStats(healthListen).catch(() => null);
}

/** Who has the port: this relay, as it should be, or another. */
async function nameRunning(config: RelayConfig): Promise<Finding> {
  const name = 'UDP port';
  const isRunning = `a relay is running on UDP ${config.udpPort} already`;
  const identity = await loadIdentity(identityFiles(config), { mayMake: false }).catch(() => null);
  const stats = await statsOf(config);
  if (identity === null || stats === null) return { name, verdict: 'ok', detail: isRunning };
  if (stats.nodeId === identity.nk)
    return { name, verdict: 'ok', detail: `this relay is running on UDP ${config.udpPort}` };
  return {
    name,
    verdict: 'fail',
    detail: `${isRunning}, and it is another one (${stats.nodeId})`,
    mend: 'set UDP_PORT and HEALTH_LISTEN to ports of its own',
  };
}

function* checkAddresses({ publicIp, publicIp6, listenIp }: RelayConfig): Generator<Finding> {
  const own = ownAddresses();
  if (
    listenIp !== undefined &&
    !own.includes(listenIp) &&
    !isWildcard(listenIp) &&
    scopeOf(listenIp) !== 'loopback'
  )
    yield {
      name: 'LISTEN_IP',
      verdict: 'fail',
      detail: `${listenIp} is no address of this machine`,
      mend: `it has ${own.join(', ')}`,
    };
  if (publicIp6 !== undefined) {
    yield own.includes(publicIp6)
      ? { name: 'IPv6', verdict: 'ok', detail: publicIp6 }
      : {
          name: 'IPv6',
          verdict: 'fail',
          detail: `PUBLIC_IP6 ${publicIp6} is no address of this machine`,
          mend: 'set it to one that is, or leave it out',
        };
  } else {
    const address = own.find((one) => one.includes(':') && scopeOf(one) === 'public');
    yield address === undefined
      ? { name: 'IPv6', verdict: 'skip', detail: 'this machine has none' }
      : {
          name: 'IPv6',
          verdict: 'warn',
          detail: `this machine has ${address}, which the record does not name`,
          mend: `PUBLIC_IP6=${address} lets browsers without IPv4 in`,
        };
  }
  if (scopeOf(publicIp) !== 'public')
    yield {
      name: 'PUBLIC_IP',
      verdict: 'warn',
      detail: `${publicIp} is ${scopeOf(publicIp)}: only browsers of that network can dial it`,
      mend: 'set PUBLIC_IP to the public address',
    };
}

async function* checkNat(
  { publicIp, udpPort }: RelayConfig,
  stun: DoctorOptions['stun'],
): AsyncGenerator<Finding> {
  const own = ownAddresses();
  if (scopeOf(publicIp) === 'loopback')
    return yield { name: 'NAT', verdict: 'skip', detail: 'on loopback there is none' };
  if (own.includes(publicIp))
    return yield {
      name: 'NAT',
      verdict: 'ok',
      detail: `${publicIp} is this machine's own address`,
    };
  const carrier = own.find((address) => CGNAT.test(address));
  if (carrier !== undefined) {
    yield {
      name: 'NAT',
      verdict: 'fail',
      detail: `${carrier} is an address behind the provider's own NAT (CGNAT): nobody can dial in`,
      mend: 'ask the provider for a public IPv4 address, use IPv6 (PUBLIC_IP6), or run the relay elsewhere',
    };
    return;
  }
  const forward = `forward UDP ${udpPort} on the router to ${own.find((address) => !address.includes(':')) ?? 'this machine'}, and keep that address fixed`;
  if (stun === undefined)
    return yield {
      name: 'NAT',
      verdict: 'warn',
      detail: `${publicIp} is not on this machine: it stands behind NAT`,
      mend: `${forward}; --stun <host:port> compares the address`,
    };
  const answer = await askStun(stun);
  if (answer === null)
    yield {
      name: 'NAT',
      verdict: 'warn',
      detail: `${stun.host} did not answer, so the public address could not be compared`,
      mend: 'try another --stun',
    };
  else if (answer !== publicIp)
    yield {
      name: 'NAT',
      verdict: 'fail',
      detail: `the world sees this machine at ${answer}, and PUBLIC_IP is ${publicIp}`,
      mend: `PUBLIC_IP=${answer}`,
    };
  else
    yield {
      name: 'NAT',
      verdict: 'warn',
      detail: `behind NAT, seen at ${answer} as PUBLIC_IP says`,
      mend: forward,
    };
}

async function askStun({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<string | null> {
  const { addresses } = await resolveHost(host, []);
  const address = addresses.find((one) => !one.includes(':'));
  const answer =
    address === undefined
      ? null
      : await queryStun({ address, port }, STUN_TIMEOUT_MS).catch(() => null);
  return answer?.mappedAddress.address ?? null;
}

async function* checkName({
  publicHost,
  publicIp,
  publicIp6,
}: RelayConfig): AsyncGenerator<Finding> {
  if (publicHost === undefined) return;
  const { addresses, isOurs } = await resolveHost(publicHost, [publicIp, publicIp6]);
  if (isOurs)
    yield {
      name: 'PUBLIC_HOST',
      verdict: 'ok',
      detail: `${publicHost} is ${addresses.join(', ')}`,
    };
  else
    yield {
      name: 'PUBLIC_HOST',
      verdict: 'fail',
      detail:
        addresses.length === 0
          ? `${publicHost} does not resolve`
          : `${publicHost} is ${addresses.join(', ')}, not ${publicIp}`,
      mend: 'mend the DNS entry, or PUBLIC_IP',
    };
}

async function* checkClock(timeServer: string): AsyncGenerator<Finding> {
  if (Date.now() / 1000 < BUILD.madeUnixSeconds) {
    yield {
      name: 'clock',
      verdict: 'fail',
      detail: `it says ${new Date().toISOString().slice(0, 10)}, which is before this program was made: what the relay signs has expired for everybody else`,
      mend: 'timedatectl set-ntp true',
    };
    return;
  }
  const errorMs = await askClock(parseHostPort(timeServer), NTP_TIMEOUT_MS).catch(() => null);
  if (errorMs === null)
    yield {
      name: 'clock',
      verdict: 'skip',
      detail: `${timeServer} did not answer: compare \`date -u\` yourself (records carry the time)`,
    };
  else if (Math.abs(errorMs) < MAX_CLOCK_ERROR_MS)
    yield {
      name: 'clock',
      verdict: 'ok',
      detail: `within ${Math.ceil(Math.abs(errorMs) / 1000)} s of ${timeServer}`,
    };
  else
    yield {
      name: 'clock',
      verdict: 'fail',
      detail: `${Math.round(Math.abs(errorMs) / 1000)} s ${errorMs > 0 ? 'ahead of' : 'behind'} ${timeServer}`,
      mend: 'timedatectl set-ntp true: other relays refuse records from the future, and take old ones for older than they are',
    };
}

function parseHostPort(text: string): { readonly host: string; readonly port?: number } {
  const [, host = text, port] = /^(.+?)(?::(\d+))?$/.exec(text) ?? [];
  return { host, ...(port === undefined ? {} : { port: Number(port) }) };
}
