import { setTimeout as sleep } from 'node:timers/promises';
import { addressPrefix } from '@lumamesh/base';
import {
  CHANNEL_ID,
  CHANNEL_LABEL,
  type DialBackResult,
  type SignedRelayRecord,
} from '@lumamesh/protocol';
import type { SessionEvent, SessionId } from '@lumamesh/transport';
import { Alarm, type UdpEndpoint, monotonicNow } from '@lumamesh/transport/io';
import type { RelayCore } from '../core/relay-core.ts';
import type { RelayOutput } from '../core/relay-output.ts';
import type { LocalRoomEvent } from '../core/remote-rooms.ts';
import type { Logger } from './log.ts';

const MOVE_ON_POLL_MS = 50;

/** Sessions that end for what they have not done. */
const NO_ABUSE = /^RELAY_(CLOSING|FULL|PRIVATE)$/;

/** Dials the relay of a record at an address, as long as that is wanted. Never rejects. */
export type DialBack = (
  record: SignedRelayRecord,
  address: string,
  signal: AbortSignal,
) => Promise<DialBackResult>;

export interface RelaySessionsOptions {
  readonly udp: UdpEndpoint;
  readonly core: RelayCore<SessionId>;
  readonly log: Logger;
  /** Whether the operator wants to have the addresses of users written down in full. */
  readonly logsFullAddresses: () => boolean;
  /** Whether it wants to know who was turned away for what they did, for a firewall. */
  readonly logsAbuse: () => boolean;
  /** For the mesh, where there is one. */
  readonly onLocalRooms: (event: LocalRoomEvent) => void;
  readonly dialBack: DialBack;
  /** A session was opened from this address, over UDP: its port is reached, whatever TCP's is. */
  readonly onOpened: (address: string) => void;
}

/**
 * {@link RelayCore} on the sessions of an endpoint: frames are messages of each session's channel.
 */
export class RelaySessions {
  readonly #options: RelaySessionsOptions;
  /** The channel a session talks on, where that is not the negotiated one. */
  readonly #channels = new Map<SessionId, number>();
  readonly #alarm = new Alarm(() => this.drive(() => undefined));
  /** By version and group: a dozen keys at most. */
  readonly #handshakes = new Map<string, number>();
  readonly #stopping = new AbortController();
  #isDraining = false;

  constructor(options: RelaySessionsOptions) {
    this.#options = options;
  }

