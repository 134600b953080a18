import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserName } from './launch.ts';
import { NatHost, type NatSocket, type NatTab } from './nat-host.ts';
import { type CommandOutcome, NatRelay, runRelayCommand } from './nat-relay.ts';
import {
  SYSTEM_PATH,
  addNamespace,
  inNamespace,
  ip,
  isInstalled,
  removeNamespace,
  setKernelSettings,
  setRules,
} from './namespaces.ts';

/*
 * An internet of its own, in network namespaces of Linux (IPv4 only):
 *
 *     home i                 router i                                  internet
 *   ┌────────┐ eth0   lan ┌───────────────┐ wan          wan<i> ┌──────────────────────┐
 *   │ agent, │────────────│ nftables: NAT │─────────────────────│ routes, and relays   │
 *   │browsers│            │ and firewall  │                     │ at 203.0.113.10, …   │
 *   └────────┘            └───────────────┘                     └──────────────────────┘
 *   192.168.<i+1>.2      .1       198.51.100.<i+1>         .254
 *   open: 192.0.2.<16i+2>
 *
 * The internet routes the documentation prefixes of RFC 5737 and swallows private ones. A test can therefore not reach the machine's own network, nor
 * depend on it.
 */

/**
 * What stands between a home and the internet. All of these but `open` and `full-cone` let nothing in that was not asked for from inside, by the very
 * address and port that answers (RFC 4787 §5: address and port-dependent filtering).
 * - `open`: no NAT and no firewall; the home has public addresses
 * - `full-cone`: a socket has the same port outside, whomever it talks to, and is reached there by everybody
 * - `cone`: the same port (endpoint-independent mapping, RFC 4787 §4.1), for those who were talked to ("port-restricted")
 * - `symmetric`: another port for every destination (address and port-dependent mapping)
 * - `tcp-only`: as `cone`, and no UDP passes
 * - `proxy`: nothing passes but what the router's HTTP proxy connects to (CONNECT, RFC 9110 §9.3.6); browsers there are told of it
 */
export const HOME_KINDS = ['open', 'full-cone', 'cone', 'symmetric', 'tcp-only', 'proxy'] as const;
export type HomeKind = (typeof HOME_KINDS)[number];

const MAX_HOMES = 15;
const MAX_RELAYS = 8;
const PROXY_PORT = 3128;
const INTERNET_ADDRESS = '198.51.100.254';
const PRIVATE_PREFIXES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16'];
const NO_IPV6 = { 'ipv6/conf/all/disable_ipv6': '1', 'ipv6/conf/default/disable_ipv6': '1' };
let networksMade = 0;

interface Router {
  readonly namespace: string;
  kind: HomeKind;
  isUdpBlocked: boolean;
  /** A UDP port that is sent on to a home; `null`: all of them. */
  forwarded: { readonly port: number | null; readonly address: string } | null;
  /** Where its proxy runs. */
  host: NatHost | null;
  /** The last number of the next address it gives away. */
  nextHost: number;
}

interface Home {
  readonly namespace: string;
  readonly host: NatHost;
  /** The router it is behind now. */
  router: number;
  address: string;
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
    setRules(
      probe,
      rulesFor({ kind: 'symmetric', isUdpBlocked: false, forwarded: null, host: null }),
    );
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

  /** The relay's program at the next address from 203.0.113.10 on. With MESH_SALT it listens for other relays too. */
  async startRelay(environment: Readonly<Record<string, string>> = {}): Promise<NatRelay> {
    const k = this.#relays.length;
    if (k === MAX_RELAYS) throw new RangeError(`at most ${MAX_RELAYS} relays`);
    this.#internetHost ??= new NatHost(this.#internet);
    const relay = new NatRelay(
      this.#internet,
      this.#internetHost,
      relayAddress(k),
      this.#folder,
      environment,
    );
    this.#relays.push(relay);
    await relay.start();
    return relay;
  }

