import { Fifo, type Instant } from '@lumamesh/base';
import type { AssociationState } from './association-state.ts';
import { CHUNK_TYPE, type Chunk, PacketBuilder } from './chunk/packet.ts';
import { encodeSackChunk } from './chunk/sack-chunk.ts';
import type { Incoming } from './incoming.ts';
import type { Outgoing } from './outgoing.ts';
import { SCTP_PORT, type SctpOutput } from './sctp-types.ts';

/**
 * Replies waiting to be sent: a peer that asks for more than fits into a few packets gets no more.
 */
const MAX_REPLIES_WAITING = 32;

/** Where packets go, and whose data they acknowledge. */
export interface PacketPeer {
  readonly verificationTag: number;
  readonly incoming: Incoming;
}

/**
 * Bundles chunks into packets (RFC 9260 §6.10): control chunks first, in order, then a SACK where
 * one is due or costs nothing, then as much DATA as fits.
 */
export class PacketAssembler {
  readonly #maxPacketBytes: number;
  readonly #outgoing: Outgoing;
  readonly #outputs: Fifo<SctpOutput>;
  readonly #control = new Fifo<Chunk>();

  constructor(maxPacketBytes: number, outgoing: Outgoing, outputs: Fifo<SctpOutput>) {
    this.#maxPacketBytes = maxPacketBytes;
    this.#outgoing = outgoing;
    this.#outputs = outputs;
  }

  /** Whether everything that was queued has been sent. */
  get isIdle(): boolean {
    return this.#control.size === 0 && !this.#outgoing.needsForwardTsn;
  }

  /** Queues a control chunk of our own for the next packet. */
  queue(chunk: Chunk): void {
    this.#control.push(chunk);
  }

  /**
   * Queues a chunk that a peer could ask for without end.
   * @returns A drop reason when too many are waiting, otherwise `null`.
   */
  queueReply(chunk: Chunk): string | null {
    if (this.#control.size >= MAX_REPLIES_WAITING) return 'sctp.tooManyReplies';
    this.#control.push(chunk);
    return null;
  }

  /**
   * Sends a chunk at once, in a packet of its own.
   * @returns False when the chunk is too large for a packet.
   */
  transmitAlone(chunk: Chunk, verificationTag: number): boolean {
    const packet = new PacketBuilder(this.#maxPacketBytes);
    if (chunk.value.length > packet.remainingBytes) return false;
    packet.add(chunk);
    this.#transmit(packet, verificationTag);
    return true;
  }

  /**
   * Assembles and sends one packet of what waits.
   * @param state what the association's state allows in it.
   * @returns False when there was nothing to send.
   */
  transmitNext(now: Instant, peer: PacketPeer, state: AssociationState['name']): boolean {
    const packet = new PacketBuilder(this.#maxPacketBytes);
    const hasCookieEcho = this.#addControl(packet);
    const maySendData =
      hasCookieEcho ||
      state === 'established' ||
      state === 'shutdownPending' ||
      state === 'shutdownReceived';
    // Before COOKIE ACK the peer may have no association yet that could take a SACK.
    if (state !== 'cookieEchoed') this.#addSack(packet, peer.incoming, maySendData);
    if (maySendData) this.#outgoing.fill(now, packet);
    if (packet.isEmpty) return false;
    this.#transmit(packet, peer.verificationTag);
    return true;
  }

  /**
   * @returns Whether a COOKIE ECHO is among the control chunks: DATA may follow it (RFC 9260 §5.1
   * C).
   */
  #addControl(packet: PacketBuilder): boolean {
    let hasCookieEcho = false;
    for (
      let chunk = this.#control.peek();
      chunk !== undefined && chunk.value.length <= packet.remainingBytes;
      chunk = this.#control.peek()
    ) {
      this.#control.shift();
      hasCookieEcho ||= chunk.type === CHUNK_TYPE.cookieEcho;
      packet.add(chunk);
    }
    return hasCookieEcho;
  }

  #addSack(packet: PacketBuilder, incoming: Incoming, maySendData: boolean): void {
    const isUseful =
      incoming.isSackDueNow ||
      (maySendData && incoming.hasUnacknowledged && this.#outgoing.canSend);
    if (!isUseful) return;
    const sack = encodeSackChunk(incoming.takeSack());
    if (sack.value.length <= packet.remainingBytes) packet.add(sack);
    else this.#control.push(sack);
  }

  #transmit(packet: PacketBuilder, verificationTag: number): void {
    this.#outputs.push({
      type: 'transmit',
      data: packet.finish(SCTP_PORT, SCTP_PORT, verificationTag),
    });
  }
}
