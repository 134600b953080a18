import type { ByteReader, ByteWriter } from '@lumamesh/base';

/** The DigitallySigned struct (RFC 5246 §4.7). */
export interface DigitallySigned {
  /** SignatureAndHashAlgorithm as one number, such as 0x0403 for ECDSA with SHA-256. */
  readonly algorithm: number;
  readonly signature: Uint8Array;
}

export function writeDigitallySigned(writer: ByteWriter, signed: DigitallySigned): void {
  writer.uint16(signed.algorithm).vector(2, (v) => v.bytes(signed.signature));
}

export function readDigitallySigned(reader: ByteReader): DigitallySigned {
  const algorithm = reader.uint16();
  return { algorithm, signature: reader.bytes(reader.uint16()) };
}
