import type { SessionId } from '@lumamesh/transport';
import type { UdpEndpoint } from '@lumamesh/transport/io';
import type { RelayCore } from '../core/relay-core.ts';
import type { Logger } from './log.ts';
import type { OutsideWatch } from './outside/outside-watch.ts';
import type { RelaySessions } from './relay-sessions.ts';

const MESH_AGAIN_MS = 60_000;

export interface RestingOptions {
  readonly udp: UdpEndpoint;
  readonly core: RelayCore<SessionId>;
  readonly sessions: RelaySessions;
  readonly outside: Pick<OutsideWatch, 'start' | 'stop' | 'recheck'>;
  readonly log: Logger;
  /** How long sessions have to go elsewhere before they are closed. */
  readonly moveOnMs: number;
  /** Leaves the mesh, as on stopping. */
  readonly leaveMesh: () => Promise<void>;
  readonly enterMesh: () => Promise<void>;
}

/**
 * A relay that rests: nobody new is answered, those who are there are told to go on by another
 * relay, and other relays hear its goodbye; the process stays. Then it goes on as if it had just
 * been started.
 */
export class Resting {
  readonly #options: RestingOptions;
  #isWanted = false;
  #isResting = false;
  #isStopped = false;
  #meshAgain: NodeJS.Timeout | null = null;
  /** One change after the other. */
  #changes: Promise<void> = Promise.resolve();

  constructor(options: RestingOptions) {
    this.#options = options;
  }

  /** @returns When that is so. Never rejects. */
  async set(isResting: boolean): Promise<void> {
    this.#isWanted = isResting;
    this.#changes = this.#changes.then(async () => {
      if (this.#isStopped || this.#isWanted === this.#isResting) return;
      this.#isResting = this.#isWanted;
      await (this.#isResting ? this.#rest() : this.#goOn());
    });
    return this.#changes;
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#meshAgain !== null) clearTimeout(this.#meshAgain);
  }

  async #rest(): Promise<void> {
    const { udp, sessions, outside, moveOnMs, leaveMesh } = this.#options;
    udp.endpoint.setResting(true);
    outside.stop();
    await sessions.moveOn(moveOnMs);
    if (this.#isStopped) return;
    udp.closeSessions();
    await leaveMesh();
  }

  async #goOn(): Promise<void> {
    const { udp, core, sessions, outside } = this.#options;
    await this.#enterMesh();
    if (this.#isStopped) return;
    sessions.drive(() => core.handleReopened());
    udp.endpoint.setResting(false);
    outside.start();
    outside.recheck();
  }

  /** A port that is taken meanwhile keeps nobody out but other relays. */
  async #enterMesh(): Promise<void> {
    const { enterMesh, log } = this.#options;
    try {
      await enterMesh();
    } catch (error) {
      log.error(
        { error: (error as Error).message },
        'the mesh could not be entered again; it is tried every minute',
      );
      this.#meshAgain = setTimeout(() => {
        if (!this.#isResting && !this.#isStopped) void this.#enterMesh();
      }, MESH_AGAIN_MS).unref();
    }
  }
}
