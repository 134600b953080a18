import type { Instant, SyncCrypto, TokenBucket } from '@lumamesh/base';
import { decodeXorMappedAddress } from '../stun/attributes/xor-mapped-address.ts';
import { type StunMessage, TRANSACTION_ID_BYTES, findAttribute } from '../stun/message.ts';
import type { Bandwidth } from '../bandwidth.ts';
import type { AllocationTable } from './allocation-table.ts';
import type { Allocation, Link } from './allocation.ts';
import { decodeChannelData, rewriteAsChannelData } from './channel-data.ts';
import { rewriteAsDataIndication } from './data-indication.ts';
import { TURN_ATTRIBUTE } from './turn-codes.ts';
import type { TurnLimits } from './turn-limits.ts';
import { TurnRates } from './turn-rates.ts';
import type { TurnOutput } from './turn-output.ts';

/** DATA of a Send indication ends where its value does: where in the datagram it begins. */
const ATTRIBUTE_HEADER_BYTES = 4;

/** The path of data from one allocation to another: in the memory it came in, where that has room. */
export class TurnForwarding {
  readonly #crypto: SyncCrypto;
  readonly #table: AllocationTable;
  readonly #rates: TurnRates;
  readonly #bandwidth: Bandwidth | null;
  #datagrams = 0;
  #bytes = 0;

  /** @param bandwidth what the endpoint as a whole may use, where that is bounded */
  constructor(
    crypto: SyncCrypto,
    table: AllocationTable,
    limits: TurnLimits,
    bandwidth: Bandwidth | null,
  ) {
    this.#crypto = crypto;
    this.#table = table;
    this.#rates = new TurnRates(limits);
    this.#bandwidth = bandwidth;
  }

  /** How many were forwarded so far. */
  get datagrams(): number {
    return this.#datagrams;
  }

  /** Of payload. */
  get bytes(): number {
    return this.#bytes;
  }

  newPair(): TokenBucket {
    return this.#rates.newPair();
  }

  /** @returns What is forwarded, or a drop reason. */
  handleChannelData(now: Instant, from: Allocation, datagram: Uint8Array): TurnOutput | string {
    const decoded = decodeChannelData(datagram);
    if (!decoded.ok) return decoded.drop;
    const { channel, offset, length } = decoded.value;
    const link = from.linkOf(channel, now);
    if (link === null) return 'turn.channelData.unbound';
    return this.#forward(now, from, link, datagram, offset, length);
  }

  /** RFC 8656 §11.2. @returns What is forwarded, or a drop reason. */
  handleSend(
    now: Instant,
    from: Allocation,
    datagram: Uint8Array,
    message: StunMessage,
  ): TurnOutput | string {
    const data = findAttribute(message, TURN_ATTRIBUTE.data);
    const value = findAttribute(message, TURN_ATTRIBUTE.xorPeerAddress)?.value;
    if (data === null || value === undefined) return 'turn.send.attributes';
    const address = decodeXorMappedAddress(value, message.transactionId);
    const peer = address === null ? undefined : this.#table.atRelayed(address.address);
    if (peer === undefined || peer.relayed.port !== address?.port) return 'turn.send.peer';
    const link = from.linkTo(peer);
    if (link === null || link.permittedUntil <= now) return 'turn.send.noPermission';
    const offset = data.offset + ATTRIBUTE_HEADER_BYTES;
    return this.#forward(now, from, link, datagram, offset, data.value.length);
  }

  #forward(
    now: Instant,
    from: Allocation,
    link: Link,
    datagram: Uint8Array,
    offset: number,
    length: number,
  ): TurnOutput | string {
    const to = link.peer;
    const back = to.linkTo(from);
    // RFC 8656 §11.3: what has no permission there is discarded.
    if (back === null || back.permittedUntil <= now) return 'turn.noPermission';
    const refusal = this.#rates.refusal(now, from, link, length);
    if (refusal !== null) return refusal;
    if (this.#bandwidth?.takeForwarded(now, length) === false) return 'turn.rate.bandwidth';
    this.#table.handleUsed(from);
    this.#table.handleUsed(to);
    this.#datagrams += 1;
    this.#bytes += length;
    const data =
      back.boundUntil > now
        ? rewriteAsChannelData(datagram, offset, length, back.channel)
        : rewriteAsDataIndication(
            datagram,
            offset,
            length,
            from.xorRelayed,
            this.#crypto.randomBytes(TRANSACTION_ID_BYTES),
          );
    return { type: 'transmit', remote: to.remote, data };
  }
}