  /** The relay's program in home `i`, which its router does not forward to before {@link forwardUdp}. Its record names the address of the router. */
  async startHomeRelay(i: number): Promise<NatRelay> {
    const { namespace, host, address } = this.#home(i);
    const relay = new NatRelay(namespace, host, address, this.#folder, {
      PUBLIC_IP: this.publicAddress(i),
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
    const { host, router } = this.#home(i);
    const { kind } = this.#router(router);
    const proxy = kind === 'proxy' ? `${lanAddress(kind, router, 1)}:${PROXY_PORT}` : undefined;
    if (proxy !== undefined) await this.#startProxy(this.#router(router));
    return host.openTab(browser, script, proxy);
  }

  /** What a web server answers home `i`. */
  async fetchJson(i: number, url: string): Promise<unknown> {
    return this.#home(i).host.fetchJson(url);
  }

  async openSocket(i: number): Promise<NatSocket> {
    return this.#home(i).host.openSocket();
  }

  /** Once for each router. */
  async #startProxy(router: Router): Promise<void> {
    if (router.host !== null) return;
    router.host = new NatHost(router.namespace);
    await router.host.ask({ command: 'startProxy', port: PROXY_PORT });
  }

  /** The address that home `i` has itself. */
  address(i: number): string {
    return this.#home(i).address;
  }

  /** The address by which the internet sees home `i`. */
  publicAddress(i: number): string {
    const { router, address } = this.#home(i);
    return this.#router(router).kind === 'open' ? address : wanAddress(router);
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
    ip(this.#router(i).namespace, ['link set wan down', 'link set wan up', ...wanRoutes()]);
  }

  /** Router `i` drops all UDP, in both directions; TCP still passes. */
  blockUdp(i: number): void {
    this.#setBlocked(i, true);
  }

  unblockUdp(i: number): void {
    this.#setBlocked(i, false);
  }

  /** Home `i` gets another address from its router, and loses the one it had, with all routes: as when a laptop's lease changes. Answers the new one. */
  changeAddress(i: number): string {
    const home = this.#home(i);
    ip(home.namespace, [
      `addr del ${home.address}/${prefixLength(this.#router(home.router).kind)} dev eth0`,
    ]);
    return this.#giveAddress(home);
  }

  /** Home `i` moves behind the router of home `j`, as a laptop does that is carried to another Wi-Fi. Answers its new address. */
  moveHome(i: number, j: number): string {
    const home = this.#home(i);
    ip(home.namespace, ['link del eth0']);
    this.#plugIn(i, home, j);
    return this.#giveAddress(home);
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
    this.#addNamespace(this.#internet);
    setKernelSettings(this.#internet, { 'ipv4/ip_forward': '1' });
    ip(this.#internet, [
      `addr add ${INTERNET_ADDRESS}/32 dev lo`,
      ...Array.from({ length: MAX_RELAYS }, (_, k) => `addr add ${relayAddress(k)}/32 dev lo`),
      ...PRIVATE_PREFIXES.map((prefix) => `route add blackhole ${prefix}`),
    ]);
  }

  async #makeRouter(kind: HomeKind): Promise<void> {
    const i = this.#routers.length;
    const router: Router = {
      namespace: this.#nameOf(`router-${i}`),
      kind,
      isUdpBlocked: kind === 'tcp-only',
      forwarded: null,
      host: null,
      nextHost: 2,
    };
    this.#addNamespace(router.namespace);
    this.#routers.push(router);
    setKernelSettings(router.namespace, { 'ipv4/ip_forward': '1' });
    const lan = `${lanAddress(kind, i, 1)}/${prefixLength(kind)}`;
    if (this.#delayMs > 0) await this.#makeDelayLine(router.namespace, `wan${i}`);
    ip(router.namespace, [
      'link add lan type bridge',
      `addr add ${lan} dev lan`,
      'link set lan up',
      this.#delayMs > 0
        ? `link set wan${i} netns ${this.#internet}`
        : `link add wan type veth peer name wan${i} netns ${this.#internet}`,
      `addr add ${wanAddress(i)}/32 dev wan`,
      'link set wan up',
      ...wanRoutes(),
    ]);
    ip(this.#internet, [
      `link set wan${i} up`,
      `route add ${wanAddress(i)}/32 dev wan${i}`,
      ...(kind === 'open'
        ? [
            `route add ${lanAddress(kind, i, 0)}/${prefixLength(kind)} via ${wanAddress(i)} dev wan${i} onlink`,
          ]
        : []),
    ]);
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
    this.#addNamespace(namespace);
    const home: Home = { namespace, host: new NatHost(namespace), router: i, address: '' };
    this.#homes.push(home);
    this.#plugIn(i, home, i);
    this.#giveAddress(home);
  }

