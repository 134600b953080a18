import { instant, toBase64Url, utf8Decode, utf8Encode } from '@lumamesh/base';
import {
  RECORD_LINE_PREFIX,
  decodeRecordLine,
  decodeSignedList,
  encodeRecordLine,
  encodeSignedList,
  listToSign,
  parseClientMessage,
  parseDialledBack,
  parseRelayMessage,
} from '@lumamesh/protocol';
import { seededRandom } from '@lumamesh/testkit';
import { loadRelays } from '../../packages/client/src/features/discovery/relay-cache.ts';
import { STRUCTURED_VALUES } from '../../packages/client/src/features/structured-codec.ts';
import { RelayBook } from '../../packages/client/src/net/relay-book.ts';
import { readRelayList } from '../../packages/client/src/net/relay-source.ts';
import { encodeValue } from '../../packages/client/src/peer/plain-values.ts';
import {
  ValueReader,
  readSmallFrame,
  smallFrame,
} from '../../packages/client/src/peer/value-frames.ts';
import { LengthPrefixedReader } from '../../packages/relay/src/core/mesh/length-prefixed.ts';
import {
  MESH_LIMITS,
  decodeMeshFrame,
  encodeMeshFrame,
} from '../../packages/relay/src/core/mesh/mesh-frame.ts';
import { Negotiation, WireBudget } from '../../packages/relay/src/core/mesh/wire-budget.ts';
import { YamuxHeaders } from '../../packages/relay/src/core/mesh/yamux-headers.ts';
import { Script, type Target } from '../target.ts';

/* What is read as text, and what is cut out of streams. */
export const ROOM = 'r'.repeat(43);
export const PEER = 'p'.repeat(22);
const KEY = 'A'.repeat(43);
export const RECORD = {
  fingerprint: `AA${':AA'.repeat(31)}`,
  ip: '203.0.113.1',
  port: 3478,
  ufrag: 'luma',
  pwd: 'x'.repeat(22),
  nk: KEY,
  sequence: 1,
  expires: 2,
  signature: 'A'.repeat(86),
};

const SIGNED_LIST = encodeSignedList(
  listToSign(['luma1.AA'], 1_795_824_000, 1_798_416_000),
  'A'.repeat(86),
);

function ofText(
  name: string,
  seeds: readonly unknown[],
  run: (text: string) => void,
  maxBytes = 2000,
): Target {
  return {
    name,
    maxBytes,
    seeds: () =>
      seeds.map((seed) => utf8Encode(typeof seed === 'string' ? seed : JSON.stringify(seed))),
    run: (input) => {
      const text = utf8Decode(input);
      if (text !== null) run(text);
    },
  };
}

/** Bytes to be written as base64url, which a mutation would otherwise hardly leave valid. */
const recordLine: Target = {
  name: 'record-line',
  maxBytes: 1000,
  seeds: () => [utf8Encode(JSON.stringify({ ...RECORD, signature: undefined }))],
  run: (input) => {
    const line = `${RECORD_LINE_PREFIX}${toBase64Url(input)}`;
    const read = decodeRecordLine(line);
    if (read.ok && encodeRecordLine(read.value) !== line)
      throw new Error('a record with two lines');
    const text = utf8Decode(input);
    if (text !== null) decodeRecordLine(text);
  },
};

const streams: Target = {
  name: 'mesh-streams',
  maxBytes: 1000,
  seeds: () => [Uint8Array.of(0, 6, 0, 0, 0, 2, 0x7b, 0x7d), Uint8Array.of(1, 12, 0, 0, 0, 1)],
  run: (input) => {
    const script = new Script(input);
    const isYamux = script.pick(2) === 1;
    const [reader, headers] = [new LengthPrefixedReader(), new YamuxHeaders()];
    const [budget, negotiation] = [new WireBudget(), new Negotiation()];
    while (!script.isOver) {
      const chunk = script.bytes();
      negotiation.take(chunk);
      if (!isYamux) {
        const texts = reader.push(chunk);
        if (!texts.ok) return;
        for (const text of texts.value)
          if (text.length > MESH_LIMITS.maxFrameBytes) throw new Error('a frame beyond the limit');
      } else
        for (const header of headers.push(chunk))
          if (budget.takeFrame(instant(0), header) !== null) return;
    }
  },
};

const values: Target = {
  name: 'peer-values',
  maxBytes: 3000,
  seeds: () => [
    ...['j\n{"a":1}', 'jaction x\n{"a":[]}', 'fj\n9', 'x', 'fspiece 1\n12'].map((text) =>
      Uint8Array.of(0, text.length, ...utf8Encode(text)),
    ),
    binary('', Uint8Array.of(1, 2)),
    binary('action x', new Map<unknown, unknown>([[1n, new Date(0)]])),
    binary('', { $: [undefined, new Float64Array(3), NaN] }),
  ],
  run: (input) => {
    const script = new Script(input);
    let delivered = 0;
    const deliver = (_tag: string, value: unknown): void => {
      delivered += value instanceof Uint8Array ? value.length : 0;
    };
    const reader = new ValueReader({
      maxBytes: () => 100_000,
      codec: STRUCTURED_VALUES,
      deliver,
      onProgress: () => undefined,
    });
    while (!script.isOver) {
      const isText = script.pick(2) === 0;
      const bytes = script.bytes();
      const data = isText ? (utf8Decode(bytes) ?? '') : bytes.buffer;
      if (!reader._read(data)) break;
      readSmallFrame(data, STRUCTURED_VALUES, deliver);
      STRUCTURED_VALUES.decode(bytes);
    }
    if (delivered > 4 * input.length + 1024) throw new Error('more was delivered than was sent');
  },
};

