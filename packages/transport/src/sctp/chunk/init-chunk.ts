import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './packet.ts';
import { type Parameter, readParameters, writeParameter } from './parameter.ts';

const PARAMETER_STATE_COOKIE = 7;
const PARAMETER_UNRECOGNIZED = 8;
const PARAMETER_SUPPORTED_EXTENSIONS = 0x8008;
const PARAMETER_FORWARD_TSN_SUPPORTED = 0xc000;
const MAX_COOKIE_BYTES = 1024;
/** RFC 9260 §3.3.2: "a_rwnd … MUST NOT be less than 1500". */
const MIN_A_RWND = 1500;

/**
 * What INIT and INIT ACK have in common (RFC 9260 §3.3.2, §3.3.3), with the extensions of RFC 5061
 * §4.2.7 and RFC 3758 §3.1.
 */
export interface InitChunk {
  readonly initiateTag: number;
  readonly aRwnd: number;
  readonly outboundStreams: number;
  readonly inboundStreams: number;
  readonly initialTsn: number;
  readonly supportsForwardTsn: boolean;
  readonly supportsReConfig: boolean;
  /** Only in an INIT ACK. */
  readonly stateCookie: Uint8Array | null;
  /**
   * Types we did not know and whose two highest bits ask for a report (RFC 9260 §3.2.2): the
   * parameters as they came.
   */
  readonly unrecognized: readonly Parameter[];
}

export function decodeInitChunk(chunk: Chunk): Decoded<InitChunk> {
  const reader = new ByteReader(chunk.value);
  const initiateTag = reader.uint32();
  const aRwnd = reader.uint32();
  const outboundStreams = reader.uint16();
  const inboundStreams = reader.uint16();
  const initialTsn = reader.uint32();
  const parameters = reader.ok ? readParameters(reader) : null;
  if (parameters === null) return dropped('sctp.init.malformed');
  // RFC 9260 §3.3.2: a zero tag or zero streams make the INIT unacceptable.
  if (initiateTag === 0 || outboundStreams === 0 || inboundStreams === 0 || aRwnd < MIN_A_RWND)
    return dropped('sctp.init.invalid');
  let supportsForwardTsn = false;
  let supportsReConfig = false;
  let stateCookie: Uint8Array | null = null;
  const unrecognized: Parameter[] = [];
  for (const parameter of parameters) {
    if (parameter.type === PARAMETER_STATE_COOKIE) {
      if (parameter.value.length > MAX_COOKIE_BYTES) return dropped('sctp.init.cookieTooLarge');
      stateCookie = parameter.value.slice();
    } else if (parameter.type === PARAMETER_FORWARD_TSN_SUPPORTED) supportsForwardTsn = true;
    else if (parameter.type === PARAMETER_SUPPORTED_EXTENSIONS) {
      supportsReConfig = parameter.value.includes(CHUNK_TYPE.reConfig);
      if (parameter.value.includes(CHUNK_TYPE.forwardTsn)) supportsForwardTsn = true;
    } else {
      if ((parameter.type & 0x4000) !== 0) unrecognized.push(parameter);
      // 00 and 01: stop processing this chunk's parameters.
      if ((parameter.type & 0x8000) === 0 && !isKnownIgnored(parameter.type)) break;
    }
  }
  return decoded({
    initiateTag,
    aRwnd,
    outboundStreams,
    inboundStreams,
    initialTsn,
    supportsForwardTsn,
    supportsReConfig,
    stateCookie,
    unrecognized,
  });
}

/**
 * Addresses, cookie preservative and supported address types: meaningless over DTLS (RFC 8261 §6),
 * so passed over.
 */
function isKnownIgnored(type: number): boolean {
  return type === 5 || type === 6 || type === 8 || type === 9 || type === 11 || type === 12;
}

export function encodeInitChunk(
  type: typeof CHUNK_TYPE.init | typeof CHUNK_TYPE.initAck,
  init: InitChunk,
): Chunk {
  const writer = new ByteWriter(64)
    .uint32(init.initiateTag)
    .uint32(init.aRwnd)
    .uint16(init.outboundStreams)
    .uint16(init.inboundStreams)
    .uint32(init.initialTsn);
  if (init.supportsForwardTsn)
    writeParameter(writer, { type: PARAMETER_FORWARD_TSN_SUPPORTED, value: new Uint8Array(0) });
  const extensions: number[] = [];
  if (init.supportsReConfig) extensions.push(CHUNK_TYPE.reConfig);
  if (init.supportsForwardTsn) extensions.push(CHUNK_TYPE.forwardTsn);
  if (extensions.length > 0)
    writeParameter(writer, {
      type: PARAMETER_SUPPORTED_EXTENSIONS,
      value: Uint8Array.from(extensions),
    });
  if (init.stateCookie !== null)
    writeParameter(writer, { type: PARAMETER_STATE_COOKIE, value: init.stateCookie });
  for (const parameter of init.unrecognized) {
    const inner = new ByteWriter(16);
    writeParameter(inner, parameter);
    writeParameter(writer, { type: PARAMETER_UNRECOGNIZED, value: inner.finish() });
  }
  return { type, flags: 0, value: writer.finish() };
}