  /** Handshakes that were finished, by version and group. */
  get handshakes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#handshakes);
  }

  /** The only way to the core: it is told something, and is drained. */
  drive(command: (core: RelayCore<SessionId>) => void): void {
    if (this.#stopping.signal.aborted) return;
    const { core } = this.#options;
    core.handleTimeout(monotonicNow());
    command(core);
    // What an output makes the core do is picked up by the running drain.
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let output = core.poll(); output !== null; output = core.poll()) this.#perform(output);
    } finally {
      this.#isDraining = false;
    }
    this.#alarm.set(core.deadline);
  }

  /**
   * Tells all sessions to go on elsewhere, or to come back to the process that takes over, and
   * waits until they have gone.
   * @returns How many are left after `timeoutMs`.
   */
  async moveOn(timeoutMs: number, hasSuccessor = false): Promise<number> {
    this.drive((core) => core.handleClosing(hasSuccessor));
    const { core } = this.#options;
    const endsAt = Date.now() + timeoutMs;
    while (core.counts.sessions > 0 && Date.now() < endsAt) await sleep(MOVE_ON_POLL_MS);
    return core.counts.sessions;
  }

  /** Nothing more is sent, or dialled. */
  stop(): void {
    this.#stopping.abort();
    this.#alarm.stop();
  }

  handleEvent(sessionId: SessionId, event: SessionEvent): void {
    const { log, udp } = this.#options;
    switch (event.type) {
      case 'secure': {
        const { version, group, cipherSuite } = event.negotiated;
        const kind = `${version} ${group}`;
        this.#handshakes.set(kind, (this.#handshakes.get(kind) ?? 0) + 1);
        // Before SCTP is up: the welcome rides on our COOKIE ECHO.
        const from = this.#shownAddress(sessionId);
        log.debug({ sessionId, from, dtls: version, group, cipherSuite }, 'session opened');
        const remote = udp.endpoint.provenRemoteOf(sessionId);
        if (remote !== null && remote.transport === undefined)
          this.#options.onOpened(remote.address);
        return this.drive((core) => core.handleSessionOpen(sessionId));
      }
      case 'channelOpen':
        return this.#handleChannelOpen(sessionId, event.channelId, event.properties.label);
      case 'message':
        if (event.channelId !== this.#channelOf(sessionId))
          return this.#options.core.drops.count('relay.foreignChannel');
        return this.drive((core) => core.handleFrame(monotonicNow(), sessionId, event.data));
      case 'messageTooLarge':
        return this.drive((core) => core.handleOversizedFrame(monotonicNow(), sessionId));
      case 'channelClosed':
        // A session without its channel is of no use, and would keep its place.
        if (event.channelId === this.#channelOf(sessionId)) udp.closeGracefully(sessionId);
        return;
      case 'closed': {
        const { reason, detail } = event;
        this.#channels.delete(sessionId);
        this.drive((core) => core.handleSessionClosed(sessionId));
        return log.debug({ sessionId, reason, detail }, 'session closed');
      }
      case 'reachable':
      case 'connected':
      case 'bufferedAmountLow':
    }
  }

  #perform(output: RelayOutput<SessionId>): void {
    const { udp, core, log, onLocalRooms } = this.#options;
    switch (output.type) {
      case 'send': {
        const { session, frame } = output;
        // Who reads too slowly misses replies to what it asked itself: others have their shares of
        // the queue, and news of rooms wait elsewhere. Who does not read at all is ended by SCTP.
        if (!udp.send(session, this.#channelOf(session), frame))
          core.drops.count('relay.slowConsumer');
        return;
      }
      case 'close':
        log.debug({ sessionId: output.session, reason: output.reason }, 'closing session');
        if (!NO_ABUSE.test(output.reason)) this.#tellAbuse(output.session, output.reason);
        if (output.isAbrupt === true) return udp.closeSession(output.session);
        return udp.closeGracefully(output.session);
      case 'dialBack':
        return void this.#dialBack(output.session, output.record);
      default:
        onLocalRooms(output);
    }
  }

  /** At the address that the session comes from, and at no other. */
  async #dialBack(session: SessionId, record: SignedRelayRecord): Promise<void> {
    const address = this.#options.udp.endpoint.provenRemoteOf(session)?.address;
    const result =
      address === undefined
        ? 'unknown'
        : await this.#options.dialBack(record, address, this.#stopping.signal);
    this.drive((core) =>
      core.handleDialledBack(session, { result, address: address ?? '0.0.0.0' }),
    );
  }

  /**
   * Clients that let their stack choose the channel's id are served on that one. Nobody reads what
   * comes on another: it is closed, so that its opener knows.
   */
  #handleChannelOpen(sessionId: SessionId, channelId: number, label: string): void {
    if (channelId === CHANNEL_ID) return;
    if (label !== CHANNEL_LABEL || this.#channels.has(sessionId)) {
      this.#options.core.drops.count('relay.foreignChannel');
      return this.#options.udp.closeChannel(sessionId, channelId);
    }
    this.#channels.set(sessionId, channelId);
    this.drive((core) => core.handleChannelMoved(sessionId));
  }

  /** In the order and words that deploy/fail2ban reads. Its address is proven: DTLS is up. */
  #tellAbuse(sessionId: SessionId, reason: string): void {
    const { log, udp, logsAbuse } = this.#options;
    if (!logsAbuse()) return;
    const from = udp.endpoint.provenRemoteOf(sessionId)?.address ?? '';
    log.warn({ from, reason }, 'abuse');
  }

  /** Where a user is, as far as the operator wants to have it written down. */
  #shownAddress(sessionId: SessionId): string {
    const address = this.#options.udp.endpoint.provenRemoteOf(sessionId)?.address ?? '';
    return this.#options.logsFullAddresses() ? address : addressPrefix(address);
  }

  #channelOf(sessionId: SessionId): number {
    return this.#channels.get(sessionId) ?? CHANNEL_ID;
  }
}
