import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import {
  CHANNEL_ID,
  type DialledBack,
  LUMAMESH_CHANNEL,
  type RelayMessage,
  type SignedRelayRecord,
  fingerprintBytes,
  isOpenToAll,
  parseDialledBack,
  parseRecordJson,
  parseRelayMessage,
} from '@lumamesh/protocol';
import type { NegotiatedSecurity, SessionEvent } from '@lumamesh/transport';
import { UdpClient, monotonicNow } from '@lumamesh/transport/io';
import type { CheckResult } from '../../core/mesh/directory-output.ts';
import { machineSlowness } from './machine-speed.ts';

/**
 * How far a client came: its ICE credentials were answered, the certificate was the one of the
 * record, the node key too, and a room was joined.
 */
export type ProbeStage = 'ice' | 'dtls' | 'welcome' | 'join';

export interface ProbeReport {
  readonly result: CheckResult;
  /** Each stage that was reached, and how long after the start. */
  readonly stages: readonly { readonly stage: ProbeStage; readonly atMs: number }[];
  /** What DTLS has agreed on. */
  readonly negotiated: NegotiatedSecurity | null;
  /** Why it went no further. */
  readonly fault: string | null;
  /** It said nothing wrong, it said nothing more: it may be gone, or slow. */
  readonly isSilent: boolean;
  /** The record that the relay showed. */
  readonly shown: SignedRelayRecord | null;
  /** What it said when it was asked to dial back. */
  readonly dialledBack: DialledBack | null;
}

export interface ProbeOptions {
  /** Dialled instead of the record's address. */
  readonly address?: string;
  /** Joins an empty room, too. */
  readonly joins?: boolean;
  /** Asks to dial the relay of this record back, which is this machine's. */
  readonly dialBack?: SignedRelayRecord;
  /** What shows a private relay a token, by its challenge; without it none is shown. */
  readonly prove?: (challenge: string) => string;
  /** An address of this machine to come from. */
  readonly localAddress?: string;
  /** Nothing at all for this long means that nobody is there; on a slow machine, for longer. */
  readonly silenceMs?: number;
  /** Who has answered is given so long for the rest; on a slow machine, longer. */
  readonly answerMs?: number;
  /** Limits grow so many times at most. */
  readonly maxSlowness?: number;
  /** Whoever asks wants to know it no more: the result is `unknown`, and nothing stays open. */
  readonly signal?: AbortSignal;
}

const SILENCE_MS = 2000;
const ANSWER_MS = 6000;
/** A machine that has become so much slower is given the rest of what it is due. */
const WORTH_WAITING = 1.2;

/**
 * Whether a relay answers as its record says; `unknown` when this machine could not even ask. Never
 * rejects.
 */
export async function checkRelay(record: SignedRelayRecord): Promise<CheckResult> {
  return (await probeRelay(record)).result;
}

/**
 * Connects to a relay as a browser would: STUN with its credentials, DTLS to its fingerprint, and
 * the welcome that must show its node key (a record could name somebody else's address and
 * fingerprint). Never rejects.
 */
export async function probeRelay(
  record: SignedRelayRecord,
  options: ProbeOptions = {},
): Promise<ProbeReport> {
  const probe = new Probe(record, options);
  return probe.run();
}

class Probe {
  readonly #record: SignedRelayRecord;
  readonly #options: ProbeOptions;
  readonly #startedAt = monotonicNow();
  readonly #stages: { stage: ProbeStage; atMs: number }[] = [];
  readonly #done = Promise.withResolvers<readonly [CheckResult, string | null]>();
  #client: UdpClient | null = null;
  #shown: SignedRelayRecord | null = null;
  #dialledBack: DialledBack | null = null;
  #negotiated: NegotiatedSecurity | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isSilent = false;
  #hasEnded = false;

  constructor(record: SignedRelayRecord, options: ProbeOptions) {
    this.#record = record;
    this.#options = options;
  }

  async run(): Promise<ProbeReport> {
    const { silenceMs = SILENCE_MS, signal } = this.#options;
    const stop = (): void => this.#end('unknown', 'stopped');
    signal?.addEventListener('abort', stop);
    try {
      const slowness = await this.#slowness();
      signal?.throwIfAborted();
      this.#expect(silenceMs, slowness);
      await this.#dial();
      const [result, fault] = await this.#done.promise;
      await this.#client?.close();
      return { ...this.#seen, result, fault };
    } catch (error) {
      // No socket to be had, or one that would not close.
      return { ...this.#seen, result: 'unknown', fault: (error as Error).message };
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#end('unknown', null);
    }
  }

  async #dial(): Promise<void> {
    const { ip, port, ufrag, pwd, fingerprint } = this.#record;
    const { address = ip, localAddress } = this.#options;
    const certificateFingerprint = fingerprintBytes(fingerprint) ?? new Uint8Array(0);
    const server = { remote: { address, port }, ufrag, password: pwd, certificateFingerprint };
    this.#client = await UdpClient.toKnownServer(
      server,
      LUMAMESH_CHANNEL,
      (event) => this.#handleEvent(event),
      localAddress === undefined ? {} : { localAddress },
    );
  }

