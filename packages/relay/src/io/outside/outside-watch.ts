import { networkInterfaces } from 'node:os';
import { isWildcard, scopeOf } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { Alarm, monotonicNow } from '@lumamesh/transport/io';
import {
  type AskResult,
  type OutsideState,
  type OutsideVerdict,
  type OutsideWitness,
  Reachability,
  type ReachabilityOutput,
} from '../../core/reachability.ts';
import type { Logger } from '../log.ts';
import { askToDialBack } from './dial-back.ts';

/** Nothing is looked up for each of a thousand sessions. */
const SEEN_AGAIN_MS = 60_000;

/** What `/statsz` tells of it. */
export interface OutsideStats {
  readonly verdict: OutsideVerdict;
  readonly by: OutsideWitness | null;
  /** Since it was last seen to be so. */
  readonly ageSeconds: number | null;
  /** What the world sees this relay at, where that is not what its record says. */
  readonly elsewhere: string | null;
  /** Relays that there are to ask. */
  readonly helpers: number;
}

export const NOT_LOOKED_AT: OutsideStats = {
  verdict: 'unknown',
  by: null,
  ageSeconds: null,
  elsewhere: null,
  helpers: 0,
};

export interface OutsideWatchOptions {
  readonly log: Logger;
  /** Our record of now. */
  readonly record: () => SignedRelayRecord;
  /** Relays that may be asked now. */
  readonly helpers: () => readonly SignedRelayRecord[];
  /** What the relay listens on; it asks from there as well. */
  readonly listenIp: string | undefined;
  readonly ask?: typeof askToDialBack;
}

/**
 * {@link Reachability} with its sockets: whether anybody gets in from outside, in the log and for
 * `/statsz`. Where the record's address is of this machine or network only, nothing is asked of
 * strangers.
 */
export class OutsideWatch {
  readonly #options: OutsideWatchOptions;
  readonly #machine: Reachability;
  readonly #alarm = new Alarm(() => this.#drive(() => undefined));
  #helpers: readonly SignedRelayRecord[] = [];
  #isDraining = false;
  /** Of the questions that are asked until {@link stop}. */
  #stopping = new AbortController();

  constructor(options: OutsideWatchOptions) {
    this.#options = options;
    this.#machine = new Reachability(monotonicNow(), {
      address: options.record().ip,
      random: Math.random,
    });
  }

  /** Also after {@link stop}. */
  start(): void {
    this.#stopping = new AbortController();
    this.#drive(() => undefined);
  }

  stop(): void {
    this.#stopping.abort();
    this.#alarm.clear();
  }

  get stats(): OutsideStats {
    const { verdict, by, at, elsewhere, helpers } = this.#machine.state;
    const ageSeconds = at === null ? null : Math.floor((monotonicNow() - at) / 1000);
    return { verdict, by, ageSeconds, elsewhere, helpers };
  }

  /**
   * A session was opened; those from this very machine, or its network, say nothing, nor do those
   * of the other IP about the record's address.
   */
  handleSession(address: string): void {
    const { verdict, at } = this.#machine.state;
    if (verdict === 'reached' && at !== null && monotonicNow() - at < SEEN_AGAIN_MS) return;
    const { ip, ip6 } = this.#options.record();
    if (scopeOf(address) !== 'public' || address === ip || address === ip6) return;
    if (address.includes(':') !== ip.includes(':')) return;
    if (isOwn(address)) return;
    this.#drive((machine) => machine.handleStranger(monotonicNow()));
  }

  /** Looks now. */
  recheck(): void {
    this.#drive((machine) => machine.handleRecheck(monotonicNow()));
  }

  /** The record names another address now. */
  handleRecord({ ip }: SignedRelayRecord): void {
    this.#drive((machine) => machine.setAddress(monotonicNow(), ip));
  }

  #drive(command: (machine: Reachability) => void): void {
    if (this.#stopping.signal.aborted) return;
    const machine = this.#machine;
    const now = monotonicNow();
    if (machine.deadline !== null && machine.deadline <= now && !this.#isDraining) {
      this.#helpers = this.#findHelpers();
      machine.setHelpers(this.#helpers.map(({ nk }) => nk));
    }
    machine.handleTimeout(now);
    command(machine);
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let output = machine.poll(); output !== null; output = machine.poll())
        this.#perform(output);
    } finally {
      this.#isDraining = false;
    }
    this.#alarm.set(machine.deadline);
  }

  #findHelpers(): readonly SignedRelayRecord[] {
    const { nk, ip } = this.#options.record();
    const scope = scopeOf(ip);
    return this.#options
      .helpers()
      .filter((helper) => helper.nk !== nk && (scope === 'public' || scopeOf(helper.ip) === scope));
  }

  #perform(output: ReachabilityOutput): void {
    if (output.type === 'verdict') return this.#tell(output.state);
    const helper = this.#helpers[output.helper];
    const { ask = askToDialBack, record, listenIp } = this.#options;
    const from = listenIp === undefined || isWildcard(listenIp) ? undefined : listenIp;
    const answer: Promise<AskResult> =
      helper === undefined
        ? Promise.resolve({ type: 'noAnswer' })
        : ask(helper, record(), from, this.#stopping.signal);
    void answer.then((result) =>
      this.#drive((machine) => machine.handleAnswer(monotonicNow(), result)),
    );
  }

  #tell({ verdict, by, elsewhere, answered, helpers }: OutsideState): void {
    const { log, record } = this.#options;
    const { ip, port } = record();
    if (verdict === 'reached') {
      log.info({ by }, 'reachable from outside: excellent');
    } else if (verdict === 'unreached') {
      log.warn(
        { address: `${ip}:${port}`, relays: answered },
        `not reachable from outside: relays that were asked found nobody at ${ip}, port ${port}: let UDP ${port} through the firewall, behind NAT forward it to this machine, and see whether PUBLIC_IP is right`,
      );
    } else if (elsewhere !== null) {
      log.warn(
        { publicIp: ip, seenAt: elsewhere },
        'whether this relay is reachable from outside is not known: other relays see this machine at another address than PUBLIC_IP says',
      );
    } else
      log.info(
        { helpers },
        helpers === 0
          ? 'whether this relay is reachable from outside is not known yet: there is no relay to ask (REACHABILITY_RELAYS), and nobody has come in'
          : 'whether this relay is reachable from outside is not known yet: no relay that was asked has answered',
      );
  }
}

function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some(
    (list) => list?.some((one) => one.address === address) === true,
  );
}
