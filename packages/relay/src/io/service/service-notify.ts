import { spawn } from 'node:child_process';
import type { Logger } from '../log.ts';

/** As long as a machine that is emulated, or overrun, needs to start a small program; less than half a watchdog. */
const NOTIFY_TIMEOUT_MS = 25_000;
const MICROSECONDS = 1000;
const ALIVE = 'WATCHDOG=1';

interface Saying {
  readonly assignments: readonly string[];
  readonly handleSaid: () => void;
}

/**
 * Tells systemd how the service is (sd_notify(3)). Node has no datagram sockets of the AF_UNIX
 * family, so systemd's own program says it: the unit needs `NotifyAccess=all`. Without
 * NOTIFY_SOCKET all of this does nothing.
 */
export class ServiceNotify {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #log: Logger;
  #watchdog: NodeJS.Timeout | null = null;
  #hasFailed = false;
  readonly #waiting: Saying[] = [];
  #isSaying = false;

  constructor(environment: NodeJS.ProcessEnv, log: Logger) {
    this.#environment = environment;
    this.#log = log;
  }

  /** Whether there is somebody to be told. */
  get hasManager(): boolean {
    return this.#environment['NOTIFY_SOCKET'] !== undefined;
  }

  /** The interval within which systemd wants to hear of us, or `null` when it does not. */
  get watchdogMs(): number | null {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = this.#environment;
    const isForUs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
    return NOTIFY_SOCKET !== undefined && isForUs && Number(WATCHDOG_USEC) > 0
      ? Number(WATCHDOG_USEC) / MICROSECONDS
      : null;
  }

  /** @returns When systemd has been told, as far as it can be. Never rejects. */
  async ready(status: string): Promise<void> {
    // A process that takes over is watched from the last sign of life of the one before.
    return this.#say('READY=1', ALIVE, `MAINPID=${process.pid}`, `STATUS=${status}`);
  }

  status(text: string): void {
    void this.#say(`STATUS=${text}`);
  }

  reloading(): void {
    void this.#say('RELOADING=1');
  }

  stopping(): void {
    void this.#say('STOPPING=1');
    this.stopWatchdog();
  }

  /**
   * From now on systemd hears of us twice in its interval, as long as the event loop turns; it
   * restarts a service that falls silent.
   */
  startWatchdog(): void {
    const ms = this.watchdogMs;
    if (ms === null) return;
    this.#watchdog = setInterval(() => {
      // One that waits already is enough.
      if (!this.#waiting.some(({ assignments }) => assignments[0] === ALIVE)) void this.#say(ALIVE);
    }, ms / 2);
    this.#watchdog.unref();
  }

  stopWatchdog(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#watchdog = null;
  }

  /**
   * One after the other: a READY=1 that overtook its RELOADING=1 would leave the service reloading
   * for ever.
   */
  async #say(...assignments: string[]): Promise<void> {
    if (!this.hasManager) return;
    return new Promise((resolve) => {
      this.#waiting.push({ assignments, handleSaid: resolve });
      if (!this.#isSaying) this.#sayNext();
    });
  }

  #sayNext(): void {
    const saying = this.#waiting.shift();
    this.#isSaying = saying !== undefined;
    if (saying === undefined) return;
    const child = spawn('systemd-notify', saying.assignments, {
      timeout: NOTIFY_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      env: this.#environment,
      stdio: 'ignore',
    });
    // A stop does not wait for it.
    child.unref();
    child.once('error', (error) => this.#complain(error.message));
    child.once('exit', (code, signal) => {
      // A stop of the service ends all its processes, this one as well: no fault of it.
      if (code !== 0 && signal !== 'SIGTERM') this.#complain(`it ended with ${signal ?? code}`);
    });
    // Behind either of them.
    child.once('close', () => {
      saying.handleSaid();
      this.#sayNext();
    });
  }

  #complain(error: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#log.warn(
      { error },
      'systemd-notify does not work: systemd cannot be told how the relay is, and may take it for dead',
    );
  }
}
