import {
  ByteReader,
  ByteWriter,
  type Decoded,
  decoded,
  dropped,
  utf8Decode,
  utf8Encode,
} from '@lumamesh/base';

/**
 * Payload protocol identifiers (RFC 8831 §8). An empty message is one zero byte under a PPID of its
 * own.
 */
export const PPID = { dcep: 50, string: 51, binary: 53, stringEmpty: 56, binaryEmpty: 57 } as const;

const MESSAGE_ACK = 2;
const MESSAGE_OPEN = 3;
const CHANNEL_UNORDERED = 0x80;
const CHANNEL_RELIABLE = 0;
const CHANNEL_MAX_RETRANSMITS = 1;
const CHANNEL_MAX_LIFETIME = 2;
/** RFC 8832 §5.1 allows 65 535; nobody names a channel that long, and we keep the label. */
const MAX_LABEL_BYTES = 1024;

/**
 * The properties of a data channel (RFC 8832 §5.1). At most one of the two limits is set; with none
 * it is reliable.
 */
export interface ChannelProperties {
  readonly label: string;
  readonly subprotocol: string;
  readonly isUnordered: boolean;
  readonly maxRetransmits?: number;
  readonly maxLifetimeMs?: number;
}

export type DcepMessage =
  | { readonly type: 'open'; readonly properties: ChannelProperties }
  | { readonly type: 'ack' };

export const DCEP_ACK = Uint8Array.of(MESSAGE_ACK);

export function encodeDcepOpen(properties: ChannelProperties): Uint8Array {
  const { maxRetransmits, maxLifetimeMs } = properties;
  const kind =
    maxRetransmits !== undefined
      ? CHANNEL_MAX_RETRANSMITS
      : maxLifetimeMs !== undefined
        ? CHANNEL_MAX_LIFETIME
        : CHANNEL_RELIABLE;
  const label = utf8Encode(properties.label);
  const subprotocol = utf8Encode(properties.subprotocol);
  return new ByteWriter(12 + label.length + subprotocol.length)
    .uint8(MESSAGE_OPEN)
    .uint8(kind | (properties.isUnordered ? CHANNEL_UNORDERED : 0))
    .uint16(0)
    .uint32(maxRetransmits ?? maxLifetimeMs ?? 0)
    .uint16(label.length)
    .uint16(subprotocol.length)
    .bytes(label)
    .bytes(subprotocol)
    .finish();
}

export function decodeDcep(bytes: Uint8Array): Decoded<DcepMessage> {
  const reader = new ByteReader(bytes);
  const type = reader.uint8();
  if (type === MESSAGE_ACK)
    return reader.done ? decoded({ type: 'ack' }) : dropped('dcep.ack.length');
  if (type !== MESSAGE_OPEN) return dropped('dcep.type');
  const channelType = reader.uint8();
  reader.skip(2);
  const limit = reader.uint32();
  const labelBytes = reader.uint16();
  const subprotocolBytes = reader.uint16();
  const label = utf8Decode(reader.bytes(labelBytes));
  const subprotocol = utf8Decode(reader.bytes(subprotocolBytes));
  if (!reader.done) return dropped('dcep.open.length');
  if (
    label === null ||
    subprotocol === null ||
    labelBytes > MAX_LABEL_BYTES ||
    subprotocolBytes > MAX_LABEL_BYTES
  )
    return dropped('dcep.open.label');
  const common = { label, subprotocol, isUnordered: (channelType & CHANNEL_UNORDERED) !== 0 };
  switch (channelType & ~CHANNEL_UNORDERED) {
    case CHANNEL_RELIABLE:
      return decoded({ type: 'open', properties: common });
    case CHANNEL_MAX_RETRANSMITS:
      return decoded({ type: 'open', properties: { ...common, maxRetransmits: limit } });
    case CHANNEL_MAX_LIFETIME:
      return decoded({ type: 'open', properties: { ...common, maxLifetimeMs: limit } });
    default:
      return dropped('dcep.open.channelType');
  }
}
