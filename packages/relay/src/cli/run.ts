import { isDeepStrictEqual } from 'node:util';
import type { Command } from 'commander';
import { encodeRecordLine } from '@lumamesh/protocol';
import { BUILD } from '../io/build-info.ts';
import { type RelayConfig, listSettings, readConfig } from '../io/config/config.ts';
import { HealthMonitor } from '../io/health/health-monitor.ts';
import { HealthServer } from '../io/health/health-server.ts';
import { identityFiles, loadIdentity } from '../io/identity.ts';
import { type RelayLogger, makeLogger } from '../io/log.ts';
import { RelayServer } from '../io/relay-server.ts';
import { watchHost } from '../io/service/host-watch.ts';
import { Predecessor, Successor } from '../io/service/hand-over.ts';
import { type InstanceLock, lockIdentity } from '../io/service/instance-lock.ts';
import { ServiceNotify } from '../io/service/service-notify.ts';
import { say, sourcesOf } from './context.ts';
import { startCard } from './start-card.ts';

/**
 * Sessions are given so long to go elsewhere; then all is closed, and the process ends after
 * STOP_MS at the latest.
 */
const MOVE_ON_MS = 3000;
const STOP_MS = 4800;
/** A small machine may take so long to start the program. */
const PREPARE_MS = 120_000;
/** Clients leave when they hear of it; whom the news does not reach in this time learns it later. */
const HAND_OVER_MS = 300;
const TAKE_OVER_MS = 20_000;

/**
 * `lumamesh-relay`: runs the relay until SIGTERM or SIGINT. SIGHUP reads the settings again, SIGUSR2
 * hands over to the program that is installed now.
 */
export async function run(command: Command): Promise<void> {
  // Until the relay is up there is nothing to be read again, and nothing to end for.
  process.on('SIGHUP', () => undefined);
  process.on('SIGUSR2', () => undefined);
  const predecessor = Predecessor.find();
  const config = readConfig(sourcesOf(command));
  const log = await makeLogger(config);
  const identity = await loadIdentity(identityFiles(config));
  if (predecessor !== null) {
    await RelayServer.prepare(config, identity);
    await predecessor.turn();
  }
  const unlock = await lockIdentity(identity, config.nodeKey);
  const relay = await RelayServer.start(config, log, identity, predecessor !== null);
  const running = new RunningRelay(command, config, relay, log, unlock);
  await running.start();
  predecessor?.up();
}

class RunningRelay {
  readonly #command: Command;
  readonly #relay: RelayServer;
  readonly #log: RelayLogger;
  readonly #unlock: InstanceLock;
  readonly #notify: ServiceNotify;
  /** What takes a restart is compared with this. */
  readonly #atStart: RelayConfig;
  #config: RelayConfig;
  #monitor: HealthMonitor | null = null;
  #health: HealthServer | null = null;
  #endHostWatch: () => void = () => undefined;
  #isStopping = false;
  #isHandingOver = false;
  /** One after the other. */
  #reloads = Promise.resolve();

  constructor(
    command: Command,
    config: RelayConfig,
    relay: RelayServer,
    log: RelayLogger,
    unlock: InstanceLock,
  ) {
    this.#command = command;
    this.#atStart = config;
    this.#config = config;
    this.#relay = relay;
    this.#log = log;
    this.#unlock = unlock;
    this.#notify = new ServiceNotify(process.env, log);
  }

