import { type Instant, SparseMap, utf8Decode, utf8Encode } from '@lumamesh/base';
import type { SctpEvent } from '../sctp/sctp-types.ts';
import { type ChannelProperties, DCEP_ACK, PPID, decodeDcep, encodeDcepOpen } from './dcep.ts';

export type DataChannelEvent =
  /** A channel can be used: negotiated, acknowledged, or opened by the peer. */
  | {
      readonly type: 'channelOpen';
      readonly channelId: number;
      readonly properties: ChannelProperties;
    }
  | { readonly type: 'message'; readonly channelId: number; readonly data: string | Uint8Array }
  /** What waits to be sent fell to the channel's threshold. */
  | { readonly type: 'bufferedAmountLow'; readonly channelId: number }
  /** A message beyond the limit was skipped. */
  | { readonly type: 'messageTooLarge'; readonly channelId: number }
  | { readonly type: 'channelClosed'; readonly channelId: number };

/** What the channels use of the association below. */
export interface ChannelTransport {
  readonly outboundStreams: number;
  send(
    now: Instant,
    streamId: number,
    ppid: number,
    data: Uint8Array,
    isUnordered: boolean,
    reliability: { maxRetransmits?: number; maxLifetimeMs?: number },
  ): boolean;
  resetStreams(now: Instant, streamIds: readonly number[]): void;
  bufferedBytesOf(streamId: number): number;
}

interface Channel {
  readonly id: number;
  readonly properties: ChannelProperties;
  readonly isNegotiated: boolean;
  state: 'connecting' | 'open' | 'closing';
  /**
   * RFC 8832 §6: until the DATA_CHANNEL_ACK everything goes ordered, so that nothing overtakes the
   * OPEN.
   */
  mustOrder: boolean;
  bufferedAmountLowThreshold: number;
  wasAboveThreshold: boolean;
  hasIncomingReset: boolean;
  hasOutgoingReset: boolean;
  /** Whether an OPEN for a negotiated channel was acknowledged. */
  isAcknowledged: boolean;
}

const EMPTY_MESSAGE = Uint8Array.of(0);

/**
 * Data channels over one association (RFC 8831, RFC 8832). Each channel is the pair of streams with
 * its id.
 */
export class DataChannels {
  readonly #transport: ChannelTransport;
  readonly #emit: (event: DataChannelEvent) => void;
  readonly #maxChannels: number;
  readonly #channels = new SparseMap<Channel>();
  readonly #firstOwnId: 0 | 1;
  /**
   * Ids whose channel the peer has already opened anew, though our own reset of the old one has no
   * response yet.
   */
  #staleResets: Set<number> | null = null;
  #isConnected = false;

  /** @param isDtlsClient decides who opens even and who odd stream ids (RFC 8832 §6). */
  constructor(
    transport: ChannelTransport,
    isDtlsClient: boolean,
    maxChannels: number,
    emit: (event: DataChannelEvent) => void,
  ) {
    this.#transport = transport;
    this.#emit = emit;
    this.#maxChannels = maxChannels;
    this.#firstOwnId = isDtlsClient ? 0 : 1;
  }