  #plugIn(i: number, home: Home, router: number): void {
    home.router = router;
    ip(this.#router(router).namespace, [
      `link add home${i} type veth peer name eth0 netns ${home.namespace}`,
      `link set home${i} master lan up`,
    ]);
    ip(home.namespace, ['link set eth0 up']);
  }

  #giveAddress(home: Home): string {
    const router = this.#router(home.router);
    home.address = lanAddress(router.kind, home.router, router.nextHost++);
    ip(home.namespace, [
      `addr add ${home.address}/${prefixLength(router.kind)} dev eth0`,
      `route add default via ${lanAddress(router.kind, home.router, 1)}`,
    ]);
    if (router.kind === 'full-cone') {
      router.forwarded = { port: null, address: home.address };
      this.#applyRules(router);
    }
    return home.address;
  }

  #setBlocked(i: number, isUdpBlocked: boolean): void {
    const router = this.#router(i);
    router.isUdpBlocked = isUdpBlocked;
    this.#applyRules(router);
  }

  #applyRules(router: Router): void {
    setRules(router.namespace, rulesFor(router));
  }

  #addNamespace(name: string): void {
    addNamespace(name);
    this.#namespaces.push(name);
    setKernelSettings(name, NO_IPV6);
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

function relayAddress(k: number): string {
  return `203.0.113.${10 + k}`;
}

function wanAddress(i: number): string {
  return `198.51.100.${i + 1}`;
}

function lanAddress(kind: HomeKind, i: number, host: number): string {
  return kind === 'open' ? `192.0.2.${16 * i + host}` : `192.168.${i + 1}.${host}`;
}

function prefixLength(kind: HomeKind): number {
  return kind === 'open' ? 28 : 24;
}

function wanRoutes(): string[] {
  return [`route add default via ${INTERNET_ADDRESS} dev wan onlink`];
}

/**
 * What comes from outside is dropped, not refused: an entry for the refusal would hold the port that the home is about to be given. Questions for names
 * are refused, as there is nobody to answer: a Firefox that waits for its resolver takes five seconds longer to end.
 */
function rulesFor({
  kind,
  isUdpBlocked,
  forwarded,
}: Omit<Router, 'namespace' | 'nextHost'>): string {
  const masquerade =
    kind === 'open'
      ? ''
      : `oifname "wan" masquerade ${kind === 'symmetric' ? 'random,fully-random' : ''}`;
  return `
    table inet lumamesh_firewall {
      chain input {
        type filter hook input priority 0; policy drop;
        ${kind === 'proxy' ? `iifname "lan" tcp dport ${PROXY_PORT} accept; iifname "wan" ct state established accept; iif "lo" accept` : ''}
      }
      chain forward {
        type filter hook forward priority 0; policy drop;
        iifname "lan" meta l4proto { tcp, udp } th dport 53 reject
        ${isUdpBlocked ? 'meta l4proto udp drop' : ''}
        ${kind === 'proxy' ? 'drop' : ''}
        ct state established,related accept
        ct status dnat accept
        ${kind === 'open' ? 'accept' : 'iifname "lan" oifname "wan" accept'}
      }
    }
    table ip lumamesh_nat {
      chain prerouting { type nat hook prerouting priority dstnat;
        ${forwarded === null ? '' : `iifname "wan" ${forwarded.port === null ? 'meta l4proto udp' : `udp dport ${forwarded.port}`} dnat to ${forwarded.address}`}
      }
      chain postrouting { type nat hook postrouting priority srcnat; ${masquerade}
      }
    }`;
}
