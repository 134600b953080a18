import {
  type HandshakeMessage,
  HANDSHAKE_HEADER_BYTES,
  encodeHandshakeFragment,
} from '../message/handshake-header.ts';
import { CONTENT_TYPE, RECORD_HEADER_BYTES } from '../record/record.ts';
import type { RecordLayer } from '../record/record-layer.ts';

/** The datagrams of one flight. */
export type Flight = readonly Uint8Array[];

export type FlightPart =
  | { readonly type: 'message'; readonly message: HandshakeMessage }
  | { readonly type: 'changeCipherSpec' }
  /** A message under the keys of epoch 1: Finished. */
  | { readonly type: 'protectedMessage'; readonly message: HandshakeMessage };

/**
 * Packs a flight into as few datagrams of `maxDatagramBytes` as it takes, in order; messages that
 * do not fit are fragmented (RFC 6347 §4.2.3).
 */
export function encodeFlight(
  records: RecordLayer,
  parts: readonly FlightPart[],
  maxDatagramBytes: number,
): Flight {
  const datagrams: Uint8Array[] = [];
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const close = (): void => {
    if (pending.length > 0) datagrams.push(join(pending, pendingBytes));
    pending = [];
    pendingBytes = 0;
  };
  const add = (record: Uint8Array): void => {
    if (pendingBytes + record.length > maxDatagramBytes) close();
    pending.push(record);
    pendingBytes += record.length;
  };
  for (const part of parts) {
    switch (part.type) {
      case 'message': {
        if (pendingBytes + RECORD_HEADER_BYTES + part.message.bytes.length > maxDatagramBytes)
          close();
        for (const fragment of fragments(part.message, maxDatagramBytes))
          add(records.encodePlaintext(CONTENT_TYPE.handshake, fragment));
        break;
      }
      case 'changeCipherSpec':
        add(records.encodePlaintext(CONTENT_TYPE.changeCipherSpec, Uint8Array.of(1)));
        break;
      case 'protectedMessage': {
        const record = records.encodeProtected(CONTENT_TYPE.handshake, part.message.bytes);
        if (record !== null) add(record);
        break;
      }
    }
  }
  close();
  return datagrams;
}

function* fragments(message: HandshakeMessage, maxDatagramBytes: number): Iterable<Uint8Array> {
  const maxFragmentBytes = maxDatagramBytes - RECORD_HEADER_BYTES - HANDSHAKE_HEADER_BYTES;
  if (message.body.length <= maxFragmentBytes) {
    yield message.bytes;
    return;
  }
  for (let offset = 0; offset < message.body.length; offset += maxFragmentBytes) {
    yield encodeHandshakeFragment(
      message.type,
      message.body.length,
      message.messageSeq,
      offset,
      message.body.subarray(offset, offset + maxFragmentBytes),
    );
  }
}

function join(records: readonly Uint8Array[], bytes: number): Uint8Array {
  const datagram = new Uint8Array(bytes);
  let offset = 0;
  for (const record of records) {
    datagram.set(record, offset);
    offset += record.length;
  }
  return datagram;
}
