import { ByteReader, ByteWriter, type Decoded, decoded, dropped } from '@lumamesh/base';
import { CHUNK_TYPE, type Chunk } from './packet.ts';
import { type Parameter, readParameters, writeParameter } from './parameter.ts';

const PARAMETER_OUTGOING_RESET = 13;
const PARAMETER_RESPONSE = 16;
/**
 * Incoming SSN reset, SSN/TSN reset, add outgoing, add incoming streams (RFC 6525 §4.2–4.6): never
 * sent by a data channel stack.
 */
const OTHER_REQUESTS = [14, 15, 17, 18];
/** RFC 6525 §4: at most two parameters in one chunk. */
const MAX_PARAMETERS = 2;

/** Results of a request (RFC 6525 §4.4). */
export const RESET_RESULT = {
  nothingToDo: 0,
  performed: 1,
  denied: 2,
  badSequenceNumber: 5,
  inProgress: 6,
} as const;

export type ReConfigParameter =
  | {
      readonly type: 'outgoingReset';
      readonly requestSequence: number;
      readonly responseSequence: number;
      readonly lastTsn: number;
      /** Empty: all streams. */ readonly streamIds: readonly number[];
    }
  | { readonly type: 'response'; readonly responseSequence: number; readonly result: number }
  | { readonly type: 'unsupportedRequest'; readonly requestSequence: number };

export function decodeReConfigChunk(chunk: Chunk): Decoded<readonly ReConfigParameter[]> {
  const parameters = readParameters(new ByteReader(chunk.value));
  if (parameters === null || parameters.length === 0 || parameters.length > MAX_PARAMETERS)
    return dropped('sctp.reConfig.malformed');
  const result: ReConfigParameter[] = [];
  for (const parameter of parameters) {
    const item = decodeParameter(parameter);
    if (item === null) return dropped('sctp.reConfig.malformed');
    result.push(item);
  }
  return decoded(result);
}

function decodeParameter(parameter: Parameter): ReConfigParameter | null {
  const reader = new ByteReader(parameter.value);
  if (parameter.type === PARAMETER_OUTGOING_RESET) {
    const requestSequence = reader.uint32();
    const responseSequence = reader.uint32();
    const lastTsn = reader.uint32();
    if (!reader.ok || reader.remaining % 2 !== 0) return null;
    const streamIds: number[] = [];
    while (reader.remaining > 0) streamIds.push(reader.uint16());
    return { type: 'outgoingReset', requestSequence, responseSequence, lastTsn, streamIds };
  }
  if (parameter.type === PARAMETER_RESPONSE) {
    const responseSequence = reader.uint32();
    const result = reader.uint32();
    return reader.ok ? { type: 'response', responseSequence, result } : null;
  }
  const requestSequence = reader.uint32();
  return reader.ok && OTHER_REQUESTS.includes(parameter.type)
    ? { type: 'unsupportedRequest', requestSequence }
    : null;
}

export function encodeReConfigChunk(
  parameters: readonly Exclude<ReConfigParameter, { type: 'unsupportedRequest' }>[],
): Chunk {
  const writer = new ByteWriter(32);
  for (const parameter of parameters) {
    const body = new ByteWriter(16);
    if (parameter.type === 'outgoingReset') {
      body
        .uint32(parameter.requestSequence)
        .uint32(parameter.responseSequence)
        .uint32(parameter.lastTsn);
      for (const streamId of parameter.streamIds) body.uint16(streamId);
      writeParameter(writer, { type: PARAMETER_OUTGOING_RESET, value: body.finish() });
    } else {
      body.uint32(parameter.responseSequence).uint32(parameter.result);
      writeParameter(writer, { type: PARAMETER_RESPONSE, value: body.finish() });
    }
  }
  return { type: CHUNK_TYPE.reConfig, flags: 0, value: writer.finish() };
}
