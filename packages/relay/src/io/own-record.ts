import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { RelayConfig } from './config/config.ts';
import type { Identity } from './identity.ts';
import type { Logger } from './log.ts';
import { RECORD_RENEWAL_MS, type RecordPlace, makeRecord } from './record.ts';

/** Our record is signed anew at most this often when others show a newer one of ours. */
const MIN_RENEWAL_MS = 60_000;
const UNPROVEN_NOTICE_MS = 10 * 60_000;

/** A clock that is set, or a machine that has slept, takes a new record within this. */
const LOOK_MS = 60_000;
const CLOCK_STEP_MS = 60_000;

export interface TwoClocks {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** Whether the time of day has gone another way than time has. */
export function isClockSet(before: TwoClocks, now: TwoClocks): boolean {
  const gone = now.wallMs - before.wallMs;
  return Math.abs(gone - (now.monotonicMs - before.monotonicMs)) > CLOCK_STEP_MS;
}

/** This relay's record: signed now and then, and what other relays make known about it. */
export class OwnRecord {
  readonly #identity: Identity;
  readonly #log: Logger;
  readonly #onRenewed: (record: SignedRelayRecord) => void;
  #config: RelayConfig;
  readonly #place: RecordPlace;
  #current: SignedRelayRecord;
  #renewal: NodeJS.Timeout | null = null;
  #looked: TwoClocks = { wallMs: Date.now(), monotonicMs: performance.now() };
  #renewedAtMs = 0;
  #conflicts = 0;
  #conflictAtMs: number | null = null;
  #unprovenAtMs: number | null = null;

  private constructor(
    config: RelayConfig,
    identity: Identity,
    place: RecordPlace,
    log: Logger,
    onRenewed: (record: SignedRelayRecord) => void,
    record: SignedRelayRecord,
  ) {
    this.#config = config;
    this.#identity = identity;
    this.#place = place;
    this.#log = log;
    this.#onRenewed = onRenewed;
    this.#current = record;
  }

  /** Signs the first record. Rejects when the configured place has no address. */
  static async make(
    config: RelayConfig,
    identity: Identity,
    place: RecordPlace,
    log: Logger,
    onRenewed: (record: SignedRelayRecord) => void,
  ): Promise<OwnRecord> {
    const record = await makeRecord(config, identity, place, Date.now(), 0);
    return new OwnRecord(config, identity, place, log, onRenewed, record);
  }

  get current(): SignedRelayRecord {
    return this.#current;
  }

  /** Times another relay was seen that runs with our key. */
  get conflicts(): number {
    return this.#conflicts;
  }

  /** Since the last of them; `null` when there was none. */
  get conflictAgeMs(): number | null {
    return this.#conflictAtMs === null ? null : Date.now() - this.#conflictAtMs;
  }

  /** Signs a new record every day from now on, and when the clock was set. */
  startRenewing(): void {
    this.#renewal = setInterval(() => {
      const sinceSigned = Date.now() - this.#current.sequence * 1000;
      const wasSet = isClockSet(this.#looked, {
        wallMs: Date.now(),
        monotonicMs: performance.now(),
      });
      this.#looked = { wallMs: Date.now(), monotonicMs: performance.now() };
      if (wasSet || sinceSigned >= RECORD_RENEWAL_MS) void this.#renew();
    }, LOOK_MS).unref();
  }

  stop(): void {
    if (this.#renewal !== null) clearInterval(this.#renewal);
  }

  /**
   * Signs a record by other settings, which is then to be {@link adopt}ed. Rejects as {@link make}.
   */
  async draft(config: RelayConfig): Promise<SignedRelayRecord> {
    return makeRecord(config, this.#identity, this.#place, Date.now(), this.#current.sequence);
  }

  /** Other settings from now on, with the record drafted by them where the place is another. */
  adopt(config: RelayConfig, record: SignedRelayRecord | null): void {
    this.#config = config;
    if (record !== null) this.#set(record);
  }

  /** The mistake that new operators make: an address or a firewall that lets nobody in. */
  handleUnproven(relay: string): void {
    if (this.#unprovenAtMs !== null && Date.now() - this.#unprovenAtMs < UNPROVEN_NOTICE_MS) return;
    this.#unprovenAtMs = Date.now();
    const { ip, port } = this.#current;
    this.#log.warn(
      { relay, address: `${ip}:${port}` },
      'another relay could not reach this one over UDP and does not take it in: check PUBLIC_IP, and that the firewall lets UDP_PORT through',
    );
  }

  /** Somebody has a newer record of ours than we have: of this very place, or of somewhere else. */
  handleNewer(record: SignedRelayRecord, isElsewhere: boolean): void {
    if (Date.now() - this.#renewedAtMs < MIN_RENEWAL_MS) return;
    if (!isElsewhere) {
      // Our clock was set back: go on behind what is known.
      void this.#renew(record.sequence);
      return;
    }
    this.#renewedAtMs = Date.now();
    this.#conflicts += 1;
    this.#conflictAtMs = Date.now();
    this.#log.error(
      { nodeId: record.nk, elsewhere: `${record.ip}:${record.port}` },
      'another relay runs with our NODE_KEY, and the network believes the newer record: give one of the two a key of its own',
    );
  }

  async #renew(lastSequence = 0): Promise<void> {
    this.#renewedAtMs = Date.now();
    try {
      const sequence = Math.max(lastSequence, this.#current.sequence);
      this.#set(await makeRecord(this.#config, this.#identity, this.#place, Date.now(), sequence));
    } catch (error) {
      this.#log.error(
        { error: (error as Error).message },
        'the record could not be signed anew; the old one holds',
      );
    }
  }

  #set(record: SignedRelayRecord): void {
    this.#current = record;
    this.#onRenewed(record);
  }
}