/** A script with one binary frame: a value. */
function binary(tag: string, value: unknown): Uint8Array {
  const { kind, body } = encodeValue(value, STRUCTURED_VALUES);
  const frame = smallFrame(tag, kind, body instanceof Promise ? '' : (body ?? ''));
  const bytes = typeof frame === 'string' ? utf8Encode(frame) : frame;
  return Uint8Array.of(1, bytes.length, ...bytes);
}

const MESH_FRAMES = [
  { type: 'hello', version: 1, record: encodeRecordLine(RECORD) },
  { type: 'ready' },
  { type: 'suspect', relays: [KEY] },
  { type: 'summary', bits: 0, digests: ['0'.repeat(16)] },
  { type: 'have', bits: 4, buckets: [1, 2], ids: ['0'.repeat(32)] },
  { type: 'want', ids: ['0'.repeat(32)] },
  { type: 'records', records: [encodeRecordLine(RECORD)] },
  { type: 'hints', rooms: [ROOM] },
  { type: 'reporters', room: ROOM, add: [KEY], remove: [] },
  { type: 'present', room: ROOM, members: [{ peer: PEER, presence: 'x' }], all: true, ask: true },
  { type: 'absent', room: ROOM, peers: [PEER] },
  { type: 'check', room: ROOM, digest: '0'.repeat(16) },
  { type: 'signal', room: ROOM, from: PEER, to: PEER, data: 'x' },
  {
    type: 'forwardRequest',
    to: KEY,
    counter: 1,
    text: JSON.stringify({ type: 'absent', room: ROOM, peers: [] }),
    signature: 'A'.repeat(86),
  },
];

export const TEXTS: readonly Target[] = [
  recordLine,
  streams,
  values,
  ofText(
    'client-frames',
    [
      { action: 'join', room: ROOM, peer: PEER, presence: 'x', proof: { key: KEY, signature: '' } },
      { action: 'leave', room: ROOM },
      { action: 'access', proof: KEY },
      { action: 'signal', room: ROOM, to: PEER, data: 'x' },
      { action: 'nodes', limit: 3, after: 'x' },
      { action: 'ping' },
      { action: 'dial-back', record: RECORD },
    ],
    (text) => void parseClientMessage(text),
  ),
  ofText(
    'relay-frames',
    [
      { action: 'welcome', version: 1, node: RECORD, limits: {}, challenge: 'x' },
      { action: 'joined', room: ROOM, members: [{ peer: PEER, presence: 'x' }], homes: [RECORD] },
      { action: 'peer-joined', room: ROOM, peer: PEER, presence: 'x' },
      { action: 'signal', room: ROOM, from: PEER, data: 'x' },
      { action: 'nodes', nodes: [RECORD], next: 'x' },
      { action: 'error', code: 'x', message: 'y', room: ROOM },
      { action: 'joined', room: ROOM, members: [], more: true },
      { action: 'joined', room: ROOM, members: [], turn: { username: 'u', password: 'p' } },
      { action: 'peer-left', room: ROOM, peer: PEER },
      { action: 'pong' },
      { action: 'dialled-back', result: 'reached', address: '203.0.113.1' },
    ],
    (text) => {
      parseRelayMessage(text);
      parseDialledBack(text);
    },
  ),
  ofText('mesh-frames', MESH_FRAMES, (text) => {
    const frame = decodeMeshFrame(text);
    if (!frame.ok) return;
    const again = encodeMeshFrame(frame.value);
    const second = decodeMeshFrame(again);
    if (!second.ok || encodeMeshFrame(second.value) !== again)
      throw new Error('a frame changes when it is written');
  }),
  ofText('signed-lists', [SIGNED_LIST], (text) => {
    const read = decodeSignedList(text);
    if (!read.ok) return;
    const { lines, madeUnixSeconds, expiresUnixSeconds, signature } = read.value;
    const again = listToSign(lines, madeUnixSeconds, expiresUnixSeconds);
    if (encodeSignedList(again, toBase64Url(signature)) !== text)
      throw new Error('a signed list with two texts');
  }),
  ofText(
    'relay-lists',
    [`# relays\n${encodeRecordLine(RECORD)}\n`, [[encodeRecordLine(RECORD), 7]]],
    (text) => {
      loadRelays(new RelayBook(seededRandom(1)), text, 0);
      try {
        readRelayList(text, undefined);
      } catch (error) {
        // It says so to the page that named the list.
        if (!(error instanceof Error && 'code' in error && error.code === 'BAD_RELAY')) throw error;
      }
    },
  ),
];
