import { randomBytes } from 'node:crypto';
import {
  CHANNEL_ID,
  LUMAMESH_CHANNEL,
  type RelayMessage,
  type SignedRelayRecord,
  fingerprintBytes,
  parseRecordJson,
  parseRelayMessage,
} from '@lumamesh/protocol';
import type { NegotiatedSecurity, SessionEvent } from '@lumamesh/transport';
import { UdpClient, monotonicNow } from '@lumamesh/transport/io';
import type { CheckResult } from '../../core/mesh/directory-output.ts';

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
  /** The record that the relay showed. */
  readonly shown: SignedRelayRecord | null;
}

export interface ProbeOptions {
  /** Dialled instead of the record's address. */
  readonly address?: string;
  /** Joins an empty room, too. */
  readonly joins?: boolean;
  /** Nothing at all for this long means that nobody is there. */
  readonly silenceMs?: number;
}

const SILENCE_MS = 2000;
/** Who has answered is given longer for the rest. */
const PROBE_TIMEOUT_MS = 6000;

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
  #negotiated: NegotiatedSecurity | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(record: SignedRelayRecord, options: ProbeOptions) {
    this.#record = record;
    this.#options = options;
  }

  async run(): Promise<ProbeReport> {
    const { ip, port, ufrag, pwd, fingerprint } = this.#record;
    const { address = ip, silenceMs = SILENCE_MS } = this.#options;
    this.#expect(silenceMs, 'nothing was heard');
    const certificateFingerprint = fingerprintBytes(fingerprint) ?? new Uint8Array(0);
    try {
      const server = { remote: { address, port }, ufrag, password: pwd, certificateFingerprint };
      this.#client = await UdpClient.toKnownServer(server, LUMAMESH_CHANNEL, (event) =>
        this.#handleEvent(event),
      );
      const [result, fault] = await this.#done.promise;
      await this.#client.close();
      return { ...this.#seen, result, fault };
    } catch (error) {
      // No socket to be had, or one that would not close.
      return { ...this.#seen, result: 'unknown', fault: (error as Error).message };
    } finally {
      if (this.#timer !== null) clearTimeout(this.#timer);
    }
  }

  get #seen(): Pick<ProbeReport, 'stages' | 'shown' | 'negotiated'> {
    return { stages: this.#stages, shown: this.#shown, negotiated: this.#negotiated };
  }

  #handleEvent(event: SessionEvent): void {
    if (event.type === 'closed') this.#end('dead', `${event.reason}: ${event.detail}`);
    else if (event.type === 'reachable') {
      this.#reach('ice');
      this.#expect(PROBE_TIMEOUT_MS, 'it fell silent');
    } else if (event.type === 'secure') {
      this.#negotiated = event.negotiated;
      this.#reach('dtls');
    } else if (event.type === 'message' && typeof event.data === 'string') {
      const message = parseRelayMessage(event.data);
      if (message.ok) this.#handleMessage(message.value);
    }
  }

  #handleMessage(message: RelayMessage): void {
    if (message.action === 'welcome') {
      const shown = parseRecordJson(message.node);
      if (!shown.ok) return this.#end('dead', 'the record that it shows is malformed');
      this.#shown = shown.value;
      if (this.#shown.nk !== this.#record.nk) return this.#end('dead', 'it has another node key');
      this.#reach('welcome');
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

  #expect(ms: number, fault: string): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end('dead', fault), ms);
  }

  #end(result: CheckResult, fault: string | null): void {
    this.#done.resolve([result, fault]);
  }
}

function randomId(): string {
  return randomBytes(32).toString('base64url');
}
