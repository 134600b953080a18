import {
  ByteReader,
  ByteWriter,
  type Decoded,
  type EcdheGroup,
  decoded,
  dropped,
} from '@lumamesh/base';
import { NAMED_GROUP_ID, namedGroupById } from './extensions.ts';
import {
  type DigitallySigned,
  readDigitallySigned,
  writeDigitallySigned,
} from './digitally-signed.ts';

const CURVE_TYPE_NAMED = 3;

export interface ServerKeyExchange {
  readonly group: EcdheGroup;
  readonly publicKey: Uint8Array;
  readonly signed: DigitallySigned;
}

/** ServerECDHParams (RFC 8422 §5.4): what the signature covers behind the two randoms. */
export function encodeEcdhParams(group: EcdheGroup, publicKey: Uint8Array): Uint8Array {
  return new ByteWriter(4 + publicKey.length)
    .uint8(CURVE_TYPE_NAMED)
    .uint16(NAMED_GROUP_ID[group])
    .vector(1, (v) => v.bytes(publicKey))
    .finish();
}

export function encodeServerKeyExchange(params: Uint8Array, signed: DigitallySigned): Uint8Array {
  const writer = new ByteWriter(params.length + 80).bytes(params);
  writeDigitallySigned(writer, signed);
  return writer.finish();
}

export function decodeServerKeyExchange(body: Uint8Array): Decoded<ServerKeyExchange> {
  const reader = new ByteReader(body);
  const curveType = reader.uint8();
  const group = namedGroupById(reader.uint16());
  const publicKey = reader.bytes(reader.uint8());
  const signed = readDigitallySigned(reader);
  const isNamed = curveType === CURVE_TYPE_NAMED;
  // The hybrid is none of DTLS 1.2.
  if (!isNamed || group === null || group === 'x25519mlkem768' || !reader.done)
    return dropped('dtls.serverKeyExchange.malformed');
  return decoded({ group, publicKey, signed });
}
