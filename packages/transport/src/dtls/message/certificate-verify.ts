import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import {
  type DigitallySigned,
  readDigitallySigned,
  writeDigitallySigned,
} from './digitally-signed.ts';

/** The body of a CertificateVerify (RFC 5246 §7.4.8). */
export function encodeCertificateVerify(signed: DigitallySigned): Uint8Array {
  const writer = new ByteWriter(80);
  writeDigitallySigned(writer, signed);
  return writer.finish();
}

export function decodeCertificateVerify(body: Uint8Array): Decoded<DigitallySigned> {
  const reader = new ByteReader(body);
  const signed = readDigitallySigned(reader);
  return reader.done ? decoded(signed) : dropped('dtls.certificateVerify.malformed');
}