  /** A session gives up sooner than a slow machine is due: then another one begins. */
  async #dialAgain(): Promise<void> {
    try {
      await this.#client?.close();
      await this.#dial();
      if (this.#hasEnded) await this.#client?.close();
    } catch (error) {
      this.#end('unknown', (error as Error).message);
    }
  }

  get #seen(): Omit<ProbeReport, 'result' | 'fault'> {
    return {
      stages: this.#stages,
      shown: this.#shown,
      negotiated: this.#negotiated,
      isSilent: this.#isSilent,
      dialledBack: this.#dialledBack,
    };
  }

  #handleEvent(event: SessionEvent): void {
    if (event.type === 'closed') {
      const hasGivenUp = event.detail === 'noAnswer' || event.reason === 'handshakeTimeout';
      if (hasGivenUp && !this.#hasEnded) void this.#dialAgain();
      else this.#end('dead', `${event.reason}: ${event.detail}`);
    } else if (event.type === 'reachable') {
      // What is due is due from the first time on.
      if (this.#stages.length > 0) return;
      this.#reach('ice');
      void this.#expectAnswer();
    } else if (event.type === 'secure') {
      this.#negotiated = event.negotiated;
      this.#reach('dtls');
    } else if (event.type === 'message' && typeof event.data === 'string') {
      const message = parseRelayMessage(event.data);
      if (message.ok) return this.#handleMessage(message.value);
      const dialled = parseDialledBack(event.data);
      if (!dialled.ok || this.#options.dialBack === undefined) return;
      this.#dialledBack = dialled.value;
      this.#end('alive', null);
    }
  }

  #handleMessage(message: RelayMessage): void {
    if (message.action === 'welcome') {
      const shown = parseRecordJson(message.node);
      if (!shown.ok) return this.#end('dead', 'the record that it shows is malformed');
      this.#shown = shown.value;
      if (this.#shown.nk !== this.#record.nk) return this.#end('dead', 'it has another node key');
      this.#reach('welcome');
      const { dialBack: record, prove } = this.#options;
      if (!isOpenToAll(this.#shown)) {
        // It has shown that it is there, and does nothing more for who has no token.
        if (prove === undefined) return this.#end('alive', null);
        const proof = prove(message.challenge ?? '');
        this.#client?.send(CHANNEL_ID, JSON.stringify({ action: 'access', proof }));
      }
      if (record !== undefined) {
        this.#client?.send(CHANNEL_ID, JSON.stringify({ action: 'dial-back', record }));
        return void this.#expectAnswer();
      }
      if (this.#options.joins !== true) return this.#end('alive', null);
      this.#client?.send(
        CHANNEL_ID,
        JSON.stringify({ action: 'join', room: randomId(), peer: randomId() }),
      );
    } else if (message.action === 'joined') {
      this.#reach('join');
      this.#end('alive', null);
    } else if (message.action === 'error') {
      this.#end(
        message.code === 'RELAY_FULL' ? 'full' : 'dead',
        `${message.code}: ${message.message}`,
      );
    }
  }

  #reach(stage: ProbeStage): void {
    this.#stages.push({ stage, atMs: monotonicNow() - this.#startedAt });
  }

  async #slowness(): Promise<number> {
    return Math.min(this.#options.maxSlowness ?? Infinity, await machineSlowness());
  }

  async #expectAnswer(): Promise<void> {
    this.#expect(this.#options.answerMs ?? ANSWER_MS, await this.#slowness());
  }

  /** Ends after a silence of so many milliseconds times how much slower this machine is. */
  #expect(idleMs: number, slowness: number): void {
    if (this.#hasEnded) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const limitMs = idleMs * slowness;
    const timer = setTimeout(() => void this.#judge(timer, idleMs, slowness), limitMs);
    this.#timer = timer;
  }

  /**
   * Before a relay is called silent: whether this machine has become slower meanwhile, or has only
   * not come round to reading what is there.
   */
  async #judge(timer: NodeJS.Timeout, idleMs: number, before: number): Promise<void> {
    const slowness = await this.#slowness();
    await turn();
    if (this.#timer !== timer) return;
    if (slowness > before * WORTH_WAITING) return this.#expect(idleMs, slowness - before);
    this.#isSilent = true;
    const seconds = Math.round((idleMs * slowness) / 100) / 10;
    this.#end('dead', `no answer within ${seconds} s`);
  }

  #end(result: CheckResult, fault: string | null): void {
    this.#hasEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#done.resolve([result, fault]);
  }
}

function randomId(): string {
  return randomBytes(32).toString('base64url');
}
