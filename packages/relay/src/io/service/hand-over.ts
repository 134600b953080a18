import { type ChildProcess, spawn } from 'node:child_process';
import { isSea } from 'node:sea';

/*
 * How one process of a relay takes over from another (ADR 88). The old one starts the new one, which
 * does all that takes time; then the old one lets go of ports and identity, and the new one takes
 * them. They talk over the channel that Node makes between a process and its child.
 *
 *   new → old  prepared   settings and identity are read, the code is warm
 *   old → new  go         ports, identity and files are free
 *   new → old  up         it serves, and whoever watches the service knows its process
 */
type Word = 'prepared' | 'go' | 'up';

/** Told to the new process, and to none that it starts. */
const VARIABLE = 'LUMAMESH_HAND_OVER';

/** The old process's view of the new one. */
export class Successor {
  readonly #child: ChildProcess;
  readonly #said = new Set<unknown>();
  #hasEnded = false;
  #wake: () => void = () => undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (word) => this.#note(() => this.#said.add(word)));
    child.once('exit', () => this.#note(() => (this.#hasEnded = true)));
    child.once('error', () => this.#note(() => (this.#hasEnded = true)));
  }

  /** Starts the program that is installed now, with this one's parameters. */
  static start(): Successor {
    const { WATCHDOG_PID: _, ...environment } = process.env;
    const parameters = isSea()
      ? process.argv.slice(2)
      : [...process.execArgv, ...process.argv.slice(1)];
    const child = spawn(process.execPath, parameters, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...environment, [VARIABLE]: '1' },
    });
    return new Successor(child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it says this within so long, and before it ends. */
  async says(word: Word, limitMs: number): Promise<boolean> {
    let isLate = false;
    const timer = setTimeout(() => this.#note(() => (isLate = true)), limitMs);
    while (!this.#said.has(word) && !this.#hasEnded && !isLate)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    clearTimeout(timer);
    return this.#said.has(word);
  }

  go(): void {
    // Whether it has heard it shows by what it says.
    if (this.#child.connected) this.#child.send('go' satisfies Word, () => undefined);
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }

  #note(change: () => void): void {
    change();
    this.#wake();
  }
}

/** The new process's view of the old one. */
export class Predecessor {
  /** `null` where this process takes over from nobody. */
  static find(): Predecessor | null {
    if (process.env[VARIABLE] === undefined) return null;
    delete process.env[VARIABLE];
    return process.send === undefined ? null : new Predecessor();
  }

  /** Tells that all is prepared, and waits. Ends the process where the old one ends instead. */
  async turn(): Promise<void> {
    const end = (): void => process.exit(1);
    process.once('disconnect', end);
    await new Promise<void>((resolve) => {
      process.on('message', (word) => {
        if (word === ('go' satisfies Word)) resolve();
      });
      process.send?.('prepared' satisfies Word);
    });
    process.off('disconnect', end);
  }

  /** Tells that it serves; the old one ends then. */
  up(): void {
    if (!process.connected) return;
    process.send?.('up' satisfies Word);
    // What was sent before is sent.
    process.disconnect?.();
  }
}
