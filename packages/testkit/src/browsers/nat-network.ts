import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserName } from './launch.ts';
import { NatHost, type NatSocket, type NatTab } from './nat-host.ts';
import { type CommandOutcome, NatRelay, runRelayCommand } from './nat-relay.ts';
import {
  type HomeKind,
  INTERNET_ADDRESS,
  INTERNET_LINK_LOCAL,
  NO_MDNS_RULES,
  PROXY_PORT,
  ROUTER_LINK_LOCAL,
  type RelayFamilies,
  type RouterRules,
  UNROUTED_PREFIXES,
  UNROUTED_PREFIXES_6,
  hasIpv4,
  hasIpv6,
  lanAddress,
  lanAddress6,
  linkLocalAddress,
  preferredAddress,
  preferredAddress6,
  prefixLength,
  relayAddress,
  relayAddress6,
  rulesFor,
  wanAddress,
  wanRoutes,
} from './nat-topology.ts';
import {
  SYSTEM_PATH,
  addNamespace,
  exemptBridges,
  inNamespace,
  ip,
  isInstalled,
  removeNamespace,
  runShell,
  setKernelSettings,
  setRules,
} from './namespaces.ts';

/*
 * An internet of its own, in network namespaces of Linux:
 *
 *     home i                 router i                               internet                    relay k
 *   ┌────────┐ eth0   lan ┌───────────────┐ wan        wan<i> ┌────────────────┐ relay<k>  wan ┌─────────┐
 *   │ agent, │────────────│ nftables: NAT │───────────────────│ routes, and    │───────────────│ program │
 *   │browsers│            │ and firewall  │                   │ nothing else   │               │         │
 *   └────────┘            └───────────────┘                   └────────────────┘               └─────────┘
 *   192.168.<i+1>.2      .1     198.51.100.<i+1>        .254                       203.0.113.<10+k>
 *   open: 192.0.2.<16i+2>
 *   2001:db8:<i+1>::2    ::1              fe80::2    fe80::1    fe80::1    fe80::2  2001:db8:ffff::<16+k>
 *
 * The internet routes the documentation prefixes of RFC 5737 and RFC 3849 and swallows private ones. A test can therefore not reach the machine's own
 * network, nor depend on it.
 */

const MAX_HOMES = 15;
const MAX_RELAYS = 8;
/** What a namespace has besides the defaults of the kernel. Addresses are there at once: nobody else can have them. */
const NO_IPV6 = { 'ipv6/conf/all/disable_ipv6': '1', 'ipv6/conf/default/disable_ipv6': '1' };
const IPV6 = {
  'ipv6/conf/all/disable_ipv6': '0',
  'ipv6/conf/default/disable_ipv6': '0',
  'ipv6/conf/default/accept_dad': '0',
  'ipv6/conf/default/accept_ra': '0',
};
const FORWARDING = { 'ipv4/ip_forward': '1' };
const FORWARDING_6 = { 'ipv6/conf/all/forwarding': '1' };
/** Of the way out by a second interface: higher than those of the first. */
const SPARE_METRIC = 2048;
/** Of a router that is made to see whether one can be. */
const PROBE_RULES: RouterRules = {
  kind: 'symmetric',
  isUdpBlocked: false,
  wanAddress: wanAddress(0),
  hairpins: true,
  forwarded: null,
};
let networksMade = 0;

interface Router extends RouterRules {
  readonly namespace: string;
  kind: HomeKind;
  isUdpBlocked: boolean;
  hairpins: boolean;
  forwarded: RouterRules['forwarded'];
  /** Where its proxy runs. */
  host: NatHost | null;
  /** The last number of the next address it gives away. */
  nextHost: number;
}

/** A network interface of a home. */
interface Uplink {
  readonly device: 'eth0' | 'eth1';
  /** The router it is behind. */
  readonly router: number;
  address: string;
  address6: string;
}

interface Home {
  readonly namespace: string;
  readonly host: NatHost;
  /** By which it goes out. */
  uplink: Uplink;
  /** By which it goes when that is gone. */
  spare: Uplink | null;
}

export interface NatRelayOptions {
  readonly families?: RelayFamilies;
  /** Gives its machine one more address of each family, from which the kernel sends unless it is told otherwise. */
  readonly isMultihomed?: boolean;
}