  /**
   * A channel that both sides agreed on beforehand (RFC 8831 §6.1); it opens with the association.
   * @returns False when the id is taken.
   */
  openNegotiated(channelId: number, properties: ChannelProperties): boolean {
    if (this.#channels.has(channelId)) return false;
    const channel = this.#add(channelId, properties, { isNegotiated: true, mustOrder: false });
    if (this.#isConnected) this.#open(channel);
    return true;
  }

  /**
   * Opens a channel with a DATA_CHANNEL_OPEN (RFC 8832 §6).
   * @returns The channel's id, or `null` when no stream is free or the send queue is full.
   */
  open(now: Instant, properties: ChannelProperties): number | null {
    let id: number = this.#firstOwnId;
    while (this.#channels.has(id) || this.#staleResets?.has(id) === true) id += 2;
    if (id >= this.#transport.outboundStreams || this.#channels.size >= this.#maxChannels)
      return null;
    if (!this.#transport.send(now, id, PPID.dcep, encodeDcepOpen(properties), false, {}))
      return null;
    this.#add(id, properties, { isNegotiated: false, mustOrder: true });
    return id;
  }

  /**
   * Queues a message: text is sent as UTF-8, bytes as they are.
   * @returns False when there is no such channel (any more) or the send queue is full.
   */
  send(now: Instant, channelId: number, data: string | Uint8Array): boolean {
    const channel = this.#channels.get(channelId);
    if (channel === undefined || channel.state === 'closing') return false;
    const isText = typeof data === 'string';
    const bytes = isText ? utf8Encode(data) : data;
    const isEmpty = bytes.length === 0;
    const ppid = isText
      ? isEmpty
        ? PPID.stringEmpty
        : PPID.string
      : isEmpty
        ? PPID.binaryEmpty
        : PPID.binary;
    const { isUnordered } = channel.properties;
    const sent = this.#transport.send(
      now,
      channelId,
      ppid,
      isEmpty ? EMPTY_MESSAGE : bytes,
      isUnordered && !channel.mustOrder,
      channel.properties,
    );
    if (this.bufferedAmount(channelId) > channel.bufferedAmountLowThreshold)
      channel.wasAboveThreshold = true;
    return sent;
  }

  /** Closes one channel: what was sent before still arrives (RFC 8831 §6.7). */
  close(now: Instant, channelId: number): void {
    const channel = this.#channels.get(channelId);
    if (channel === undefined || channel.state === 'closing') return;
    channel.state = 'closing';
    this.#transport.resetStreams(now, [channelId]);
  }

  /** Bytes of user data that wait for their first transmission. */
  bufferedAmount(channelId: number): number {
    return this.#transport.bufferedBytesOf(channelId);
  }

  setBufferedAmountLowThreshold(channelId: number, bytes: number): void {
    const channel = this.#channels.get(channelId);
    if (channel === undefined) return;
    channel.bufferedAmountLowThreshold = bytes;
    channel.wasAboveThreshold = this.bufferedAmount(channelId) > bytes;
  }

  /**
   * Takes what the association reports.
   * @returns A drop reason, or `null`.
   */
  handleSctpEvent(now: Instant, event: SctpEvent): string | null {
    switch (event.type) {
      case 'connected':
        this.#isConnected = true;
        for (const channel of this.#channels.values())
          if (channel.state === 'connecting' && !channel.mustOrder) this.#open(channel);
        return null;
      case 'message':
        return event.ppid === PPID.dcep
          ? this.#handleDcep(now, event.streamId, event.data)
          : this.#handleMessage(event.streamId, event.ppid, event.data);
      case 'streamsReset':
        for (const id of event.streamIds.length === 0
          ? [...this.#channels.keys()]
          : event.streamIds)
          this.#handleIncomingReset(now, id);
        return null;
      case 'resetDone':
        for (const id of event.streamIds) this.#handleResetDone(id, event.isOneSided);
        return null;
      case 'bufferedAmountChanged':
        this.#checkThresholds();
        return null;
      case 'closed':
        for (const id of [...this.#channels.keys()]) this.#remove(id);
        return null;
      case 'messageTooLarge':
        this.#emit({ type: 'messageTooLarge', channelId: event.streamId });
        return 'datachannel.messageTooLarge';
    }
  }

  #handleMessage(channelId: number, ppid: number, data: Uint8Array): string | null {
    const channel = this.#channels.get(channelId);
    if (channel === undefined) return 'datachannel.unknownStream';
    switch (ppid) {
      case PPID.string: {
        const text = utf8Decode(data);
        if (text === null) return 'datachannel.utf8';
        this.#emit({ type: 'message', channelId, data: text });
        break;
      }
      case PPID.binary:
        // The receiver's to keep, and so without what else came with it.
        this.#emit({ type: 'message', channelId, data: data.slice() });
        break;
      case PPID.stringEmpty:
        this.#emit({ type: 'message', channelId, data: '' });
        break;
      case PPID.binaryEmpty:
        this.#emit({ type: 'message', channelId, data: new Uint8Array(0) });
        break;
      default:
        return 'datachannel.ppid';
    }
    // RFC 8832 §6: data on the channel shows as well as the ACK that the peer has it.
    channel.mustOrder = false;
    return null;
  }

  #handleDcep(now: Instant, channelId: number, data: Uint8Array): string | null {
    const message = decodeDcep(data);
    const existing = this.#channels.get(channelId);
    if (!message.ok) {
      // RFC 8832 §6: a peer that opens what cannot be is told by a reset.
      if (existing === undefined) this.#transport.resetStreams(now, [channelId]);
      return message.drop;
    }
    if (message.value.type === 'ack') {
      if (existing?.state !== 'connecting') return 'dcep.ack.unexpected';
      existing.mustOrder = false;
      this.#open(existing);
      return null;
    }
    if (existing?.isNegotiated === true) {
      // The peer opens by DCEP what we both know of beforehand: one channel, and the peer wants its
      // ACK.
      if (existing.isAcknowledged) return 'dcep.open.repeated';
      existing.isAcknowledged = true;
      this.#transport.send(now, channelId, PPID.dcep, DCEP_ACK, false, {});
      return null;
    }
    if (existing !== undefined && !this.#isReplaceable(existing)) return 'dcep.open.idInUse';
    if (existing !== undefined) {
      // Both streams are reset as far as the peer knows; only its response to our own reset was
      // late.
      (this.#staleResets ??= new Set()).add(channelId);
      this.#remove(channelId);
    }
    if (this.#channels.size >= this.#maxChannels) {
      // RFC 8832 §6: a channel that is not wanted is closed.
      this.#transport.resetStreams(now, [channelId]);
      return 'dcep.open.tooMany';
    }
    this.#transport.send(now, channelId, PPID.dcep, DCEP_ACK, false, {});
    this.#open(
      this.#add(channelId, message.value.properties, { isNegotiated: false, mustOrder: false }),
    );
    return null;
  }

  #isReplaceable(channel: Channel): boolean {
    return channel.state === 'closing' && channel.hasIncomingReset;
  }

  #handleIncomingReset(now: Instant, channelId: number): void {
    const channel = this.#channels.get(channelId);
    if (channel === undefined) return;
    channel.hasIncomingReset = true;
    // RFC 8831 §6.7: the other side resets its own stream in turn.
    if (channel.state !== 'closing') this.close(now, channelId);
    this.#removeWhenReset(channel);
  }

  #handleResetDone(channelId: number, isOneSided: boolean): void {
    if (this.#staleResets?.delete(channelId) === true) return;
    const channel = this.#channels.get(channelId);
    if (channel === undefined) return;
    channel.hasOutgoingReset = true;
    if (isOneSided) this.#remove(channelId);
    else this.#removeWhenReset(channel);
  }

  #removeWhenReset(channel: Channel): void {
    if (channel.hasIncomingReset && channel.hasOutgoingReset) this.#remove(channel.id);
  }

  #checkThresholds(): void {
    for (const channel of this.#channels.values()) {
      if (
        !channel.wasAboveThreshold ||
        this.bufferedAmount(channel.id) > channel.bufferedAmountLowThreshold
      )
        continue;
      channel.wasAboveThreshold = false;
      this.#emit({ type: 'bufferedAmountLow', channelId: channel.id });
    }
  }

  #add(
    id: number,
    properties: ChannelProperties,
    how: { readonly isNegotiated: boolean; readonly mustOrder: boolean },
  ): Channel {
    const channel: Channel = {
      id,
      properties,
      ...how,
      state: 'connecting',
      bufferedAmountLowThreshold: 0,
      wasAboveThreshold: false,
      hasIncomingReset: false,
      hasOutgoingReset: false,
      isAcknowledged: false,
    };
    this.#channels.set(id, channel);
    return channel;
  }

  #open(channel: Channel): void {
    channel.state = 'open';
    this.#emit({ type: 'channelOpen', channelId: channel.id, properties: channel.properties });
  }

  #remove(channelId: number): void {
    if (this.#channels.delete(channelId)) this.#emit({ type: 'channelClosed', channelId });
  }
}