  get #whereabouts(): string {
    return `browsers dial ${this.#config.publicIp}:${this.#relay.record.port} over UDP`;
  }

  async start(): Promise<void> {
    const { healthListen, publicIp } = this.#config;
    if (healthListen !== undefined) this.#monitor = new HealthMonitor(this.#relay);
    await this.#startHealth(healthListen);
    const { record } = this.#relay;
    // Standard output holds exactly these two lines: JSON for programs, and what goes into
    // relay.txt.
    say(JSON.stringify(record));
    say(encodeRecordLine(record));
    this.#log.info(
      {
        nodeId: record.nk,
        port: record.port,
        dualStack: this.#relay.isDualStack,
        version: BUILD.version,
        commit: BUILD.commit,
      },
      `relay is up: ${this.#whereabouts}`,
    );
    this.#tellOfTokens(this.#config);
    if (publicIp === '127.0.0.1')
      this.#log.warn(
        {},
        'PUBLIC_IP is 127.0.0.1: only browsers on this machine can reach the relay, and Firefox not even those',
      );
    // Who starts it by hand is told what to do next; a log has no use for that.
    if (process.stderr.isTTY)
      process.stderr.write(
        `${startCard({ record, version: BUILD.version, health: healthListen }).join('\n')}\n`,
      );
    process.on('SIGINT', () => this.#stop('SIGINT'));
    process.on('SIGTERM', () => this.#stop('SIGTERM'));
    process.on('SIGHUP', () => {
      this.#reloads = this.#reloads.then(() => this.#reload());
    });
    process.on('SIGUSR2', () => void this.#handOver());
    this.#endHostWatch = watchHost(() => this.#config, this.#log);
    await this.#notify.ready(this.#whereabouts);
    // An event loop that stands still says nothing. Whatever else is not well (a firewall, a flood)
    // would be there after a restart, too, and the sessions gone.
    this.#notify.startWatchdog();
  }

  /** One line: that the relay is private is seen in the journal as well. */
  #tellOfTokens({ accessTokens }: RelayConfig): void {
    if (accessTokens === undefined) return;
    const tokens = accessTokens.length;
    if (tokens > 0)
      this.#log.info({ tokens }, 'the relay is private: it lets in who shows a token');
    else this.#log.warn({ tokens }, 'the relay is private and has no token: it lets nobody in');
  }

  /**
   * Without the health server that was asked for there is no relay either: a watcher would take it
   * for dead.
   */
  async #startHealth(listen: RelayConfig['healthListen']): Promise<void> {
    if (listen === undefined || this.#monitor === null) return;
    try {
      this.#health = await HealthServer.start(this.#relay, this.#monitor, listen, this.#log);
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  #stop(signal: string): void {
    if (this.#isStopping) {
      this.#log.warn({ signal }, 'asked to stop again: stopping at once');
      process.exit(0);
    }
    this.#isStopping = true;
    this.#notify.stopping();
    // Whatever hangs below: systemd's patience, and the operator's, end.
    setTimeout(() => process.exit(0), STOP_MS).unref();
    void this.#drainAndClose(signal);
  }

  async #drainAndClose(signal: string): Promise<void> {
    const { sessions } = this.#relay.stats();
    this.#log.info(
      { signal, sessions: sessions.established },
      'stopping: sessions are told to go on by another relay',
    );
    const left = await this.#relay.moveSessionsOn(MOVE_ON_MS);
    await this.#close();
    this.#log.info({ sessionsLeft: left }, 'stopped');
  }

  /**
   * To a new process of the program that is installed now. Until that one is prepared nothing is
   * given up: where it does not start, this one goes on.
   */
  async #handOver(): Promise<void> {
    if (this.#isStopping || this.#isHandingOver) return;
    if (!this.#notify.hasManager || process.pid === 1)
      return this.#log.warn(
        {},
        'SIGUSR2: only a service of systemd goes on by another process; restart the relay instead',
      );
    this.#isHandingOver = true;
    const successor = await this.#successor();
    if (successor === null || this.#isStopping) {
      successor?.end();
      this.#isHandingOver = false;
      // Whoever has asked tells this time from the last by it.
      const at = new Date().toISOString();
      this.#notify.status(`the new program did not start at ${at}; ${this.#whereabouts}`);
      return this.#log.error({}, 'the new program did not start: this one goes on');
    }
    this.#isStopping = true;
    // Signs of life go on meanwhile: the new process gives its first when it serves. Whatever hangs
    // below ends both, and the service manager starts the service anew.
    setTimeout(() => {
      successor.end();
      process.exit(1);
    }, STOP_MS + TAKE_OVER_MS).unref();
    this.#log.info({ to: successor.pid }, 'handing over: sessions are told to dial again');
    const left = await this.#relay.handSessionsOver(HAND_OVER_MS);
    await this.#close();
    successor.go();
    const isUp = await successor.says('up', TAKE_OVER_MS);
    // Else the service manager sees an end, and starts the service anew.
    if (!isUp) successor.end();
    this.#log[isUp ? 'info' : 'error'](
      { sessionsLeft: left },
      isUp ? 'handed over' : 'the new process did not take over',
    );
    process.exit(isUp ? 0 : 1);
  }

  /** A new process that is prepared, with the settings of now; `null` where it does not start. */
  async #successor(): Promise<Successor | null> {
    for (;;) {
      const reloads = this.#reloads;
      const successor = Successor.start();
      const isPrepared = await successor.says('prepared', PREPARE_MS);
      // A token that was taken back meanwhile must not hold again.
      await this.#reloads;
      const isOfBefore = this.#reloads !== reloads;
      if (isPrepared && !isOfBefore) return successor;
      successor.end();
      if (!isOfBefore || this.#isStopping) return null;
      this.#log.info({}, 'settings were read again meanwhile: the new program starts anew');
    }
  }

  async #close(): Promise<void> {
    this.#endHostWatch();
    this.#monitor?.stop();
    this.#health?.close();
    await this.#relay.close();
    await this.#unlock();
  }

  /** Takes over what a running relay can; what is wrong changes nothing. */
  async #reload(): Promise<void> {
    if (this.#isStopping) return;
    this.#notify.reloading();
    try {
      const next = readConfig(sourcesOf(this.#command));
      const changed = listSettings().filter(
        ({ name, isReloadable }) =>
          isReloadable && !isDeepStrictEqual(next[name], this.#config[name]),
      );
      const needRestart = listSettings().filter(
        ({ name, isReloadable }) =>
          !isReloadable && !isDeepStrictEqual(next[name], this.#atStart[name]),
      );
      await this.#relay.reload(next);
      this.#log.setLevel(next.logLevel);
      if (this.#config.accessTokens !== undefined && next.accessTokens === undefined)
        this.#log.warn({}, 'the relay is private no more: it lets in everybody');
      this.#config = next;
      this.#tellOfTokens(next);
      this.#log.info(
        { changed: changed.map(({ variable }) => variable) },
        'settings were read again',
      );
      if (needRestart.length > 0)
        this.#log.warn(
          { settings: needRestart.map(({ variable }) => variable) },
          'these settings take a restart',
        );
    } catch (error) {
      this.#log.error(
        { error: (error as Error).message },
        'settings could not be read again; the old ones hold',
      );
    }
    void this.#notify.ready(this.#whereabouts);
  }
}