/** Why there can be no such network here, or `null`. */
export function whyNoNatNetwork(): string | null {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const missing = Object.entries({ ip: 'iproute2', nft: 'nftables', setpriv: 'util-linux' }).filter(
    ([program]) => !isInstalled(program),
  );
  if (missing.length > 0) return `not installed: ${missing.map(([, name]) => name).join(', ')}`;
  const probe = `lumamesh-nat-${process.pid}-probe`;
  try {
    addNamespace(probe);
    setRules(probe, rulesFor(PROBE_RULES));
    return null;
  } catch (error) {
    return `no namespaces with NAT here: ${String(error)}`;
  } finally {
    removeNamespace(probe);
  }
}

export class NatNetwork {
  readonly #prefix = `lumamesh-nat-${process.pid}-${networksMade++}`;
  readonly #folder = mkdtempSync(join(tmpdir(), 'lumamesh-nat-'));
  readonly #internet = this.#nameOf('internet');
  readonly #namespaces: string[] = [];
  readonly #routers: Router[] = [];
  readonly #homes: Home[] = [];
  readonly #relays: NatRelay[] = [];
  readonly #homeRelays: NatRelay[] = [];
  #internetHost: NatHost | null = null;
  readonly #delayMs: number;
  readonly #delayLines: ChildProcess[] = [];
  readonly #removeAll = (): void => this.#remove();
  readonly #exitOnSignal = (): void => process.exit(1);

