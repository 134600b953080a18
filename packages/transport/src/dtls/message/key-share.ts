import { ByteReader, ByteWriter } from '@lumamesh/base';

/** A KeyShareEntry (RFC 8446 §4.2.8). */
export interface KeyShareEntry {
  /** A number of the IANA registry, spoken here or not. */
  readonly groupId: number;
  readonly publicKey: Uint8Array;
}

/** More shares than any client sends. */
const MAX_SHARES = 16;

/** The key_share extension of a ClientHello. */
export function encodeClientShares(shares: readonly KeyShareEntry[]): Uint8Array {
  return new ByteWriter(64)
    .vector(2, (list) => {
      for (const share of shares) writeShare(list, share);
    })
    .finish();
}

/** `null` when it is malformed, or offers a group twice, as none may. */
export function readClientShares(data: Uint8Array): readonly KeyShareEntry[] | null {
  const reader = new ByteReader(data);
  const list = reader.sub(reader.uint16());
  const shares: KeyShareEntry[] = [];
  while (list.remaining > 0) {
    const share = readShare(list);
    if (share === null || shares.length === MAX_SHARES) return null;
    if (shares.some(({ groupId }) => groupId === share.groupId)) return null;
    shares.push(share);
  }
  return reader.done && list.ok ? shares : null;
}

/** The key_share extension of a ServerHello. */
export function encodeServerShare(share: KeyShareEntry): Uint8Array {
  const writer = new ByteWriter(4 + share.publicKey.length);
  writeShare(writer, share);
  return writer.finish();
}

export function readServerShare(data: Uint8Array): KeyShareEntry | null {
  const reader = new ByteReader(data);
  const share = readShare(reader);
  return reader.done ? share : null;
}

function writeShare(writer: ByteWriter, { groupId, publicKey }: KeyShareEntry): void {
  writer.uint16(groupId).vector(2, (v) => v.bytes(publicKey));
}

function readShare(reader: ByteReader): KeyShareEntry | null {
  const groupId = reader.uint16();
  const publicKey = reader.bytes(reader.uint16());
  return reader.ok && publicKey.length > 0 ? { groupId, publicKey } : null;
}
