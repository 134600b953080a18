import { concatBytes } from '@lumamesh/base';
import {
  type HandshakeMessage,
  HANDSHAKE_HEADER_BYTES,
  encodeHandshakeFragment,
} from '../message/handshake-header.ts';
import { CONTENT_TYPE } from '../record/record.ts';
import type { RecordLayer, RecordNumber } from '../record/record-layer.ts';

/** The datagrams of one flight. */
export type Flight = readonly Uint8Array[];

export type FlightPart =
  /** A message, under the keys of its epoch. */
  | { readonly type: 'message'; readonly message: HandshakeMessage }
  | { readonly type: 'changeCipherSpec' };

/** What is sent as a whole, and again as a whole: a message or a part of one. */
export interface FlightFragment {
  readonly contentType: number;
  readonly epoch: number;
  readonly content: Uint8Array;
  /** The peer has said that it has it (RFC 9147 §7). */
  isAcknowledged: boolean;
}

/** RFC 9147 §6.1: the first epoch of DTLS 1.3 that is protected. */
const FIRST_EPOCH_13 = 2;

/** Cuts messages that are too large for a datagram (RFC 6347 §4.2.3). */
export function fragmentsOf(
  records: RecordLayer,
  parts: readonly FlightPart[],
  maxDatagramBytes: number,
): FlightFragment[] {
  return parts.flatMap((part) => {
    if (part.type === 'changeCipherSpec')
      return [fragment(CONTENT_TYPE.changeCipherSpec, 0, Uint8Array.of(1))];
    const { message } = part;
    const { epoch } = message;
    const maxBytes = maxDatagramBytes - records.overheadBytes(epoch);
    return fragmentsOfMessage(message, maxBytes).map((content) =>
      fragment(CONTENT_TYPE.handshake, epoch, content),
    );
  });
}

/**
 * Packs what is not acknowledged into as few datagrams of `maxDatagramBytes` as it takes, in order.
 * Protected messages of DTLS 1.3 share a record, which costs less than one each; in DTLS 1.2 every
 * message has its own.
 * @param onRecord told which record holds which fragments
 */
export function encodeFlight(
  records: RecordLayer,
  fragments: readonly FlightFragment[],
  maxDatagramBytes: number,
  onRecord: (number: RecordNumber, held: readonly FlightFragment[]) => void = () => undefined,
): Flight {
  const datagrams: Uint8Array[] = [];
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const close = (): void => {
    if (pending.length > 0) datagrams.push(concatBytes(pending));
    pending = [];
    pendingBytes = 0;
  };
  const waiting = fragments.filter(({ isAcknowledged }) => !isAcknowledged);
  for (let i = 0; i < waiting.length;) {
    const first = waiting[i];
    // i is below the length.
    if (first === undefined) break;
    const { epoch, contentType } = first;
    const overheadBytes = records.overheadBytes(epoch);
    if (pendingBytes + overheadBytes + first.content.length > maxDatagramBytes) close();
    const room = maxDatagramBytes - pendingBytes - overheadBytes;
    const held = [first];
    if (epoch >= FIRST_EPOCH_13) {
      let bytes = first.content.length;
      for (const next of waiting.slice(i + 1)) {
        bytes += next.content.length;
        if (next.epoch !== epoch || bytes > room) break;
        held.push(next);
      }
    }
    const content = held.length === 1 ? first.content : concatBytes(held.map((h) => h.content));
    const number = records.nextNumber(epoch);
    const record =
      epoch === 0
        ? records.encodePlaintext(contentType, content)
        : records.encodeProtected(contentType, content, epoch);
    if (record !== null) {
      onRecord(number, held);
      pending.push(record);
      pendingBytes += record.length;
    }
    i += held.length;
  }
  close();
  return datagrams;
}

function fragment(contentType: number, epoch: number, content: Uint8Array): FlightFragment {
  return { contentType, epoch, content, isAcknowledged: false };
}

function fragmentsOfMessage(message: HandshakeMessage, maxBytes: number): Uint8Array[] {
  const maxFragmentBytes = maxBytes - HANDSHAKE_HEADER_BYTES;
  const { body, type, messageSeq } = message;
  if (body.length <= maxFragmentBytes) return [message.bytes];
  const fragments: Uint8Array[] = [];
  for (let offset = 0; offset < body.length; offset += maxFragmentBytes) {
    const bytes = body.subarray(offset, offset + maxFragmentBytes);
    fragments.push(encodeHandshakeFragment(type, body.length, messageSeq, offset, bytes));
  }
  return fragments;
}