  private constructor(delayMs: number) {
    this.#delayMs = delayMs;
    // Namespaces outlive the process that made them, however it ends.
    process.on('exit', this.#removeAll);
    process.on('SIGTERM', this.#exitOnSignal);
    process.on('SIGINT', this.#exitOnSignal);
  }

  /** Makes a network with a home of each of these kinds, each behind a router of its own; they are named by their index from now on. What passes a router
   * takes `delayMs` longer, each way: twice that to a relay and back, four times to another home. */
  static async start(kinds: readonly HomeKind[], delayMs = 0): Promise<NatNetwork> {
    if (kinds.length > MAX_HOMES) throw new RangeError(`at most ${MAX_HOMES} homes`);
    const network = new NatNetwork(delayMs);
    try {
      network.#makeInternet();
      for (const kind of kinds) await network.#makeRouter(kind);
      for (const i of kinds.keys()) network.#makeHome(i);
      return network;
    } catch (error) {
      await network.stop();
      throw error;
    }
  }

  /** The relay's program on a machine of its own, at the next address from 203.0.113.10 and 2001:db8:ffff::10 on. With MESH_SALT it listens for other
   * relays too. */
  async startRelay(
    environment: Readonly<Record<string, string>> = {},
    options: NatRelayOptions = {},
  ): Promise<NatRelay> {
    const k = this.#relays.length;
    if (k === MAX_RELAYS) throw new RangeError(`at most ${MAX_RELAYS} relays`);
    this.#internetHost ??= new NatHost(this.#internet);
    const families = options.families ?? 'ipv4';
    const namespace = this.#makeRelayMachine(k, families, options.isMultihomed ?? false);
    const relay = new NatRelay(
      namespace,
      this.#internetHost,
      hasIpv4(families) ? relayAddress(k) : relayAddress6(k),
      this.#folder,
      {
        // Without LISTEN_IP it listens on all its addresses, as relays do. A record names an IPv4 address, even where it leads nowhere.
        PUBLIC_IP: relayAddress(k),
        ...(hasIpv6(families) ? { PUBLIC_IP6: relayAddress6(k) } : {}),
        ...environment,
      },
    );
    this.#relays.push(relay);
    await relay.start();
    return relay;
  }

  /** The relay's program in home `i`, which its router does not forward to before {@link forwardUdp}. Its record names the address of the router. */
  async startHomeRelay(
    i: number,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<NatRelay> {
    const { namespace, host } = this.#home(i);
    const relay = new NatRelay(namespace, host, this.address(i), this.#folder, {
      PUBLIC_IP: this.publicAddress(i),
      ...environment,
    });
    this.#homeRelays.push(relay);
    await relay.start();
    return relay;
  }

  /** Router `i` sends what comes for this UDP port on to its home. */
  forwardUdp(i: number, port: number): void {
    const router = this.#router(i);
    router.forwarded = { port, address: this.address(i) };
    this.#applyRules(router);
  }

  /** The firewall of home `i` itself, in nft's language; it has none before. */
  setHostRules(i: number, rules: string): void {
    setRules(this.#home(i).namespace, rules);
  }

  /** Runs a line as an operator would, with a shell, in home `i`. */
  runLine(i: number, line: string): void {
    runShell(this.#home(i).namespace, line);
  }

  /** What a command of the relay's program says in home `i`. */
  async runRelayCommand(
    i: number,
    parameters: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<CommandOutcome> {
    return runRelayCommand(this.#home(i).namespace, parameters, environment);
  }

  /** A browser in home `i`, whose page runs `script` under the strict policy of {@link serveStrictPage}. */
  async openTab(i: number, browser: BrowserName, script: string): Promise<NatTab> {
    const { host, uplink } = this.#home(i);
    const { router } = uplink;
    const { kind } = this.#router(router);
    const proxy = kind === 'proxy' ? `${lanAddress(kind, router, 1)}:${PROXY_PORT}` : undefined;
    if (proxy !== undefined) await this.#startProxy(this.#router(router));
    return host.openTab(browser, script, proxy, !hasIpv4(kind));
  }

  /** What a web server answers home `i`. */
  async fetchJson(i: number, url: string): Promise<unknown> {
    return this.#home(i).host.fetchJson(url);
  }

  /** A socket of IPv4, or of IPv6, in home `i`. */
  async openSocket(i: number, isIpv6 = false): Promise<NatSocket> {
    return this.#home(i).host.openSocket(isIpv6);
  }

  /** Once for each router. */
  async #startProxy(router: Router): Promise<void> {
    if (router.host !== null) return;
    router.host = new NatHost(router.namespace);
    await router.host.ask({ command: 'startProxy', port: PROXY_PORT });
  }

  /** The address that home `i` has itself: the IPv4 one, where it has one. */
  address(i: number): string {
    const { address, address6 } = this.#home(i).uplink;
    return address === '' ? address6 : address;
  }

  /** The IPv6 address of home `i`; empty where it has none. */
  address6(i: number): string {
    return this.#home(i).uplink.address6;
  }

  /** The address by which the internet sees home `i`: the IPv4 one, where it has one. */
  publicAddress(i: number): string {
    const { router, address } = this.#home(i).uplink;
    const { kind } = this.#router(router);
    return kind === 'open' || address === '' ? this.address(i) : wanAddress(router);
  }

  /** Changes the kind of router `i`, which forgets all its mappings, as one does that is turned off and on. */
  setNat(i: number, kind: 'cone' | 'symmetric'): void {
    const router = this.#router(i);
    if (router.kind === 'open')
      throw new Error('an open home has public addresses: there is nothing to translate');
    router.kind = kind;
    this.#applyRules(router);
    this.forgetMappings(i);
  }

  /** Router `i` lets everybody in from now on, and forgets nothing: what was there goes on. */
  openUp(i: number): void {
    const router = this.#router(i);
    router.kind = 'full-cone';
    router.forwarded = { port: null, address: this.address(i) };
    this.#applyRules(router);
  }

  /** Router `i` forgets whom its home talks to, as when it is turned off and on. */
  forgetMappings(i: number): void {
    // Masquerading ends with its device (nf_nat_masquerade.c, masq_device_event), and so do the routes over it.
    const { namespace, kind } = this.#router(i);
    ip(namespace, ['link set wan down', 'link set wan up', ...wanUp(kind)]);
  }

  /** Router `i` drops all UDP, in both directions; TCP still passes. */
  blockUdp(i: number): void {
    this.#setBlocked(i, true);
  }

  unblockUdp(i: number): void {
    this.#setBlocked(i, false);
  }

  /** Whether home `i` asks its neighbours for names, and answers to its own (multicast DNS, RFC 6762). They do at first. */
  setMdns(i: number, passes: boolean): void {
    setRules(this.#home(i).namespace, passes ? '' : NO_MDNS_RULES);
  }

  /** Whether those behind router `i`, a cone, reach each other by the ports that it gives them outside (hairpinning, RFC 4787 §6). They do not at first. */
  setHairpin(i: number, hairpins: boolean): void {
    const router = this.#router(i);
    router.hairpins = hairpins;
    this.#applyRules(router);
  }

  /** Home `i` gets other addresses from its router, and loses those it had, with all routes: as when a laptop's lease changes. Answers the new one. */
  changeAddress(i: number): string {
    const { namespace, uplink } = this.#home(i);
    ip(namespace, [
      `addr flush dev ${uplink.device} scope global`,
      ...(hasIpv6(this.#router(uplink.router).kind)
        ? [`route del default via ${lanAddress6(uplink.router, 1)} dev ${uplink.device}`]
        : []),
    ]);
    this.#giveAddress(namespace, uplink);
    return this.address(i);
  }

  /**
   * Home `i` loses what its router gave it, and gives itself addresses of the link: 169.254/16 (RFC 3927), fe80::/10 (RFC 4862 §5.3), as machines on a
   * switch without a router do; with a way out by the link itself, as avahi-autoipd has it: browsers gather nothing where there is none. Answers the
   * IPv4 one.
   */
  loseLease(i: number): string {
    const { namespace, uplink } = this.#home(i);
    const { device, router } = uplink;
    const address = linkLocalAddress(router, this.#router(router).nextHost++);
    setKernelSettings(namespace, { [`ipv6/conf/${device}/disable_ipv6`]: '0' });
    ip(namespace, [
      `addr flush dev ${device} scope global`,
      `addr add ${address}/16 dev ${device} scope link`,
      `route add default dev ${device} scope link metric ${SPARE_METRIC}`,
    ]);
    uplink.address = address;
    return address;
  }

  /** Home `i` moves behind the router of home `j`, as a laptop does that is carried to another Wi-Fi. Answers its new address. */
  moveHome(i: number, j: number): string {
    const home = this.#home(i);
    ip(home.namespace, [`link del ${home.uplink.device}`]);
    home.uplink = this.#plugIn(i, 'eth0', j);
    return this.address(i);
  }

  /** Home `i` has a second interface, behind the router of home `j`, which it uses when the first is gone: LTE beside Wi-Fi. Answers the address there. */
  addSpare(i: number, j: number): string {
    const spare = this.#plugIn(i, 'eth1', j, SPARE_METRIC);
    this.#home(i).spare = spare;
    return spare.address === '' ? spare.address6 : spare.address;
  }

  /** The first interface of home `i` goes away, with its addresses and routes; the second remains. */
  loseUplink(i: number): void {
    const home = this.#home(i);
    if (home.spare === null) throw new Error(`home ${i} has one interface only`);
    ip(home.namespace, [`link del ${home.uplink.device}`]);
    home.uplink = home.spare;
    home.spare = null;
  }

  /** Pulls the cable out of home `i`, which has IPv4 only, or plugs it in again: the same address, and the route that went with the link. */
  setCable(i: number, isIn: boolean): void {
    const { namespace, uplink } = this.#home(i);
    const { device, router } = uplink;
    const { kind } = this.#router(router);
    const route = `route add default via ${lanAddress(kind, router, 1)} dev ${device}`;
    ip(namespace, [`link set ${device} ${isIn ? 'up' : 'down'}`, ...(isIn ? [route] : [])]);
  }

  /** Closes all browsers and relays, and takes the network down. */
  async stop(): Promise<void> {
    const hosts = [...this.#homes, ...this.#routers, { host: this.#internetHost }]
      .map(({ host }) => host)
      .filter((host) => host !== null);
    await Promise.allSettled([
      ...hosts.map((host) => host.end()),
      ...[...this.#relays, ...this.#homeRelays].map((relay) => relay.kill()),
    ]);
    this.#remove();
    process.off('exit', this.#removeAll);
    process.off('SIGTERM', this.#exitOnSignal);
    process.off('SIGINT', this.#exitOnSignal);
  }

  #makeInternet(): void {
    this.#addNamespace(this.#internet, true, true);
    ip(this.#internet, [
      `addr add ${INTERNET_ADDRESS}/32 dev lo`,
      ...UNROUTED_PREFIXES.map((prefix) => `route add blackhole ${prefix}`),
      ...UNROUTED_PREFIXES_6.map((prefix) => `route add blackhole ${prefix}`),
    ]);
  }

  /** A machine on the internet, at the addresses of relay `k`. Answers its namespace. */
  #makeRelayMachine(k: number, families: RelayFamilies, isMultihomed: boolean): string {
    const namespace = this.#nameOf(`relay-${k}`);
    this.#addNamespace(namespace, hasIpv6(families), false);
    const addresses = [
      ...(hasIpv4(families) ? [relayAddress(k)] : []),
      ...(hasIpv6(families) ? [relayAddress6(k)] : []),
      ...(isMultihomed && hasIpv4(families) ? [preferredAddress(k)] : []),
      ...(isMultihomed && hasIpv6(families) ? [preferredAddress6(k)] : []),
    ];
    const source = isMultihomed
      ? ([preferredAddress(k), preferredAddress6(k)] as const)
      : undefined;
    ip(namespace, [
      `link add wan type veth peer name relay${k} netns ${this.#internet}`,
      ...addresses.map((address) => `addr add ${hostPrefix(address)} dev wan`),
      'link set wan up',
    ]);
    ip(this.#internet, [
      `link set relay${k} up`,
      ...internetEnd(`relay${k}`, families),
      ...addresses.map((address) => routeTo(hostPrefix(address), `relay${k}`)),
    ]);
    ip(namespace, wanUp(families, source));
    return namespace;
  }

  async #makeRouter(kind: HomeKind): Promise<void> {
    const i = this.#routers.length;
    const router: Router = {
      namespace: this.#nameOf(`router-${i}`),
      kind,
      isUdpBlocked: kind === 'tcp-only',
      wanAddress: wanAddress(i),
      hairpins: false,
      forwarded: null,
      host: null,
      nextHost: 2,
    };
    this.#addNamespace(router.namespace, hasIpv6(kind), true);
    exemptBridges(router.namespace);
    this.#routers.push(router);
    if (this.#delayMs > 0) await this.#makeDelayLine(router.namespace, `wan${i}`);
    const [isIpv4, isIpv6] = [hasIpv4(kind), hasIpv6(kind)];
    ip(router.namespace, [
      'link add lan type bridge',
      ...(isIpv4 ? [`addr add ${lanAddress(kind, i, 1)}/${prefixLength(kind)} dev lan`] : []),
      ...(isIpv6 ? [`addr add ${lanAddress6(i, 1)}/64 dev lan nodad`] : []),
      'link set lan up',
      this.#delayMs > 0
        ? `link set wan${i} netns ${this.#internet}`
        : `link add wan type veth peer name wan${i} netns ${this.#internet}`,
      ...(isIpv4 ? [`addr add ${wanAddress(i)}/32 dev wan`] : []),
      'link set wan up',
    ]);
    ip(this.#internet, [
      `link set wan${i} up`,
      ...internetEnd(`wan${i}`, kind),
      ...(isIpv4 ? [`route add ${wanAddress(i)}/32 dev wan${i}`] : []),
      ...(isIpv6 ? [routeTo(`${lanAddress6(i, 0)}/64`, `wan${i}`)] : []),
      ...(kind === 'open'
        ? [
            `route add ${lanAddress(kind, i, 0)}/${prefixLength(kind)} via ${wanAddress(i)} dev wan${i} onlink`,
          ]
        : []),
    ]);
    ip(router.namespace, wanUp(kind));
    this.#applyRules(router);
  }

  /** The two ends of a wire that takes time, `wan` and `other`, in a router's namespace. */
  async #makeDelayLine(namespace: string, other: string): Promise<void> {
    const program = join(import.meta.dirname, 'delay-line.ts');
    const [command = '', ...parameters] = inNamespace(namespace, [
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      program,
      String(this.#delayMs),
      'wan',
      other,
    ]);
    const line = spawn(command, parameters, {
      env: { ...process.env, PATH: SYSTEM_PATH },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#delayLines.push(line);
    const ended = Promise.withResolvers<never>();
    line.on('exit', () => ended.reject(new Error('there is no wire that takes time')));
    await Promise.race([once(line, 'message'), ended.promise]);
    ended.promise.catch(() => undefined);
  }

  #makeHome(i: number): void {
    const namespace = this.#nameOf(`home-${i}`);
    // It may move to a router that has IPv6; behind one that has not, it has no more than its link.
    this.#addNamespace(namespace, true, false);
    const host = new NatHost(namespace);
    // What it is plugged in by needs the home to be known.
    const uplink: Uplink = { device: 'eth0', router: i, address: '', address6: '' };
    const home: Home = { namespace, host, uplink, spare: null };
    this.#homes.push(home);
    home.uplink = this.#plugIn(i, 'eth0', i);
  }

  #plugIn(i: number, device: Uplink['device'], router: number, metric?: number): Uplink {
    const { namespace } = this.#home(i);
    ip(this.#router(router).namespace, [
      `link add home${i} type veth peer name ${device} netns ${namespace}`,
      `link set home${i} master lan up`,
    ]);
    const has6 = hasIpv6(this.#router(router).kind);
    setKernelSettings(namespace, { [`ipv6/conf/${device}/disable_ipv6`]: has6 ? '0' : '1' });
    ip(namespace, [`link set ${device} up`]);
    const uplink: Uplink = { device, router, address: '', address6: '' };
    this.#giveAddress(namespace, uplink, metric);
    return uplink;
  }

  #giveAddress(namespace: string, uplink: Uplink, metric?: number): void {
    const { device } = uplink;
    const router = this.#router(uplink.router);
    const { kind } = router;
    const host = router.nextHost++;
    const how = `dev ${device}${metric === undefined ? '' : ` metric ${metric}`}`;
    if (hasIpv4(kind)) {
      uplink.address = lanAddress(kind, uplink.router, host);
      ip(namespace, [
        `addr add ${uplink.address}/${prefixLength(kind)} dev ${device}`,
        `route add default via ${lanAddress(kind, uplink.router, 1)} ${how}`,
      ]);
    }
    if (!hasIpv4(kind)) {
      const address = linkLocalAddress(uplink.router, host);
      ip(namespace, [`addr add ${address}/16 dev ${device} scope link`]);
    }
    if (hasIpv6(kind)) {
      uplink.address6 = lanAddress6(uplink.router, host);
      ip(namespace, [
        `addr add ${uplink.address6}/64 dev ${device} nodad`,
        `route add default via ${lanAddress6(uplink.router, 1)} ${how}`,
      ]);
    }
    if (kind === 'full-cone') {
      router.forwarded = { port: null, address: uplink.address };
      this.#applyRules(router);
    }
  }

  #setBlocked(i: number, isUdpBlocked: boolean): void {
    const router = this.#router(i);
    router.isUdpBlocked = isUdpBlocked;
    this.#applyRules(router);
  }

  #applyRules(router: Router): void {
    setRules(router.namespace, rulesFor(router));
  }

  #addNamespace(name: string, isIpv6: boolean, isRouter: boolean): void {
    addNamespace(name);
    this.#namespaces.push(name);
    setKernelSettings(name, {
      ...(isIpv6 ? IPV6 : NO_IPV6),
      ...(isRouter ? FORWARDING : {}),
      ...(isRouter && isIpv6 ? FORWARDING_6 : {}),
    });
    ip(name, ['link set lo up']);
  }

  #nameOf(part: string): string {
    return `${this.#prefix}-${part}`;
  }

  #router(i: number): Router {
    const router = this.#routers[i];
    if (router === undefined) throw new RangeError(`there is no router ${i}`);
    return router;
  }

  #home(i: number): Home {
    const home = this.#homes[i];
    if (home === undefined) throw new RangeError(`there is no home ${i}`);
    return home;
  }

  #remove(): void {
    for (const line of this.#delayLines.splice(0)) line.kill('SIGKILL');
    for (const name of this.#namespaces.splice(0)) removeNamespace(name);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Of a router or relay: what its end of the wire has, once that is up. */
function wanUp(kind: HomeKind | RelayFamilies, source?: readonly [string, string]): string[] {
  return [
    ...(hasIpv6(kind) ? [`addr replace ${ROUTER_LINK_LOCAL}/64 dev wan nodad`] : []),
    ...wanRoutes(kind, source),
  ];
}

function internetEnd(device: string, kind: HomeKind | RelayFamilies): string[] {
  return hasIpv6(kind) ? [`addr add ${INTERNET_LINK_LOCAL}/64 dev ${device} nodad`] : [];
}

function hostPrefix(address: string): string {
  return address.includes(':') ? `${address}/128` : `${address}/32`;
}

function routeTo(prefix: string, device: string): string {
  return prefix.includes(':')
    ? `route add ${prefix} via ${ROUTER_LINK_LOCAL} dev ${device}`
    : `route add ${prefix} dev ${device}`;
}
